// mt doctor through real programs: what the trackers tell of clocks and of the daemon's own port, and what they refuse to be used for.
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../cli/doctor/checks.ts';
import { tryAddress } from '../../cluster/node/server/self-check.ts';
import { Member } from '../harness/hostile-member.ts';
import { type Daemon, inWorld } from '../harness/world.ts';

const test = suite('doctor');

async function examine(daemon: Daemon): Promise<Record<string, Finding>> {
  const { stdout } = await daemon.mt('doctor', '--json');
  const { checks } = JSON.parse(stdout) as { checks: Finding[] };
  return Object.fromEntries(checks.map((finding) => [finding.check, finding]));
}

test(
  'all is well; and each way in which others cannot reach a daemon is told apart',
  inWorld(async (world) => {
    await world.startTrackers();
    const { ann } = await world.people('ann');
    const well = await examine(ann);
    const ills = Object.values(well).filter(({ ok, check }) => !ok && check !== 'open files' && check !== 'disk');
    assert.equal(ills, []);
    assert.match(well.clock!.detail, /^within \d+ ms of 3 trackers$/);
    assert.match(well['from outside']!.detail, `:${ann.address.port} answers the tracker at`);

    const { host } = ann.address;
    const bob = await (await world.daemon('bob').start('--announce', `${host}:9`)).enter();
    assert.match((await examine(bob))['from outside']!.detail, `${host}:9 from the tracker at`);
    const carol = await (await world.daemon('carol').start('--announce', `${host}:${ann.address.port}`)).enter();
    const taken = (await examine(carol))['from outside']!;
    assert.match(taken.detail, 'another program answers there');
    assert.match(taken.advice!, '--announce');
    // Not an address of its own end: nobody is dialled in its name.
    const dave = await (await world.daemon('dave').start('--announce', '192.0.2.1:22')).enter();
    assert.match(
      (await examine(dave))['from outside']!.detail,
      /^not checked: it is announced as 192\.0\.2\.1:22, but comes from 127\./,
    );

    await Promise.all([2, 3].map((number) => world.trackers.get(number)!.kill()));
    const alone = await examine(ann);
    assert.is(alone.quorum!.ok, false);
    assert.is(alone['from outside']?.ok ?? true, true, 'this needs no quorum');
  }),
);

test(
  'a tracker dials for the session that asks only, and seldom',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { ann } = await world.people('ann');
    const member = await Member.join({
      tracker: world.trackerAddress(1),
      address: ann.address,
      user: 'mallory',
      isNew: true,
    });
    const ask = (session: string) => member.rpc.call('dial_back', { session }, { timeoutMs: 5_000 });
    const refused = await ask('0'.repeat(32)).catch((error: { code: string }) => error.code);
    assert.is(refused, 'NOT_LOGGED_IN');
    const verdicts: string[] = [];
    let why = '';
    while (verdicts.length < 20 && !why.startsWith('asked too often')) {
      const answer = await ask(member.session);
      verdicts.push(answer.verdict);
      why = answer.why ?? '';
    }
    assert.equal([verdicts[0], verdicts.at(-1)], ['somebody_else', 'not_tried']);
    assert.match(why, 'Try again in');
    member.close();
  }, 1),
);

test('what answers with something else than TLS, or not at all, and a name that nobody has', async () => {
  const server = createServer((socket) =>
    socket
      .on('error', () => {})
      .resume()
      .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const print = 'f'.repeat(64);
  const verdict = async (host: string, at: number, remote = '127.0.0.1') =>
    (await tryAddress({ host, port: at }, remote, print)).verdict;
  assert.is(await verdict('127.0.0.1', port), 'somebody_else');
  assert.is(await verdict('localhost', port), 'somebody_else');
  await new Promise((resolve) => server.close(resolve));
  assert.is(await verdict('127.0.0.1', port), 'unreachable');
  assert.is(await verdict('nobody.invalid', port), 'unreachable');
  assert.is(await verdict('127.0.0.1', port, '192.0.2.7'), 'not_tried');
  assert.is(await verdict('2001:db8::1', port, '2001:db8:0:1::/64'), 'not_tried');
});

test.run();
