// No secret is where it does not belong: everything that the programs wrote while people made accounts, mistyped, changed passwords,
// shared, downloaded and failed over is read byte by byte afterwards: data directories, logs, answers, process titles, events.
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../../cluster/node/digest.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { openArchive } from '../../cluster/store/archive.ts';
import { replay } from '../../cluster/store/replay.ts';
import { Member } from '../harness/hostile-member.ts';
import { BINS, type Program } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { describe, inWorld, type World } from '../harness/world.ts';

const test = suite('secrets');

/** A byte string that must not be found, however it was written down. */
interface Secret {
  readonly what: string;
  readonly forms: readonly Buffer[];
  /** Files (relative to the world's directory) where it belongs. */
  readonly home?: RegExp;
}

function secret(what: string, bytes: Buffer, home?: RegExp): Secret {
  const forms = [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64').replace(/=+$/, ''))];
  return home ? { what, forms, home } : { what, forms };
}

/** The 32 bytes that an Ed25519 private key is (RFC 8410), and its PEM body. */
function keySecret(what: string, pem: string, home: RegExp): Secret {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  const { forms } = secret(what, der.subarray(-32));
  return { what, forms: [...forms, Buffer.from(der.toString('base64'))], home };
}

function* filesBelow(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

function titles(programs: readonly Program[]): Buffer {
  return Buffer.concat(
    programs.flatMap(({ pid }) => ['cmdline', 'comm'].map((name) => readFileSync(join('/proc', String(pid), name)))),
  );
}

function search(world: World, secrets: readonly Secret[], said: Record<string, Buffer>): string[] {
  const found: string[] = [];
  const written: Record<string, Buffer> = { ...said };
  for (const path of filesBelow(world.dir)) written[relative(world.dir, path)] = readFileSync(path);
  for (const [where, bytes] of Object.entries(written)) {
    for (const { what, forms, home } of secrets) {
      if (home?.test(where)) continue;
      for (const form of forms) if (bytes.includes(form)) found.push(`${what} is in ${where}`);
    }
  }
  return found;
}

/** The places where a secret might be were among the files that were read. */
function assertSearched(world: World): void {
  const files = [...filesBelow(world.dir)].map((path) => relative(world.dir, path));
  const kinds = [
    /tracker-\d\/.*\.sqlite$/,
    /-wal$/,
    /copy-3\.sqlite$/,
    /copy-3\.snapshot$/,
    /alice\/data\/.*\.sqlite$/,
  ];
  for (const kind of kinds) {
    assert.ok(
      files.some((file) => kind.test(file)),
      `files like ${kind} were searched: ${files.join(' ')}`,
    );
  }
}

/** What the trackers' own tools say of their data; and a copy of all of it, which is searched with the world's directory. */
async function readArchives(world: World, said: Record<string, Buffer>): Promise<void> {
  for (const number of [1, 2, 3]) {
    const dataDir = join(world.dir, 'state', 'mini-torrent', `tracker-${number}`);
    for (const args of [['events'], ['backup', `copy-${number}.sqlite`]]) {
      const program = world.spawn(args[0]!, BINS.trackerd, [...args, '--data-dir', dataDir]);
      assert.is((await program.exit()).code, 0, program.stderr);
      said[`${args[0]} of tracker ${number}`] = Buffer.from(program.stdout + program.stderr);
    }
    writeFileSync(join(world.dir, `copy-${number}.snapshot`), snapshotOf(dataDir));
  }
}

/** What compaction would keep of this log; it comes only after more entries than a test makes. */
function snapshotOf(dataDir: string): Buffer {
  const archive = openArchive(dataDir);
  try {
    const { state, more } = replay(archive, sha256);
    for (const _ of more());
    const snapshot = takeSnapshot(state, sha256);
    const chunks: Uint8Array[] = [];
    for (let chunk = snapshot.next(); chunk !== null; chunk = snapshot.next()) chunks.push(chunk);
    return Buffer.concat(chunks);
  } finally {
    archive.close();
  }
}

test(
  'passwords, private keys, tickets and sessions are nowhere but at home',
  inWorld(async (world) => {
    const trackers = [1, 2, 3].map((number) => world.launchTracker(number, '--log-level', 'trace'));
    await Promise.all(trackers.map((tracker) => tracker.ready()));
    const alice = await world.daemon('alice').start('--log-level', 'trace');
    const bob = await world.daemon('bob').start('--log-level', 'trace');
    const [first, second, typed, wrong] = ['first', 'second', 'typed', 'wrong'].map((name) => `S3cret-${name}-Zq9!xY`);
    const answers: Buffer[] = [];
    const mt = async (from: typeof alice, args: string[], input?: string) => {
      const result = await world.mt(from.socket, args, from.dir, {}, input);
      answers.push(Buffer.from(result.stdout + result.stderr));
      return result;
    };
    const good = async (...all: Parameters<typeof mt>) => {
      const result = await mt(...all);
      assert.is(result.code, 0, `${all[1].join(' ')}: ${describe(result)}`);
    };

    await good(alice, ['create_user', 'alice', first!]);
    await good(alice, ['login', 'alice', first!]);
    await good(bob, ['create_user', 'bob', '--password-stdin'], typed);
    await good(bob, ['login', 'bob', '--password-stdin'], typed);
    assert.is((await mt(world.daemons[0]!, ['login', 'alice', wrong!])).code, 4);
    await mt(alice, ['create_user', 'alice', wrong!]); // USER_EXISTS
    assert.is((await mt(alice, ['change_password', wrong!, wrong!])).code, 2, 'it takes no passwords as arguments');
    assert.is((await mt(alice, ['login', 'alice', `--${wrong}`])).code, 2, 'a password that begins with dashes');
    assert.is((await mt(alice, ['change_password', '--password-stdin'], `${wrong}\n${second}\n`)).code, 4);
    await good(alice, ['change_password', '--password-stdin'], `${first}\n${second}\n`);
    await mt(alice, ['login', 'alice', second!, 'too', 'many', '--json']);
    await good(alice, ['create_group', 'lab']);
    await good(bob, ['join_group', 'lab']);
    await good(alice, ['accept_request', 'lab', 'bob']);
    const { path } = alice.file('f', 1_000_000);
    await good(alice, ['upload_file', path, 'lab']);
    await good(bob, ['download_file', 'lab', 'f', '.']);
    const session = (await alice.ok<{ sessions: { session: string }[] }>('sessions')).sessions[0]!.session;
    const thief = await Member.join({
      tracker: world.trackerAddress(2),
      address: world.daemon('x').address,
      user: 'bob',
      isNew: false,
      password: typed!,
    });
    const { ticket } = await thief.locate('lab', 'f');
    await thief.leaveGroup('lab').catch(() => {});
    thief.close();
    await world.killLeader(alice);
    await until('it works again', async () => (await alice.mt('list_groups')).code === 0, { timeoutMs: 20_000 });
    await good(bob, ['logout']);

    const programs = [...world.trackers.values(), alice.program, bob.program].filter(({ isRunning }) => isRunning);
    const said: Record<string, Buffer> = {
      'process titles': titles(programs),
      'answers of mt': Buffer.concat(answers),
    };
    for (const program of [...trackers, alice.program, bob.program]) {
      said[`log of ${program.name}`] = Buffer.from(program.stdout + program.stderr);
    }
    assert.ok(said['log of mt-peerd alice']!.length > 200, 'the logs say something');
    // One of them leaves its write-ahead log behind, as after a crash; the others stop cleanly.
    await programs.shift()!.kill();
    await Promise.all(programs.map((program) => program.stop()));
    await readArchives(world, said);

    const pemOf = (path: string) =>
      /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(readFileSync(path, 'utf8'))![0];
    const clusterKey = join(world.dir, 'state', 'mini-torrent', 'cluster.key');
    const secrets = [
      ...[first, second, typed, wrong].map((password) => secret(`the password ${password}`, Buffer.from(password!))),
      keySecret('the cluster key', pemOf(clusterKey), /^state\/mini-torrent\/cluster\.key$/),
      ...[alice, bob].map((daemon) =>
        keySecret(
          `the key of ${daemon.name}`,
          pemOf(daemon.path('data', 'identity.pem')),
          new RegExp(`^${daemon.name}/data/identity\\.pem$`),
        ),
      ),
      secret('a ticket', Buffer.from(ticket.subarray(-64))),
      secret('a field of any ticket', Buffer.from('not_before')),
      // A session's id opens nothing without its daemon's key; it belongs to its daemon and to the trackers' state, not into what people read.
      {
        what: 'a session id',
        forms: [Buffer.from(session)],
        home: /^(alice\/data\/|state\/mini-torrent\/tracker-\d\/|copy-\d\.(sqlite|snapshot)$)/,
      },
    ];
    assert.equal(search(world, secrets, said), []);
    for (const path of [clusterKey, alice.path('data', 'identity.pem')])
      assert.is(statSync(path).mode & 0o777, 0o600, path);
    assertSearched(world);
    assert.ok(search(world, [secret('a name', Buffer.from('alice'))], said).length > 5, 'the search finds things');
  }),
);

test.run();
