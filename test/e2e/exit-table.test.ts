// Each row of the public exit table, provoked through the real programs; each error is a sentence with a way out.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { controlApi, controlHelloSchema } from '../../codec/control-api.ts';
import { encodeFrame } from '../../codec/frames.ts';
import { type Handlers, RpcConnection } from '../../codec/rpc.ts';
import { inLab } from '../harness/lab.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, parseError, type World } from '../harness/world.ts';

const MiB = 1 << 20;

/** Something that sits on a Unix socket in the place of a daemon. */
async function withFakeDaemon(
  path: string,
  onSocket: (socket: Socket) => void,
  body: () => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await body();
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function mtFails(world: World, socket: string, code: string, exit: number, ...args: string[]): Promise<string> {
  const result = await world.mt(socket, [...args, '--json'], world.dir);
  const error = parseError(result.stdout);
  assert.equal([error?.code, result.code], [code, exit], `mt ${args.join(' ')}: ${JSON.stringify(result)}`);
  return `${error!.message} ${error!.suggestion ?? ''}`;
}

const test = suite('exit table');
/** Rows have worlds of their own and wait most of the time: two at once. */
const lanes = [Promise.resolve(), Promise.resolve()];
let rowCount = 0;

function row(name: string, body: () => Promise<void>): void {
  const lane = rowCount++ % lanes.length;
  const run = lanes[lane]!.then(body);
  lanes[lane] = run.catch(() => {}); // its own test tells
  test(name, () => run);
}

row(
  '2 USAGE, INVALID_NAME, INVALID_ARGUMENT: before anything is asked of a daemon',
  inWorld(async (world) => {
    const none = `${world.dir}/none`;
    for (const args of [
      [],
      ['no_such_command'],
      ['create_group'],
      ['create_group', 'a', 'b'],
      ['list_files', 'g', '--no-such-flag'],
      ['create_user', 'someone'],
      ['login', 'someone', '--no-input'],
    ]) {
      await mtFails(world, none, 'USAGE', 2, ...args);
    }
    await mtFails(world, none, 'INVALID_NAME', 2, 'create_group', 'a/b');
    await mtFails(world, none, 'INVALID_ARGUMENT', 2, 'limits', '--up', 'fast');
    await mtFails(world, none, 'INVALID_ARGUMENT', 2, 'create_user', 'someone', 'x'.repeat(1025));
    // Without --json: a sentence on stderr, nothing on stdout.
    const plain = await world.mt(none, ['create_grou', 'a'], world.dir);
    assert.equal([plain.code, plain.stdout], [2, '']);
    assert.match(plain.stderr, 'create_group');
    assert.not.match(plain.stderr, /^\s+at /m);
  }, 1),
);

row(
  '3 DAEMON_UNREACHABLE names the socket and how to start one; DAEMON_VERSION; 1 INTERNAL; 7 OUTCOME_UNKNOWN, TIMEOUT',
  inWorld(async (world) => {
    const none = `${world.dir}/none`;
    const help = await mtFails(world, none, 'DAEMON_UNREACHABLE', 3, 'whoami');
    assert.match(help, none);
    assert.match(help, 'mt-peerd');
    const fake = `${world.dir}/fake`;
    const future = encodeFrame(
      'hello',
      encodeCbor({ versions: { min: 90, max: 99 }, hello: { program: 'mt-peerd', version: '9' } }),
    );
    await withFakeDaemon(
      fake,
      (socket) => socket.write(future),
      async () => void (await mtFails(world, fake, 'DAEMON_VERSION', 3, 'whoami')),
    );
    const failing = {} as Record<string, unknown>;
    for (const name of Object.keys(controlApi)) {
      failing[name] = () => {
        throw new Error('a bug');
      };
    }
    const serve = (handlers: unknown) => (socket: Socket) =>
      void new RpcConnection(socket, {
        calls: {},
        serves: controlApi,
        handlers: handlers as Handlers<typeof controlApi>,
        hello: { program: 'mt-peerd' as const, version: '0.1.0' },
        helloSchema: controlHelloSchema,
        keepAlive: false,
      });
    await withFakeDaemon(fake, serve(failing), async () => {
      const sentence = await mtFails(world, fake, 'INTERNAL', 1, 'whoami');
      assert.not.match(sentence, 'a bug');
    });
    await withFakeDaemon(fake, serve({ create_group: () => new Promise(() => {}) }), async () => {
      await mtFails(world, fake, 'OUTCOME_UNKNOWN', 7, 'create_group', 'g', '--timeout', '1');
    });
    await withFakeDaemon(
      fake,
      (socket) => socket.once('data', () => socket.destroy()),
      async () => {
        const result = await world.mt(fake, ['whoami', '--json'], world.dir);
        assert.ok(result.code === 3 || result.code === 7, JSON.stringify(result));
      },
    );
    await withFakeDaemon(
      fake,
      (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      async () => {
        const result = await world.mt(fake, ['whoami', '--json'], world.dir);
        assert.ok([1, 3].includes(result.code!), JSON.stringify(result));
      },
    );
  }, 1),
);

row(
  '4 to 6 and 10: credentials, rights, things that do not exist, things that exist already',
  inWorld(async (world) => {
    await world.startTracker(1);
    const fresh = await world.daemon('fresh').start();
    await fresh.fails('NOT_LOGGED_IN', 'list_groups');
    await fresh.fails('BAD_CREDENTIALS', 'login', 'nobody', 'x');
    const { alice, bob } = await world.people('alice', 'bob');
    await alice.fails('ALREADY_LOGGED_IN', 'login', 'bob', 'pw-bob');
    await alice.fails('USER_EXISTS', 'create_user', 'bob', 'x');
    await alice.ok('create_group', 'lab');
    await bob.fails('GROUP_EXISTS', 'create_group', 'lab');
    await bob.fails('NOT_MEMBER', 'list_files', 'lab');
    await bob.fails('NO_SUCH_GROUP', 'join_group', 'nowhere');
    await bob.fails('NO_SUCH_GROUP', 'list_files', 'nowhere');
    await bob.ok('join_group', 'lab');
    await bob.fails('ALREADY_REQUESTED', 'join_group', 'lab');
    await alice.fails('NO_SUCH_REQUEST', 'accept_request', 'lab', 'nobody');
    await alice.ok('accept_request', 'lab', 'bob');
    await bob.fails('ALREADY_MEMBER', 'join_group', 'lab');
    await bob.fails('NOT_OWNER', 'list_requests', 'lab');
    await bob.fails('NOT_OWNER', 'remove_member', 'lab', 'alice');
    await alice.fails('NO_SUCH_MEMBER', 'remove_member', 'lab', 'nobody');
    await bob.fails('NO_SUCH_FILE', 'download_file', 'lab', 'nothing', '.');
    await bob.fails('NO_SUCH_FILE', 'list_seeders', 'lab', 'nothing');
    await bob.fails('NO_SUCH_DOWNLOAD', 'pause_download', 'lab', 'nothing');
    await bob.fails('NO_SUCH_SHARE', 'stop_share', 'lab', 'nothing');
    await bob.fails('PATH_NOT_FOUND', 'upload_file', 'nothing-here', 'lab');
    const { path } = alice.file('f', 1000);
    await alice.ok('upload_file', path, 'lab');
    await alice.fails('ALREADY_SHARED', 'upload_file', path, 'lab');
    await bob.fails('PATH_NOT_FOUND', 'download_file', 'lab', 'f', 'no/such/dir/');
    await bob.fails('FORBIDDEN', 'remove_file', 'lab', 'f'); // neither owner nor publisher
    writeFileSync(bob.path('taken'), 'precious');
    await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', 'taken');
    assert.is(readFileSync(bob.path('taken'), 'utf8'), 'precious');
    await bob.ok('download_file', 'lab', 'f', 'taken', '--force');
    assert.is(readFileSync(bob.path('taken')).length, 1000);
    await bob.fails('ALREADY_DOWNLOADED', 'download_file', 'lab', 'f', 'elsewhere');
    const other = bob.file('other', 500).path;
    mkdirSync(bob.path('d'));
    writeFileSync(bob.path('d', 'f'), readFileSync(other));
    await bob.fails('FILE_EXISTS', 'upload_file', 'd/f', 'lab');
    // Failures are counted, successes are not.
    const tries: string[] = [];
    while (tries.length < 40 && tries.at(-1) !== 'TOO_MANY_ATTEMPTS') {
      const { stdout, code } = await fresh.mt('login', 'alice', 'wrong', '--json');
      assert.is(code, 4);
      tries.push(parseError(stdout)!.code);
    }
    assert.equal(tries.slice(0, 5), Array(5).fill('BAD_CREDENTIALS'));
    assert.is(tries.at(-1), 'TOO_MANY_ATTEMPTS', tries.join(' '));
    // A directory is no file to share.
    await alice.fails('INVALID_ARGUMENT', 'upload_file', '.', 'lab');
  }, 1),
);

row(
  '130 on Ctrl-C: the download stays in the daemon',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    const { path } = alice.file('f', 4 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '256K'); // it is still going when two more programs have run

    const child = spawn(process.execPath, [BINS.mt, 'download_file', 'lab', 'f', '.'], {
      cwd: bob.dir,
      env: { ...world.env, MT_SOCKET: bob.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    await until('it runs', async () => state(bob));
    child.kill('SIGINT');
    const exit = await new Promise((resolve) => child.on('close', resolve));
    assert.is(exit, 130, stderr);
    assert.match(stderr, 'goes on');
    assert.is(await state(bob), 'downloading');
    await bob.ok('cancel_download', 'lab', 'f');
  }),
);

row(
  '7 TRACKER_UNREACHABLE: no tracker answers at all',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    await world.trackers.get(1)!.kill();
    const result = await alice.mt('list_groups', '--timeout', '2', '--json');
    assert.is(result.code, 7, JSON.stringify(result));
    assert.is(parseError(result.stdout)!.code, 'TRACKER_UNREACHABLE');
    assert.ok(result.elapsedMs < 8_000);
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' }, 'what the daemon knows needs no tracker');
    assert.is((await alice.ok<{ trackers: unknown[] }>('tracker_status')).trackers.length, 1);
    assert.is((await alice.ok<{ user_id: string }>('status')).user_id, 'alice');
  }, 1),
);

async function state(daemon: Daemon): Promise<string | undefined> {
  return (await daemon.ok<{ downloads: { state: string }[] }>('show_downloads')).downloads[0]?.state;
}

test.run();
