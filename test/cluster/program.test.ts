import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Ended, run, TestCluster, type TestTracker, until } from './harness.ts';

const test = suite<{ cluster: TestCluster }>('mt-trackerd as a program');
test.before.each(async (context) => {
  context.cluster = await TestCluster.make(1);
});
test.after.each(({ cluster }) => cluster.stop());

/** One sentence for a person: no stack, no JSON. */
function isSentence({ stderr, stdout }: Ended): void {
  assert.match(stderr, /^mt-trackerd: [^{]+\n/);
  assert.not.match(stderr, /\n {4}at /);
  assert.is(stdout, '');
}
async function ready(tracker: TestTracker): Promise<void> {
  await until(`ready: ${tracker.stderr}`, () => tracker.isReady);
}

test('wrong arguments: a sentence and exit 2', async ({ cluster }) => {
  writeFileSync(join(cluster.dir, 'bad.txt'), 'what is this/\n');
  const wrong = [
    [],
    [cluster.infoFile],
    [cluster.infoFile, '1', '2'],
    [cluster.infoFile, 'one'],
    [cluster.infoFile, '0'],
    [cluster.infoFile, '2'],
    [cluster.infoFile, '1', '--no-such-option'],
    [cluster.infoFile, '1', '--listen', 'nowhere'],
    [cluster.infoFile, '1', '--log-level', 'loud'],
    [join(cluster.dir, 'bad.txt'), '1'],
  ];
  for (const ended of await Promise.all(wrong.map((args) => run(cluster, ...args)))) {
    isSentence(ended);
    assert.is(ended.code, 2, ended.stderr);
  }
  const missing = await run(cluster, join(cluster.dir, 'none.txt'), '1');
  isSentence(missing);
  assert.is(missing.code, 6);
  assert.match((await run(cluster, '--help')).stdout, /^Usage: mt-trackerd/);
});

test('a taken port: exit 9, and who has to go', async ({ cluster }) => {
  const server = createServer().listen(cluster.tracker(1).port, '127.0.0.1');
  const ended = await run(cluster, cluster.infoFile, '1');
  server.close();
  isSentence(ended);
  assert.is(ended.code, 9);
  assert.match(ended.stderr, /in use/);
});

test('one tracker forms alone, says that no failure is tolerated, and holds its data directory', async ({
  cluster,
}) => {
  const tracker = cluster.spawn(1);
  await ready(tracker);
  assert.is(tracker.stdout, `mt-trackerd 1 ready on 127.0.0.1:${tracker.port}\n`);
  assert.match(tracker.stderr, /no failure is tolerated/);
  assert.is(statSync(tracker.dataDir).mode & 0o777, 0o700);
  for (const file of readdirSync(tracker.dataDir)) {
    assert.is(statSync(join(tracker.dataDir, file)).mode & 0o077, 0, file);
  }
  const second = await run(cluster, cluster.infoFile, '1', '--data-dir', tracker.dataDir);
  isSentence(second);
  assert.is(second.code, 9);
  assert.match(second.stderr, /mt-trackerd .*tracker_info\.txt 1 --data-dir \S+/);
  // The lock goes with its holder, however that ends.
  await tracker.kill();
  await ready(cluster.spawn(1));
});

test('SIGTERM, SIGINT and the line "quit" end it cleanly, the end of stdin does not', async ({ cluster }) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    await ready(cluster.spawn(1));
    assert.is(await cluster.tracker(1).kill(signal), 0);
  }
  const tracker = cluster.spawn(1);
  await ready(tracker);
  tracker.process!.stdin!.write('what\nquit\n');
  assert.is(await tracker.exit, 0);
  const again = cluster.spawn(1);
  await ready(again);
  again.process!.stdin!.end();
  const client = await cluster.client(1);
  await client.call('tracker_status', {});
  assert.is(again.process!.exitCode, null);
});

test('the cluster key: made on loopback, private, never elsewhere or in the data directory', async ({ cluster }) => {
  const keyFile = join(cluster.dir, 'mini-torrent/cluster.key');
  const remote = join(cluster.dir, 'remote.txt');
  writeFileSync(remote, '192.0.2.1:5353\n');
  const refused = await run(cluster, remote, '1');
  isSentence(refused);
  assert.is(refused.code, 6);
  assert.match(refused.stderr, /mt-trackerd init/);
  assert.not.ok(existsSync(keyFile));

  const made = await run(cluster, 'init');
  assert.is(made.code, 0);
  const [line] = /^key [0-9a-f]{64}$/m.exec(made.stdout)!;
  assert.is(statSync(keyFile).mode & 0o777, 0o600);
  const pem = readFileSync(keyFile, 'utf8');
  assert.is((await run(cluster, 'init')).code, 10);
  assert.is(readFileSync(keyFile, 'utf8'), pem, 'the key that is there stays');

  chmodSync(keyFile, 0o644);
  const open = await run(cluster, cluster.infoFile, '1');
  isSentence(open);
  assert.is(open.code, 9);
  chmodSync(keyFile, 0o600);

  const { dataDir } = cluster.tracker(1);
  mkdirSync(dataDir);
  const inside = await run(cluster, cluster.infoFile, '1', '--data-dir', dataDir, '--cluster-key', join(dataDir, 'k'));
  isSentence(inside);
  assert.is(inside.code, 2);

  writeFileSync(cluster.infoFile, `key ${'0'.repeat(64)}\n127.0.0.1:${cluster.tracker(1).port}\n`);
  const other = await run(cluster, cluster.infoFile, '1');
  isSentence(other);
  assert.is(other.code, 5);
  writeFileSync(cluster.infoFile, `${line}\n127.0.0.1:${cluster.tracker(1).port}\n`);
  await ready(cluster.spawn(1));
});

test('a data directory of another number, and one that may not be written', async ({ cluster }) => {
  const { dataDir } = cluster.tracker(1);
  await ready(cluster.spawn(1));
  await cluster.tracker(1).kill('SIGTERM');
  writeFileSync(cluster.infoFile, '127.0.0.1:5\n127.0.0.1:6\n');
  const ended = await run(cluster, cluster.infoFile, '2', '--data-dir', dataDir);
  isSentence(ended);
  assert.is(ended.code, 2);
  assert.match(ended.stderr, /belongs to tracker 1/);
  writeFileSync(join(cluster.dir, 'file'), '');
  const noDir = await run(cluster, cluster.infoFile, '1', '--data-dir', join(cluster.dir, 'file', 'x'));
  isSentence(noDir);
  assert.is(noDir.code, 9);
});

test('events tell who did what, without a secret; verify finds the data right, and damage wrong', async ({
  cluster,
}) => {
  const tracker = cluster.spawn(1);
  await ready(tracker);
  const ann = await (await cluster.client(1)).signUp('ann');
  await ann.command('create_group', { group_id: 'team' });
  const { stdout } = await until('the events', async () => {
    const ended = await run(cluster, 'events', '--data-dir', tracker.dataDir, '--json');
    return ended.stdout.includes('group_created') ? ended : null;
  });
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(
    events.map(({ type, by }) => [type, by]),
    [
      ['user_created', 'ann'],
      ['logged_in', 'ann'],
      ['daemon_online', 'ann'],
      ['group_created', 'ann'],
      ['member_joined', 'ann'],
    ].slice(0, events.length),
  );
  assert.not.match(stdout, new RegExp(ann.session));
  const filtered = await run(cluster, 'events', '--data-dir', tracker.dataDir, '--group', 'team');
  assert.match(filtered.stdout, /group_created/);
  assert.not.match(filtered.stdout, /user_created/);
  const right = await run(cluster, 'verify', '--data-dir', tracker.dataDir);
  assert.is(right.code, 0, right.stderr);
  await tracker.kill('SIGTERM');
  const { default: Database } = await import('better-sqlite3');
  const db = new Database(join(tracker.dataDir, 'tracker.sqlite'));
  db.prepare('UPDATE entries SET term = term + 1 WHERE log_index = 3').run();
  db.close();
  const wrong = await run(cluster, 'verify', '--data-dir', tracker.dataDir);
  isSentence(wrong);
  assert.is(wrong.code, 8);
  // Nobody could refill it: it must not start on damaged data.
  const start = await run(cluster, cluster.infoFile, '1', '--data-dir', tracker.dataDir, '--log-level', 'silent');
  isSentence(start);
  assert.is(start.code, 8);
});

test.run();
