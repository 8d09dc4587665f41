// A download while it is open: its file, its swarm, and (while it is to move) its sources. Made from a record and its map, closed
// without forgetting anything; whether it should run, and what its end means, is decided in download.ts.
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { isMtError, MtError } from '../../codec/errors.ts';
import type { Manifest } from '../../codec/manifest.ts';
import { fileError } from '../disk/disk-error.ts';
import { PieceFile } from '../disk/piece-file.ts';
import { WholeHash } from '../disk/whole-hash.ts';
import type { Serving } from '../peer/serving.ts';
import { Swarm, type SwarmResources } from '../peer/swarm.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { DownloadRecord, DownloadStore } from '../store/download-store.ts';
import { checkPieces } from './finish.ts';
import { explainStandstill, type Reason } from './reasons.ts';
import { Sources } from './sources.ts';
import type { DataPlanePorts, LocatedFile } from './types.ts';

/** Content that came so recently counts as moving. */
const MOVING_MS = 3_000;
/** A tracker that could not take `begin_download` is asked again after this. */
const BEGIN_RETRY_MS = 2_000;

export interface DownloadContext {
  readonly ports: DataPlanePorts;
  readonly store: DownloadStore;
  readonly resources: SwarmResources;
  readonly serving: Serving;
  readonly tls: SecureContext;
  readonly log: Logger;
  readonly mapPath: (record: DownloadRecord) => string;
}

export interface OpenDownloadEvents {
  /** Every piece is verified. */
  onWhole(): void;
  /** A piece could not be written. */
  onDiskError(error: MtError): void;
  /** The trackers refuse for good. */
  onRefused(error: MtError): void;
}

export class OpenDownload {
  readonly file: PieceFile;
  readonly hash: WholeHash;
  readonly swarm: Swarm;
  readonly #context: DownloadContext;
  readonly #record: DownloadRecord;
  readonly #events: OpenDownloadEvents;
  #sources: Sources | null = null;
  #announcing: AbortController | null = null;

  private constructor(
    context: DownloadContext,
    record: DownloadRecord,
    events: OpenDownloadEvents,
    opened: { file: PieceFile; verified: readonly number[] },
  ) {
    this.#context = context;
    this.#record = record;
    this.#events = events;
    this.file = opened.file;
    this.hash = new WholeHash(opened.file, context.resources.disk, opened.verified);
    this.swarm = this.#makeSwarm(opened.verified);
    context.serving.add(record, this.swarm, record.manifestHash);
  }

  /**
   * Opens the `.part` file and hashes what its map is not certain of; serves what is there at once, and dials nobody yet.
   * @throws MtError DISK_FULL, PERMISSION, PATH_NOT_FOUND
   */
  static async open(
    context: DownloadContext,
    record: DownloadRecord,
    manifest: Manifest,
    events: OpenDownloadEvents,
  ): Promise<OpenDownload> {
    const content = { manifest, manifestHash: record.manifestHash };
    const { file, state } = await PieceFile.openPart(record.partPath, context.mapPath(record), content);
    const verified = state.verified.concat(await checkPieces(file, context.resources.disk, state.candidates));
    return new OpenDownload(context, record, events, { file, verified });
  }

  get isWhole(): boolean {
    const { piecesVerified, piecesTotal } = this.swarm.stats;
    return piecesVerified === piecesTotal;
  }

  get isConnected(): boolean {
    return this.#sources !== null;
  }

  /** Peers that content came from lately. */
  get movingSources(): number {
    return this.swarm.sourcesWithin(MOVING_MS);
  }

  /** Of what is missing, what has no blocks on the disk yet; in bytes. */
  async bytesToCome(): Promise<number> {
    const { size } = this.file.content.manifest;
    const { blocks } = await this.file.stat();
    const missing = size - this.swarm.stats.bytesVerified;
    return Math.max(0, Math.min(missing, size - Number(blocks) * 512));
  }

  /** Dials, and tells the trackers that this daemon is a partial source. */
  connect(located: LocatedFile | null): void {
    const { ports, tls, log } = this.#context;
    const { groupId, fileName, manifestHash, peer } = this.#record;
    this.swarm.step({ type: 'resume' });
    const { swarm } = this;
    this.#sources = new Sources(
      {
        file: { groupId, fileName },
        manifestHash,
        context: tls,
        ownFingerprint: ports.identity.fingerprint,
        onlyUser: peer,
        trackers: ports.trackers,
        isBanned: (fingerprint) => swarm.isBanned(fingerprint),
        onLink: (link) => swarm.addLink(link),
        onTicket: (ticket) => {
          for (const link of swarm.links('download')) link.sendTicket(ticket);
        },
        onRefused: (error) => this.#events.onRefused(error),
        log,
      },
      located,
    );
    this.#announcing = new AbortController();
    void this.#announce(this.#announcing.signal);
  }

  /** Fetches no more; serves on. */
  disconnect(): void {
    this.#announcing?.abort();
    this.#sources?.close();
    this.#sources = null;
    this.swarm.step({ type: 'pause' });
    for (const link of [...this.swarm.links('download')]) link.close();
  }

  renewTicket(): void {
    this.#sources?.renewSoon();
  }

  /** Why nothing moves; null when something does. */
  standstill(): Reason | null {
    if (!this.#sources || this.movingSources > 0) return null;
    const { ports, resources } = this.#context;
    return explainStandstill(
      { sources: this.#sources, swarm: this.swarm },
      { trackers: ports.trackers, onlyUser: this.#record.peer, limit: resources.downLimiter.rate },
    );
  }

  async close(): Promise<void> {
    this.disconnect();
    this.#context.serving.remove(this.#record, this.swarm);
    this.swarm.close();
    await this.file.close();
  }

  #makeSwarm(verified: readonly number[]): Swarm {
    const { resources, serving, log, ports } = this.#context;
    const record = this.#record;
    const have = new Bitfield(this.file.content.manifest.pieceCount);
    for (const piece of verified) have.set(piece);
    return new Swarm({
      ...resources,
      file: this.file,
      have: have.toBytes(),
      hash: this.hash,
      events: {
        onComplete: () => this.#events.onWhole(),
        onSourceLost: (link, error) => this.#sources?.lost(link, error),
        onDiskError: (cause) => this.#events.onDiskError(fileError(cause, record.partPath)),
        onBanned: ({ userId, fingerprint }, reason) => {
          const { groupId, fileName } = record;
          log.warn(
            { group: groupId, file: fileName, user: userId, fingerprint, reason },
            'a peer was banned for a file',
          );
          ports.trackers.reportPeer(record, { userId, fingerprint }, reason);
        },
        onTicket: (link, ticket) => serving.renewTicket(record, record.manifestHash, link, ticket),
      },
    });
  }

  async #announce(signal: AbortSignal): Promise<void> {
    const { trackers } = this.#context.ports;
    const { groupId, fileName, manifestHash } = this.#record;
    while (!signal.aborted) {
      try {
        return await trackers.beginDownload({ groupId, fileName }, manifestHash, { signal });
      } catch (error) {
        if (signal.aborted || isMtError(error, 'ALREADY_SHARED')) return;
        if (isMtError(error, 'NO_SUCH_FILE', 'NO_SUCH_GROUP', 'NOT_MEMBER')) return this.#events.onRefused(error);
        if (!(error instanceof MtError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, BEGIN_RETRY_MS).unref());
    }
  }
}
