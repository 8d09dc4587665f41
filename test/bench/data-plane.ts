// How fast one data plane gives a file to another: two processes over loopback, TLS, every piece and the whole checked.
//
//   node test/bench/data-plane.ts [--size MIB] [--runs N] [--dir DIR] [--piece KIB]
//
// Prints MB/s (10^6 bytes) from the call to its answer, CPU seconds and peak memory of both sides. The programs are bundled as
// for a release, so that memory and start are those of the real ones. What a tracker would say is told by the parent.
import { type ChildProcess, fork } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { build } from 'esbuild';
import pino from 'pino';
import { makeClusterKeyPem, makeDaemonIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { decodeManifest, encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { signTicket } from '../../codec/ticket.ts';
import type { DataPlanePorts, ServableShare } from '../../daemon/download/types.ts';
import { startDataPlane } from '../../daemon/download.ts';
import { pieceSizeFor } from '../../daemon/pieces/geometry.ts';

const MiB = 1024 * 1024;
const FILE = { groupId: 'bench', fileName: 'file' };

interface Content {
  readonly path: string;
  readonly manifest: Uint8Array;
}
interface Orders {
  readonly role: 'seed' | 'leech';
  readonly dir: string;
  readonly clusterKey: string;
  readonly content: Content;
  readonly seeder: { address: Address; fingerprint: string } | null;
}
interface Report {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMib: number;
  readonly loopP99Ms: number;
}

if (process.send) process.once('message', (orders) => void serve(orders as Orders));
else await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1024' },
      runs: { type: 'string', default: '3' },
      dir: { type: 'string', default: tmpdir() },
      piece: { type: 'string' },
    },
  });
  const size = Number(values.size) * MiB;
  const dir = mkdtempSync(join(values.dir, 'mt-bench-'));
  const bundle = await bundleItself();
  try {
    const content = makeContent(
      join(dir, 'source'),
      size,
      values.piece ? Number(values.piece) * 1024 : pieceSizeFor(size),
    );
    const reports: [Report, Report][] = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const [seeder, leecher] = await runOnce(bundle, join(dir, `run-${run}`), content);
      reports.push([seeder, leecher]);
      const rate = (size / 1e6 / leecher.seconds).toFixed(0);
      const side = ({ cpuSeconds, rssMib, loopP99Ms }: Report) =>
        `${cpuSeconds.toFixed(2)} CPU s, ${rssMib} MiB, event loop p99 ${loopP99Ms.toFixed(1)} ms`;
      console.log(`${leecher.seconds.toFixed(3)} s, ${rate} MB/s | leecher ${side(leecher)} | seeder ${side(seeder)}`);
    }
    const sorted = reports.map(([, { seconds }]) => seconds).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)]!;
    console.log(`median ${median.toFixed(3)} s, ${(size / 1e6 / median).toFixed(0)} MB/s`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    rmSync(bundle, { recursive: true, force: true });
  }
}

/** @returns the folder of the bundles; inside the project, so that packages are found. */
async function bundleItself(): Promise<string> {
  const root = join(import.meta.dirname, '../..');
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const outdir = mkdtempSync(join(cache, 'mt-bench-'));
  await build({
    absWorkingDir: root,
    entryPoints: [
      { in: 'test/bench/data-plane.ts', out: 'data-plane' },
      { in: 'daemon/disk/piece-worker.ts', out: 'piece-worker' },
    ],
    outdir,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node24',
    format: 'esm',
    logLevel: 'warning',
  });
  return outdir;
}

function makeContent(path: string, size: number, pieceSize: number): Content {
  const whole = createHash('sha1');
  const rows: Buffer[] = [];
  const piece = randomFillSync(Buffer.alloc(pieceSize));
  const file = openSync(path, 'w');
  for (let at = 0; at < size; at += pieceSize) {
    piece.writeUInt32BE(at / pieceSize);
    const bytes = piece.subarray(0, Math.min(pieceSize, size - at));
    writeSync(file, bytes);
    whole.update(bytes);
    rows.push(createHash('sha1').update(bytes).digest(), createHash('sha256').update(bytes).digest());
  }
  closeSync(file);
  const manifest = { size, pieceSize, pieceCount: rows.length / 2, sha1: whole.digest(), rows: Buffer.concat(rows) };
  return { path, manifest: encodeManifest(manifest) };
}

async function runOnce(bundle: string, dir: string, content: Content): Promise<[Report, Report]> {
  const clusterKey = makeClusterKeyPem();
  const children: ChildProcess[] = [];
  const start = (role: Orders['role'], seeder: Orders['seeder']): ChildProcess => {
    const child = fork(join(bundle, 'data-plane.js'), { serialization: 'advanced', execArgv: [] });
    children.push(child);
    mkdirSync(join(dir, role), { recursive: true });
    child.send({ role, dir: join(dir, role), clusterKey, content, seeder } satisfies Orders);
    return child;
  };
  const next = <T>(child: ChildProcess): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as T));
      child.once('exit', (code) => reject(new Error(`a side ended with ${code}`)));
    });
  try {
    const seeder = start('seed', null);
    const leecher = start('leech', await next<NonNullable<Orders['seeder']>>(seeder));
    const report = await next<Report>(leecher);
    seeder.send('report');
    return [await next<Report>(seeder), report];
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

async function serve({ role, dir, clusterKey, content, seeder }: Orders): Promise<void> {
  const identity = await makeDaemonIdentity(Date.now());
  const { dataPlane, address } = await startDataPlane({
    ports: portsOf(role, identity, clusterKey, content, seeder),
    listen: { host: '127.0.0.1', port: 0 },
    limits: { up: 0, down: 0 },
    db: storeIn(dir),
    log: pino({ level: 'warn' }),
    onCrash: (error) => {
      throw error;
    },
  });
  dataPlane.onSession(role);
  if (role === 'seed') {
    process.send!({ address, fingerprint: identity.fingerprint });
    const measure = meter();
    process.once('message', () => process.send!(measure()));
    return;
  }
  const measure = meter();
  const request = { group_id: FILE.groupId, file_name: FILE.fileName, destination: join(dir, 'copy') };
  await dataPlane.download(
    { ...request, force: false, detach: false, peer: null },
    { signal: new AbortController().signal, onProgress: () => {} },
  );
  process.send!(measure());
}

function meter(): () => Report {
  const began = performance.now();
  const cpu = process.cpuUsage();
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return {
      seconds: (performance.now() - began) / 1000,
      cpuSeconds: (user + system) / 1e6,
      rssMib: Math.round(process.resourceUsage().maxRSS / 1024),
      loopP99Ms: loop.percentile(99) / 1e6,
    };
  };
}

function storeIn(dir: string): Database.Database {
  const db = new Database(join(dir, 'peer.sqlite'));
  db.pragma('journal_mode = WAL');
  db.exec(`CREATE TABLE downloads (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id, group_id, file_name, destination, part_path,
    force, peer, publisher, manifest_hash, manifest, size_bytes, state, reason_code, reason, inode, settled, boot_id, created_at)`);
  return db;
}

function portsOf(
  user: string,
  identity: { keyPem: string; certPem: string; fingerprint: string },
  clusterKey: string,
  { path, manifest }: Content,
  seeder: Orders['seeder'],
): DataPlanePorts {
  const key = createPrivateKey(clusterKey);
  const hash = new Uint8Array(manifestHash(manifest));
  const { size, sha1, pieceSize, pieceCount } = decodeManifest(manifest);
  const stat = statSync(path, { bigint: true });
  const file = { inode: stat.ino, sizeBytes: size, mtimeNs: stat.mtimeNs };
  const share: ServableShare = { ...FILE, path, manifest, manifestHash: hash, ...file };
  const expiresAt = Date.now() + 600_000;
  const ticket = signTicket(
    {
      user_id: user,
      fingerprint: identity.fingerprint,
      group_id: FILE.groupId,
      epoch: 1,
      file_name: FILE.fileName,
      manifest_hash: hash,
      not_before: Date.now(),
      expires_at: expiresAt,
    },
    key,
  );
  return {
    trackers: {
      locateFile: async () => ({
        file: {
          file_name: FILE.fileName,
          size,
          sha1: new Uint8Array(sha1),
          piece_size: pieceSize,
          piece_count: pieceCount,
          manifest_hash: hash,
          publisher: 'seed',
          published_at: 0,
        },
        peers: seeder ? [{ user_id: 'seed', ...seeder, complete: true }] : [],
        ticket: new Uint8Array(ticket),
        ticket_expires_at: expiresAt,
        index: 1,
      }),
      getManifest: async () => new Uint8Array(manifest),
      beginDownload: async () => {},
      checkHolders: async (holders) => holders.map(() => 'valid' as const),
      reportPeer: () => {},
      watchFile: () => {},
      linkError: () => null,
    },
    shares: {
      find: () => (seeder ? null : share),
      prepare: () => {},
      reportChanged: () => {},
      addDownloaded: async () => null,
      giveUp: () => {},
    },
    identity: { ...identity, userId: () => user, clusterKeys: () => [createPublicKey(key)], groupEpoch: () => 1 },
  };
}
