// A daemon's own doors: its control socket is its user's alone and nothing of it is to be had on TCP; what is uploaded is a regular
// file that the user can read, the one that was hashed as long as it is served, and no other.
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame } from '../../codec/frames.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import { sha1Of } from '../harness/files.ts';
import { connectTls } from '../harness/hostile-member.ts';
import { inLab } from '../harness/lab.ts';
import { BINS } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const test = suite('own doors');
const asRoot = process.getuid!() === 0 ? null : 'needs root, to be somebody else too';
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const NOBODY = 65_534;

/** A daemon with its socket at `socket`: started, or its refusal. */
async function startAt(world: World, daemon: Daemon, socket: string): Promise<{ said: string; code: number | null }> {
  const args = daemon.args.map((arg) => (arg === daemon.socket ? socket : arg));
  const program = world.spawn('mt-peerd', BINS.peerd, args);
  await until('ready or refused', () => program.stdout.includes('ready on') || !program.isRunning);
  const code = program.isRunning ? null : (await program.exit()).code;
  if (program.isRunning) assert.is(mode(socket), '600');
  await program.kill();
  return { code, said: program.stderr };
}

test(
  'the socket is 0600 in a directory that nobody else can enter: made so, closed, or refused',
  inWorld(async (world) => {
    const alice = world.daemon('alice');
    // Not below the world's own directory, which is private already.
    const base = mkdtempSync(join(tmpdir(), 'mt-doors-'));
    chmodSync(base, 0o755);
    try {
      const made = join(base, 'new', 'deep');
      assert.is((await startAt(world, alice, join(made, 's'))).code, null);
      assert.is(mode(made), '700');
      for (const bits of [0o755, 0o770, 0o777, 0o711, 0o750]) {
        const dir = join(base, bits.toString(8));
        mkdirSync(dir);
        chmodSync(dir, bits);
        const { code, said } = await startAt(world, alice, join(dir, 's'));
        assert.is(code, null, said);
        assert.is(mode(dir), '700', `${bits.toString(8)} was closed`);
        assert.match(said, 'is private now');
      }
      if (!asRoot) {
        const others = join(base, 'others');
        mkdirSync(others);
        chownSync(others, NOBODY, NOBODY);
        for (const bits of [0o755, 0o777]) {
          chmodSync(others, bits);
          const { code, said } = await startAt(world, alice, join(others, 's'));
          assert.is(code, 9, said);
          assert.match(said, others);
        }
      }
    } finally {
      rmSync(base, { recursive: true });
    }
  }, 1),
);

testOrSkip(
  test,
  'another user can neither connect to it nor lure mt to a socket of his own',
  asRoot,
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    // Even if every directory above it were open, the socket is not.
    for (const dir of [world.dir, alice.dir, join(alice.dir, 'run')]) chmodSync(dir, 0o755);
    const knock = `require('net').connect(${JSON.stringify(alice.socket)}).on('error', (e) => console.log(e.code)).on('connect', () => console.log('in'))`;
    const other = spawn(process.execPath, ['-e', knock], { uid: NOBODY, gid: NOBODY, cwd: '/' });
    let said = '';
    other.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await new Promise((resolve) => other.once('close', resolve));
    assert.is(said.trim(), 'EACCES');

    const lure = join(world.dir, 'lure');
    let told = 0;
    const server = createServer((socket) => socket.on('data', () => told++)).listen(lure);
    await new Promise((resolve) => server.once('listening', resolve));
    chmodSync(lure, 0o777);
    const mt = spawn(process.execPath, [BINS.mt, 'login', 'alice', 'secret', '--socket', lure], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      env: { PATH: process.env.PATH, HOME: '/nonexistent' },
    });
    const code = await new Promise((resolve) => mt.once('close', resolve));
    assert.is(code, 3);
    assert.is(told, 0, 'nothing was said to it');
    server.close();
  }, 1),
);

/** TCP ports that this process listens at. */
function listening(pid: number): string[] {
  const lines = execFileSync('cat', [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`], { encoding: 'utf8' }).split(
    '\n',
  );
  const inodes = new Map(
    lines
      .map((line) => line.trim().split(/\s+/))
      .filter((cells) => cells[3] === '0A')
      .map((cells) => [cells[9]!, cells[1]!]),
  );
  const links = execFileSync('ls', ['-l', `/proc/${pid}/fd`], { encoding: 'utf8' });
  return [...links.matchAll(/socket:\[(\d+)\]/g)].flatMap(([, inode]) => inodes.get(inode!) ?? []);
}

test(
  'nothing of the control API answers on TCP: there is one port, and it knows no such frames',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    assert.is(listening(alice.program.pid).length, 1, 'one port: the peers’');
    const identity = await makeDaemonIdentity(Date.now());
    const hello = encodeFrame(
      'hello',
      encodeCbor({ versions: { min: 1, max: 1 }, hello: { program: 'mt', version: '0.1.0' } }),
    );
    for (const method of ['whoami', 'status', 'show_shares', 'logout']) {
      const socket = connectTls(alice.address, identity);
      const came: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => came.push(chunk));
      socket.once('secureConnect', () => {
        socket.write(hello);
        socket.write(encodeFrame('call', encodeCbor([1, method, { timeout_ms: 1_000 }, 1_000])));
      });
      await new Promise((resolve) => socket.once('close', resolve));
      const said = Buffer.concat(came).toString('latin1');
      assert.not.match(said, 'reply');
      assert.not.match(said, 'alice');
    }
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
  }, 1),
);

testOrSkip(
  test,
  'upload_file takes regular files that the user can read: no fifo, device, socket, unreadable or dangling path',
  asRoot,
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    await alice.ok('create_group', 'lab');
    const at = (name: string) => alice.path(name);
    execFileSync('mkfifo', [at('fifo')]);
    execFileSync('mknod', [at('block'), 'b', '7', '200']);
    const server = createServer().listen(at('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    symlinkSync('nowhere', at('dangling'));
    symlinkSync('loop', at('loop'));
    symlinkSync('fifo', at('to-fifo'));
    const refusals: Record<string, 'INVALID_ARGUMENT' | 'PATH_NOT_FOUND'> = {
      fifo: 'INVALID_ARGUMENT',
      'to-fifo': 'INVALID_ARGUMENT',
      block: 'INVALID_ARGUMENT',
      socket: 'INVALID_ARGUMENT',
      '/dev/zero': 'INVALID_ARGUMENT',
      loop: 'INVALID_ARGUMENT',
      dangling: 'PATH_NOT_FOUND',
      absent: 'PATH_NOT_FOUND',
    };
    for (const [name, code] of Object.entries(refusals)) {
      const startedAt = performance.now();
      await alice.fails(code, 'upload_file', name, 'lab');
      assert.ok(performance.now() - startedAt < 5_000, `${name}: nobody waits for the other end`);
    }
    server.close();
    // A link to a file is the file behind it.
    const { sha1 } = alice.file('real', 1_000);
    symlinkSync('real', at('link'));
    assert.is((await alice.ok('upload_file', 'link', 'lab')).sha1, sha1);
    const { shares } = await alice.ok<{ shares: { path: string }[] }>('show_shares');
    assert.equal(
      shares.map(({ path }) => path),
      [at('real')],
    );
    assert.equal(await alice.ok('list_groups'), {
      groups: [{ group_id: 'lab', owner: 'alice', members: 1, standing: 'owner' }],
    });
  }, 1),
);

const SWAPS: Record<string, (path: string) => void> = {
  // Of the same size: with the same content beside it, the daemon would find that and share it from there.
  'a symlink in its place': (path) => {
    writeFileSync(`${path}.like-it`, Buffer.alloc(statSync(path).size, 9));
    unlinkSync(path);
    symlinkSync(`${path}.like-it`, path);
  },
  'a symlink to a secret': (path) => {
    unlinkSync(path);
    symlinkSync('/etc/passwd', path);
  },
  'another file of the same size': (path) => {
    const { size, mtime } = statSync(path);
    writeFileSync(`${path}.new`, Buffer.alloc(size, 7));
    utimesSync(`${path}.new`, mtime, mtime);
    renameSync(`${path}.new`, path);
  },
  'a hard link to another file': (path) => {
    writeFileSync(`${path}.other`, 'secret');
    unlinkSync(path);
    linkSync(`${path}.other`, path);
  },
  'written into': (path) => writeFileSync(path, 'X', { flag: 'r+' }),
  appended: (path) => writeFileSync(path, 'more', { flag: 'a' }),
  truncated: (path) => writeFileSync(path, ''),
  gone: (path) => unlinkSync(path),
  'a directory': (path) => {
    unlinkSync(path);
    mkdirSync(path);
  },
  'a fifo': (path) => {
    unlinkSync(path);
    execFileSync('mkfifo', [path]);
  },
};

test(
  'a shared file that was swapped, changed or taken away is served no more, and shown so; the others are',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const names = Object.keys(SWAPS).map((what) => what.replaceAll(' ', '-'));
    mkdirSync(alice.path('files'));
    for (const name of [...names, 'untouched']) {
      const { path } = alice.file(join('files', name), 150_000);
      await alice.ok('upload_file', path, 'lab');
    }
    for (const [what, swap] of Object.entries(SWAPS)) swap(alice.path('files', what.replaceAll(' ', '-')));
    const downloads = await Promise.all(
      names.map((name) => bob.mt('download_file', 'lab', name, '.', '--detach', '--json')),
    );
    assert.ok(downloads.every(({ code }) => code === 0 || code === 7));
    assert.is((await bob.ok('download_file', 'lab', 'untouched', '.')).sha1, sha1Of(alice.path('files', 'untouched')));
    const { downloads: rows } = await bob.ok<{ downloads: { file_name: string; bytes_done: number }[] }>(
      'show_downloads',
    );
    for (const { file_name, bytes_done } of rows) {
      if (file_name !== 'untouched') assert.is(bytes_done, 0, `${file_name}: nothing of it came`);
    }
    const { shares } = await alice.ok<{ shares: { file_name: string; state: string }[] }>('show_shares');
    for (const { file_name, state } of shares) {
      const expected = file_name === 'untouched' ? 'shared' : file_name === 'gone' ? 'missing' : 'changed';
      assert.is(state, expected, file_name);
    }
  }),
);

test.run();
