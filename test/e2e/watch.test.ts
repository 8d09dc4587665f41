// A watched directory: what appears in it and stops changing is shared, over kill -9, logout and the loss of the directory.
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';
import type { Daemon } from '../harness/world.ts';

const test = suite('watch');

interface Watching {
  path: string;
  group_id: string;
  shared: number;
  waiting: number;
  failed: { file: string; code: string; message: string }[];
  problem: string | null;
}
const watches = async (who: Daemon) => (await who.ok<{ watches: Watching[] }>('watch')).watches;
const namesIn = async (who: Daemon) =>
  (await who.ok<{ files: { file_name: string }[] }>('list_files', 'lab')).files.map(({ file_name }) => file_name);
const shows = (who: Daemon, ...names: string[]) =>
  until(`the group has ${names}`, async () => (await namesIn(who)).join() === names.sort().join(), {
    timeoutMs: 20_000,
    everyMs: 100,
  });

test(
  'new files are shared once they are complete, and nothing else is',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    writeFileSync(bob.path('taken'), "bob's");
    await bob.ok('upload_file', 'taken', 'lab');
    const at = (name: string) => alice.path('out', name);
    mkdirSync(alice.path('out'));
    assert.equal(await watches(alice), []);
    await alice.fails('PATH_NOT_FOUND', 'watch', 'nowhere', 'lab');
    await alice.fails('NO_SUCH_GROUP', 'watch', 'out', 'lob');
    await alice.fails('USAGE', 'watch', 'out');
    writeFileSync(alice.path('plain'), '');
    await alice.fails('INVALID_ARGUMENT', 'watch', 'plain', 'lab');
    await alice.fails('NO_SUCH_SHARE', 'unwatch', 'out');

    writeFileSync(at('first'), 'there before');
    for (const name of ['.hidden', 'movie.part', 'text~', 'page.crdownload', '#edited#']) writeFileSync(at(name), 'x');
    mkdirSync(at('sub'));
    writeFileSync(at('sub/inner'), 'x');
    symlinkSync('/etc/hostname', at('link'));
    writeFileSync(at('taken'), "alice's");
    assert.equal(await alice.ok('watch', 'out', 'lab'), { path: alice.path('out'), group_id: 'lab', new_watch: true });
    assert.is((await alice.ok('watch', 'out/', 'lab')).new_watch, false);

    // One that grows is waited for.
    const growing = setInterval(() => appendFileSync(at('growing'), 'more'), 50);
    await shows(bob, 'first', 'taken');
    clearInterval(growing);
    renameSync(at('movie.part'), at('movie'));
    await shows(bob, 'first', 'taken', 'growing', 'movie');
    // The group may know a moment before the daemon has its answer.
    const settled = async () => (await watches(alice)).find(({ waiting }) => waiting === 0);
    const watching = await until('nothing waits', settled);
    assert.equal([watching.shared, watching.problem], [3, null]);
    assert.equal(
      watching.failed.map(({ file, code }) => [file, code]),
      [['taken', 'FILE_EXISTS']],
    );
    assert.match((await alice.mt('watch')).stdout, /lab +3 +0 +1 .*out\ntaken: Group lab has another file/);

    // Killed, and logged out and in: it goes on, and also tells of the name again.
    await alice.program.kill();
    await alice.start();
    writeFileSync(at('after a restart'), '1');
    await alice.ok('logout');
    await alice.fails('NOT_LOGGED_IN', 'watch');
    writeFileSync(at('meanwhile'), '2');
    await alice.ok('login', 'alice', 'pw-alice');
    await shows(bob, 'first', 'taken', 'growing', 'movie', 'after a restart', 'meanwhile');

    // Gone, and there again.
    renameSync(alice.path('out'), alice.path('away'));
    const isLost = async () => (await watches(alice))[0]!.problem === 'it is not there';
    await until('its loss is noticed', isLost, { everyMs: 100 });
    renameSync(alice.path('away'), alice.path('out'));
    rmSync(at('taken'));
    await until('it is watched again', async () => (await watches(alice))[0]!.shared === 5, { everyMs: 100 });
    assert.equal((await watches(alice))[0]!.failed, []);

    assert.equal(await alice.ok('unwatch', 'out'), { path: alice.path('out'), group_ids: ['lab'] });
    assert.equal(await watches(alice), []);
    assert.is((await namesIn(bob)).length, 6, 'what was shared stays shared');
  }),
);

test.run();
