// A whole daemon in this process, spoken to over its real socket; and what it finds, makes and refuses on disk.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { controlApi, controlHelloSchema } from '../../codec/control-api.ts';
import { type ErrorCode, isMtError, MtError } from '../../codec/errors.ts';
import { formatAddress } from '../../codec/ids.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { parseArguments } from '../../daemon/arguments.ts';
import { type RunningDaemon, startDaemon } from '../../daemon/daemon.ts';
import { freePorts } from '../harness/free-ports.ts';
import { until } from '../harness/until.ts';
import { ScriptedTracker } from './scripted-tracker.ts';

const test = suite('control-server');
const log = pino({ level: 'silent' });
const SESSION = 'a'.repeat(32);

let cleanups: (() => unknown)[] = [];
test.after.each(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mt-ctl-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** A cluster of one that takes every file, once. */
async function tracker(): Promise<ScriptedTracker> {
  const shared = new Set<string>();
  const started = await ScriptedTracker.start(1, {
    login: () => ({ session: SESSION, epoch: 1 }),
    heartbeat: () => ({ online: true }),
    watch_session: () => new Promise<never>(() => {}),
    locate_file: () => {
      throw new MtError('NO_SUCH_FILE', 'none');
    },
    share_file: ({ file_name }) => {
      const isNew = !shared.has(file_name);
      shared.add(file_name);
      return { new_file: isNew };
    },
    list_groups: ({ after }) => ({
      groups: [{ group_id: after === null ? 'a' : 'b', owner: 'alice', members: 1, standing: 'owner' }],
      next: after === null ? 'a' : null,
    }),
  });
  cleanups.push(() => started.stop());
  return started;
}

interface Place {
  dir: string;
  args: string[];
  socket: string;
}

async function place(socket?: string): Promise<Place> {
  const dir = temporary();
  const one = await tracker();
  writeFileSync(join(dir, 'info.txt'), formatAddress(one.address));
  const path = socket ?? join(dir, 'data', 's');
  return {
    dir,
    socket: path,
    args: ['127.0.0.1:0', join(dir, 'info.txt'), '--data-dir', join(dir, 'data'), '--socket', path],
  };
}

async function start({ args }: Place): Promise<RunningDaemon> {
  const daemon = await startDaemon(parseArguments(args, {}), log);
  cleanups.push(() => daemon.close());
  return daemon;
}

async function open(socket: string) {
  const connection = new RpcConnection(connect(socket), {
    calls: controlApi,
    hello: { program: 'mt', version: '0' },
    helloSchema: controlHelloSchema,
    keepAlive: false,
  });
  cleanups.push(() => connection.close());
  await connection.ready;
  return connection;
}

async function failsWith(code: ErrorCode, work: Promise<unknown>): Promise<MtError> {
  try {
    await work;
  } catch (error) {
    assert.ok(isMtError(error, code), String(error));
    return error;
  }
  throw new Error(`expected ${code}`);
}

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('commands over the socket: accounts, listings in full, status', async () => {
  const here = await place();
  await start(here);
  const mt = await open(here.socket);
  assert.equal(await mt.call('whoami', {}), { user_id: null });
  await failsWith('NOT_LOGGED_IN', mt.call('list_groups', {}));
  await mt.call('login', { user_id: 'alice', password: 'pw' });
  assert.equal(await mt.call('whoami', {}), { user_id: 'alice' });
  assert.equal(
    (await mt.call('list_groups', {})).groups.map(({ group_id }) => group_id),
    ['a', 'b'],
  );
  const status = await mt.call('status', {});
  assert.is(status.socket, here.socket);
  assert.is(status.user_id, 'alice');
  assert.is(status.tracker.connected, true);
  assert.equal(await mt.call('limits', { up: 1_000_000, down: null }), { up: 1_000_000, down: 0 });
  await failsWith('PROTOCOL', mt.call('login', { user_id: '../..', password: 'pw' }));
});

test('what the daemon makes is private; what a dead one left is replaced', async () => {
  const here = await place();
  const first = await start(here);
  const data = join(here.dir, 'data');
  assert.is(mode(data), '700');
  assert.is(mode(here.socket), '600');
  for (const name of readdirSync(data)) if (name !== 'downloads') assert.is(mode(join(data, name)), '600', name);
  await first.close();
  assert.not(existsSync(here.socket));

  const { status } = spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(here.socket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  assert.is(status, null);
  assert.ok(existsSync(here.socket), 'a stale socket');
  await start(here);
  await open(here.socket);
});

test('a living socket, and a file that is none, are left alone', async () => {
  const dir = temporary();
  const taken = join(dir, 's');
  const server = createServer(() => {}).listen(taken);
  cleanups.push(() => server.close());
  await failsWith('ADDRESS_IN_USE', start(await place(taken)));
  assert.ok(server.listening);
  const file = join(dir, 'file');
  writeFileSync(file, 'precious');
  await failsWith('INVALID_ARGUMENT', start(await place(file)));
  assert.is(statSync(file).size, 8);
});

test('one daemon a data directory; the refusal has the command for another one', async () => {
  const here = await place();
  await start(here);
  const error = await failsWith('DATA_DIR_LOCKED', start({ ...here, args: here.args.with(-1, join(here.dir, 't')) }));
  assert.match(error.suggestion!, '--data-dir');
  assert.match(error.suggestion!, '--socket');
  assert.match(error.suggestion!, 'info.txt');
});

test('the identity stays the same over restarts, and a damaged one is said', async () => {
  const here = await place();
  const first = await start(here);
  const before = (await (await open(here.socket)).call('status', {})).fingerprint;
  await first.close();
  const second = await start(here);
  assert.is((await (await open(here.socket)).call('status', {})).fingerprint, before);
  await second.close();
  writeFileSync(join(here.dir, 'data', 'identity.pem'), 'rubbish');
  await failsWith('INTERNAL', start(here));
});

test('upload: every kind of path', async () => {
  const here = await place();
  await start(here);
  const mt = await open(here.socket);
  const upload = (path: string) => mt.call('upload_file', { path, group_id: 'g' });
  const file = join(here.dir, 'file.bin');
  writeFileSync(file, 'content');
  await failsWith('NOT_LOGGED_IN', upload(file));
  await mt.call('login', { user_id: 'alice', password: 'pw' });
  await failsWith('PATH_NOT_FOUND', upload(join(here.dir, 'nothing')));
  await failsWith('INVALID_ARGUMENT', upload(here.dir));
  spawnSync('mkfifo', [join(here.dir, 'fifo')]);
  await failsWith('INVALID_ARGUMENT', upload(join(here.dir, 'fifo')));
  await failsWith('INVALID_ARGUMENT', upload(here.socket));
  await failsWith('INVALID_NAME', upload(`${here.dir}/a\u0007b`));
  symlinkSync('loop', join(here.dir, 'loop'));
  await failsWith('INVALID_ARGUMENT', upload(join(here.dir, 'loop')));

  const shared = await upload(file);
  assert.is(shared.new_file, true);
  assert.is(shared.sha1, '040f06fd774092478d450774f5ba30c5da78acc8');
  await failsWith('ALREADY_SHARED', upload(file));
  // A symlink shares what it leads to, under its own name.
  symlinkSync(file, join(here.dir, 'link.bin'));
  await upload(join(here.dir, 'link.bin'));
  const { shares } = await mt.call('show_shares', {});
  assert.equal(
    shares.map(({ file_name, path, state }) => [file_name, path, state]),
    [
      ['file.bin', file, 'shared'],
      ['link.bin', file, 'shared'],
    ],
  );
});

test('upload again: a moved file is served from its new place, other content is refused', async () => {
  const here = await place();
  await start(here);
  const mt = await open(here.socket);
  await mt.call('login', { user_id: 'alice', password: 'pw' });
  const file = join(here.dir, 'file.bin');
  const upload = (path: string) => mt.call('upload_file', { path, group_id: 'g' });
  const first = async () => (await mt.call('show_shares', {})).shares[0]!;
  writeFileSync(file, 'content');
  await upload(file);
  mkdirSync(join(here.dir, 'new'));
  const moved = join(here.dir, 'new', 'file.bin');
  renameSync(file, moved);
  assert.is((await first()).state, 'missing');
  assert.is((await upload(moved)).new_file, false);
  assert.equal([(await first()).path, (await first()).state], [moved, 'shared']);
  writeFileSync(moved, 'another content');
  assert.is((await first()).state, 'changed');
  await failsWith('FILE_EXISTS', upload(moved));
});

test('a file that changes while it is read is no share', async () => {
  const here = await place();
  await start(here);
  const mt = await open(here.socket);
  await mt.call('login', { user_id: 'alice', password: 'pw' });
  const path = join(here.dir, 'growing');
  writeFileSync(path, '');
  truncateSync(path, 200 * 2 ** 20);
  let isTouched = false;
  const onEvent = () => {
    if (isTouched) return;
    isTouched = true;
    utimesSync(path, 1, 1);
  };
  await failsWith('INVALID_ARGUMENT', mt.call('upload_file', { path, group_id: 'g' }, { onEvent }));
  assert.equal(await mt.call('show_shares', {}), { shares: [] });
});

test('names are normalised for the group, the file on disk is not', async () => {
  const here = await place();
  await start(here);
  const mt = await open(here.socket);
  await mt.call('login', { user_id: 'alice', password: 'pw' });
  const decomposed = 'e\u0301te\u0301.txt';
  writeFileSync(join(here.dir, decomposed), 'x');
  const { file_name } = await mt.call('upload_file', { path: join(here.dir, decomposed), group_id: 'g' });
  assert.is(file_name, '\u00e9t\u00e9.txt');
  assert.ok(readdirSync(here.dir).includes(decomposed));
});

test('a directory that others can write to is made private when it is ours', async () => {
  const dir = join(temporary(), 'open');
  mkdirSync(dir);
  chmodSync(dir, 0o777);
  const here = await place(join(dir, 's'));
  await start(here);
  assert.is(mode(dir), '700');
  assert.is(mode(here.socket), '600');
});

test('it is ready without trackers, and finds them when they come', async () => {
  const here = await place();
  const [port] = await freePorts(1);
  const address = { host: '127.0.0.1', port: port! };
  writeFileSync(join(here.dir, 'info.txt'), formatAddress(address));
  await start(here);
  const mt = await open(here.socket);
  const status = await mt.call('status', {});
  assert.is(status.tracker.connected, false);
  const { trackers, leader } = await mt.call('tracker_status', { timeout_ms: 300 });
  assert.equal(
    trackers.map(({ number, role, reachable }) => [number, role, reachable]),
    [[1, 'unreachable', false]],
  );
  assert.is(leader, null);
  await failsWith('TRACKER_UNREACHABLE', mt.call('create_user', { user_id: 'a', password: 'b', timeout_ms: 200 }));
  const back = await ScriptedTracker.start(1, { create_user: () => ({}) }, undefined, port);
  cleanups.push(() => back.stop());
  await mt.call('create_user', { user_id: 'a', password: 'b' });
  await until('connected', async () => (await mt.call('status', {})).tracker.connected);
});

test.run();
