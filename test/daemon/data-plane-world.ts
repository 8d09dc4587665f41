// Data planes of several daemons in one process: real TLS on loopback, real files, real tickets. What trackers would say comes
// from a small directory here that implements the same port as the tracker client.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import type { DownloadRow } from '../../codec/control-api.ts';
import { MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { encodeManifest, type Manifest, manifestHash } from '../../codec/manifest.ts';
import { signTicket } from '../../codec/ticket.ts';
import type { PeerInfo } from '../../codec/tracker-rpc.ts';
import type {
  DataPlane,
  DataPlanePorts,
  DownloadAnswer,
  FileRef,
  LocatedFile,
  ServableShare,
  TrackerPort,
  TransferLimits,
  WatchFileEvent,
} from '../../daemon/download/types.ts';
import { startDataPlane } from '../../daemon/download.ts';
import { openStore, type Sqlite } from '../../daemon/store/store.ts';
import { manifestOf } from '../harness/files.ts';

export const GROUP = 'team';

interface KnownFile {
  readonly name: string;
  readonly manifest: Manifest;
  readonly encoded: Buffer;
  readonly hash: Buffer;
  /** Who has it: complete or in part. */
  readonly holders: Map<string, { complete: boolean }>;
}

/** What a daemon is started with; a restart takes the same again. */
export interface DaemonOptions {
  readonly limits?: TransferLimits;
}

export class TestDaemon {
  readonly user: string;
  readonly dir: string;
  readonly identity: TlsIdentity;
  readonly shares = new Map<string, ServableShare>();
  readonly log: string[] = [];
  plane!: DataPlane;
  address!: Address;
  session: string | null;
  #db!: Sqlite;
  readonly #world: World;

  constructor(world: World, user: string, identity: TlsIdentity, dir: string) {
    this.#world = world;
    this.user = user;
    this.identity = identity;
    this.dir = dir;
    this.session = user;
  }

  async start({ limits = { up: 0, down: 0 } }: DaemonOptions = {}): Promise<void> {
    this.#db = openStore(join(this.dir, 'peer.sqlite'));
    const { dataPlane, address } = await startDataPlane({
      ports: this.#world.portsOf(this),
      listen: { host: '127.0.0.1', port: 0 },
      limits,
      db: this.#db,
      log: this.#logger(),
      onCrash: (error) => {
        throw error;
      },
    });
    this.plane = dataPlane;
    this.address = address;
    dataPlane.onSession(this.session);
    this.#world.online(this);
  }

  async stop(): Promise<void> {
    this.#world.offline(this);
    await this.plane.close();
    this.#db.close();
  }

  /** A file on its disk, shared in the group. */
  share(name: string, content: Buffer, pieceSize = 65_536, sha1?: Buffer): string {
    const path = join(this.dir, `shared-${name}`);
    writeFileSync(path, content);
    const manifest = manifestOf(content, pieceSize);
    this.#world.publish(this, name, sha1 ? { ...manifest, sha1 } : manifest, path);
    return path;
  }

  download(name: string, more: { destination?: string; force?: boolean; peer?: string | null; detach?: boolean } = {}) {
    const rows: DownloadRow[] = [];
    const controller = new AbortController();
    const request = {
      group_id: GROUP,
      file_name: name,
      destination: this.path(''),
      force: false,
      detach: false,
      peer: null,
      ...more,
    };
    const answer: Promise<DownloadAnswer> = this.plane.download(request, {
      signal: controller.signal,
      onProgress: (row) => rows.push(row),
    });
    answer.catch(() => {});
    return { answer, rows, giveUp: () => controller.abort() };
  }

  row(name: string): DownloadRow | undefined {
    return this.plane.list().find((row) => row.file_name === name);
  }

  /** In its download directory. */
  path(name: string): string {
    return join(this.dir, 'got', name);
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  #logger(): Logger {
    return pino({ level: 'debug' }, { write: (line: string) => this.log.push(line) });
  }
}

export class World {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-data-plane-'));
  readonly clusterKey: KeyObject = generateKeyPairSync('ed25519').privateKey;
  readonly files = new Map<string, KnownFile>();
  readonly daemons: TestDaemon[] = [];
  readonly #online = new Set<TestDaemon>();
  /** Peers that are no daemon of ours, by the file they are said to have. */
  readonly #outsiders = new Map<string, PeerInfo>();
  readonly #watchers = new Set<{ name: string; onEvent: (event: WatchFileEvent) => void }>();
  epoch = 1;
  /** Answers of the trackers fail with this while it is set. */
  trackerError: MtError | null = null;
  ticketLifeMs = 600_000;
  /** Users whom the trackers no longer count as members. */
  readonly removed = new Set<string>();
  /** What daemons told the trackers about their sources. */
  readonly reported: string[] = [];

  async daemon(user: string, options: DaemonOptions = {}): Promise<TestDaemon> {
    const dir = join(this.dir, `${user}-${this.daemons.length}`);
    mkdirSync(join(dir, 'got'), { recursive: true });
    const daemon = new TestDaemon(this, user, await makeDaemonIdentity(Date.now()), dir);
    this.daemons.push(daemon);
    await daemon.start(options);
    return daemon;
  }

  async close(): Promise<void> {
    for (const daemon of this.daemons) if (this.#online.has(daemon)) await daemon.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  online(daemon: TestDaemon): void {
    this.#online.add(daemon);
    for (const file of this.files.values()) if (file.holders.has(daemon.identity.fingerprint)) this.#tell(file, daemon);
  }

  offline(daemon: TestDaemon): void {
    this.#online.delete(daemon);
    const down = [daemon.identity.fingerprint];
    for (const { onEvent } of this.#watchers) onEvent({ index: 1, reset: false, up: [], down, removed: false });
  }

  publish(daemon: TestDaemon, name: string, manifest: Manifest, path: string): void {
    const encoded = Buffer.from(encodeManifest(manifest));
    const hash = Buffer.from(manifestHash(encoded));
    const file = this.files.get(name) ?? { name, manifest, encoded, hash, holders: new Map() };
    this.files.set(name, file);
    const stat = statSync(path, { bigint: true });
    daemon.shares.set(name, {
      groupId: GROUP,
      fileName: name,
      path,
      manifest: encoded,
      manifestHash: hash,
      inode: stat.ino,
      sizeBytes: Number(stat.size),
      mtimeNs: stat.mtimeNs,
    });
    this.hold(daemon, name, true);
  }

  hold(daemon: TestDaemon, name: string, complete: boolean): void {
    const file = this.#file(name);
    file.holders.set(daemon.identity.fingerprint, { complete });
    this.#tell(file, daemon);
  }

  /** The trackers name a peer that is no daemon of ours. */
  outsider(name: string, peer: { user: string; identity: TlsIdentity; address: Address }): void {
    const { user, identity, address } = peer;
    this.#outsiders.set(name, { user_id: user, fingerprint: identity.fingerprint, address, complete: true });
  }

  ticket(name: string, holder: { user: string; fingerprint: string }, change: object = {}): Uint8Array {
    const nowMs = Date.now();
    const ticket = {
      user_id: holder.user,
      fingerprint: holder.fingerprint,
      group_id: GROUP,
      epoch: this.epoch,
      file_name: name,
      manifest_hash: new Uint8Array(this.#file(name).hash),
      not_before: nowMs,
      expires_at: nowMs + this.ticketLifeMs,
      ...change,
    };
    return signTicket(ticket, this.clusterKey);
  }

  portsOf(daemon: TestDaemon): DataPlanePorts {
    const { keyPem, certPem, fingerprint } = daemon.identity;
    return {
      trackers: this.#trackersOf(daemon),
      shares: {
        find: ({ fileName }: FileRef) => daemon.shares.get(fileName) ?? null,
        prepare: () => {},
        reportChanged: ({ fileName }) => void daemon.shares.delete(fileName),
        addDownloaded: async (share) => {
          daemon.shares.set(share.fileName, share);
          this.hold(daemon, share.fileName, true);
          return this.trackerError ? `not recorded: ${this.trackerError.message}` : null;
        },
        giveUp: ({ fileName }) => void this.files.get(fileName)?.holders.delete(fingerprint),
      },
      identity: {
        keyPem,
        certPem,
        fingerprint,
        userId: () => daemon.session,
        clusterKeys: () => [this.clusterKey],
        groupEpoch: () => this.epoch,
      },
    };
  }

  #trackersOf(daemon: TestDaemon): TrackerPort {
    const check = (name: string): KnownFile => {
      if (this.trackerError) throw this.trackerError;
      if (this.removed.has(daemon.user)) throw new MtError('NOT_MEMBER', `${daemon.user} is not a member`);
      return this.#file(name);
    };
    return {
      locateFile: async ({ fileName }) => this.#locate(check(fileName), daemon),
      getManifest: async ({ fileName }) => new Uint8Array(check(fileName).encoded),
      beginDownload: async ({ fileName }) => {
        check(fileName);
        if (!daemon.shares.has(fileName)) this.hold(daemon, fileName, false);
      },
      watchFile: ({ fileName }, onEvent, signal) => {
        const watcher = { name: fileName, onEvent };
        this.#watchers.add(watcher);
        signal.addEventListener('abort', () => this.#watchers.delete(watcher));
        const up = this.#peersOf(this.#file(fileName));
        setImmediate(() => onEvent({ index: 1, reset: true, up, down: [], removed: false }));
      },
      checkHolders: async (holders) => {
        if (this.trackerError) throw this.trackerError;
        return holders.map(({ userId }) => (this.removed.has(userId) ? 'left' : 'valid'));
      },
      reportPeer: (_file, { userId }, reason) => this.reported.push(`${userId}: ${reason}`),
      linkError: () => this.trackerError,
    };
  }

  #locate(file: KnownFile, daemon: TestDaemon): LocatedFile {
    const { manifest, hash, name } = file;
    const nowMs = Date.now();
    return {
      file: {
        file_name: name,
        size: manifest.size,
        sha1: new Uint8Array(manifest.sha1),
        piece_size: manifest.pieceSize,
        piece_count: manifest.pieceCount,
        manifest_hash: new Uint8Array(hash),
        publisher: 'alice',
        published_at: nowMs,
      },
      peers: this.#peersOf(file),
      ticket: new Uint8Array(this.ticket(name, { user: daemon.user, fingerprint: daemon.identity.fingerprint })),
      ticket_expires_at: nowMs + this.ticketLifeMs,
      index: 1,
    };
  }

  #peersOf(file: KnownFile): PeerInfo[] {
    const outsider = this.#outsiders.get(file.name);
    return [...this.#online].flatMap((daemon) => this.#peer(file, daemon) ?? []).concat(outsider ?? []);
  }

  #peer(file: KnownFile, { identity, user, address }: TestDaemon): PeerInfo | null {
    const holder = file.holders.get(identity.fingerprint);
    return holder ? { user_id: user, fingerprint: identity.fingerprint, address, complete: holder.complete } : null;
  }

  #tell(file: KnownFile, daemon: TestDaemon): void {
    const peer = this.#online.has(daemon) ? this.#peer(file, daemon) : null;
    if (!peer) return;
    for (const { name, onEvent } of this.#watchers) {
      if (name === file.name) onEvent({ index: 2, reset: false, up: [peer], down: [], removed: false });
    }
  }

  #file(name: string): KnownFile {
    const file = this.files.get(name);
    if (!file) throw new MtError('NO_SUCH_FILE', `No file "${name}"`);
    return file;
  }
}
