// The shell around the policy of one file on this daemon: it numbers the neighbours, feeds the policy what links, disk and clock
// report, and carries out what it answers. One swarm serves and downloads alike; it dials nobody and admits nobody by itself.
import type { MtError } from '../../codec/errors.ts';
import type { PieceDisk } from '../disk/piece-disk.ts';
import type { PieceFile } from '../disk/piece-file.ts';
import type { WholeHash } from '../disk/whole-hash.ts';
import type { Limiter } from '../limiter.ts';
import type { PieceMessage } from '../pieces/messages.ts';
import { Transfer } from '../pieces/transfer.ts';
import type { BanReason, LinkRole, NeighbourId, TransferAction, TransferEvent } from '../pieces/types.ts';
import type { UserFiles } from '../pieces/user-shares.ts';
import type { BufferPool } from './buffer-pool.ts';
import { DownloadBudget } from './download-budget.ts';
import type { BlockHeader } from './frame-reader.ts';
import { Intake } from './intake.ts';
import type { LinkOwner, PeerLink } from './link.ts';
import { RateMeter } from './rate-meter.ts';
import type { SlotPool } from './slots.ts';
import { UploadRunner } from './upload-runner.ts';

/** The policy hears of bytes that came at most so often. */
const ALIVE_REPORT_MS = 100;
/** How often a busy uploader's measured rate is told to the policy. */
const RATE_REPORT_MS = 500;
/** How often the policy hears of links that are not read from: half of what it asks for. */
const HELD_REPORT_MS = 500;
/** Hashes take milliseconds: who left is not blamed long after. */
const DEPARTED_MAX = 256;

/** What all swarms of a daemon share. */
export interface SwarmResources {
  readonly disk: PieceDisk;
  readonly pool: SlotPool;
  readonly buffers: BufferPool;
  readonly upLimiter: Limiter;
  readonly downLimiter: Limiter;
  readonly upMeter: RateMeter;
  readonly downMeter: RateMeter;
  readonly userFiles: UserFiles;
}

export interface SwarmEvents {
  /** All pieces are verified. Only of a download. */
  onComplete(): void;
  onBanned(peer: { fingerprint: string; userId: string }, reason: BanReason): void;
  onDiskError(error: { code: string; message: string }): void;
  /** A download link ended by itself or by the other side. */
  onSourceLost(link: PeerLink, error: MtError): void;
  onTicket(link: PeerLink, ticket: Uint8Array): void;
}

export interface SwarmOptions extends SwarmResources {
  readonly file: PieceFile;
  /** Verified pieces at the start, as in a bitfield message. */
  readonly have: Uint8Array;
  /** Of a download. */
  readonly hash: Pick<WholeHash, 'onVerified'> | null;
  readonly events: SwarmEvents;
}

interface Neighbour {
  readonly id: NeighbourId;
  readonly fingerprint: string;
  readonly userId: string;
  download: PeerLink | null;
  upload: PeerLink | null;
  aliveReportedAtMs: number;
  /** When content came from it last. */
  contentAtMs: number;
}
const UNLINKED = { download: null, upload: null, aliveReportedAtMs: 0, contentAtMs: -Infinity };

export class Swarm implements LinkOwner {
  readonly file: PieceFile;
  readonly meter = new RateMeter();
  readonly #options: SwarmOptions;
  readonly #transfer: Transfer;
  readonly #intake: Intake | null;
  readonly #uploads: UploadRunner;
  readonly #neighbours = new Map<NeighbourId, Neighbour>();
  readonly #byFingerprint = new Map<string, Neighbour>();
  readonly #banned = new Set<string>();
  /** Neighbours that left, and may be found to have lied: number → who it was. The latest ones. */
  readonly #departed = new Map<NeighbourId, { fingerprint: string; userId: string }>();
  readonly #events: TransferEvent[] = [];
  readonly #uploaded = new RateMeter();
  readonly #budget: DownloadBudget;
  #rateReportedAtMs = 0;
  #heldReportedAtMs = 0;
  #isStepping = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | null = null;
  #timerAtMs = 0;
  #nextNeighbour = 1;

  constructor(options: SwarmOptions) {
    this.#options = options;
    this.file = options.file;
    this.#budget = new DownloadBudget(options.downLimiter);
    const { manifest } = options.file.content;
    this.#transfer = new Transfer({
      sizeBytes: manifest.size,
      pieceSizeBytes: manifest.pieceSize,
      have: options.have,
      random: Math.random,
      userFiles: options.userFiles,
    });
    const report = (event: TransferEvent): void => this.step(event);
    this.#uploads = new UploadRunner({
      file: options.file,
      limiter: options.upLimiter,
      buffers: options.buffers,
      report,
      onContent: (bytes) => {
        this.#uploaded.add(bytes);
        options.upMeter.add(bytes);
      },
    });
    this.#intake =
      options.hash &&
      new Intake({
        file: options.file,
        disk: options.disk,
        pool: options.pool,
        hash: options.hash,
        wants: (link, claim) => {
          const neighbour = this.#byFingerprint.get(link.fingerprint);
          return neighbour?.download === link && this.#transfer.wantsBlock(neighbour.id, claim);
        },
        report,
        onBlock: (link, claim, kept) => {
          const neighbour = this.#byFingerprint.get(link.fingerprint);
          if (neighbour?.download === link) this.step({ type: 'block', neighbour: neighbour.id, ...claim, kept });
        },
        onDiskError: (error) => options.events.onDiskError(error),
      });
    this.#schedule();
  }

  get stats() {
    return this.#transfer.stats();
  }

  /** Bytes sent, ever: for the check that a seeder sends little more than the file. */
  get bytesUploaded(): number {
    return this.#uploaded.total;
  }

  /** Verified pieces, as in a bitfield message. */
  get bitfield(): Uint8Array {
    return this.#transfer.bitfieldBytes();
  }

  get linkCount(): number {
    return [...this.links('download'), ...this.links('upload')].length;
  }

  /** Peers that content came from in the last `withinMs`. */
  sourcesWithin(withinMs: number): number {
    const sinceMs = performance.now() - withinMs;
    return [...this.#neighbours.values()].filter(({ contentAtMs }) => contentAtMs >= sinceMs).length;
  }

  *links(role: LinkRole): Generator<PeerLink> {
    for (const neighbour of this.#neighbours.values()) {
      const link = neighbour[role];
      if (link) yield link;
    }
  }

  isBanned(fingerprint: string): boolean {
    return this.#banned.has(fingerprint);
  }

  /** Takes a link whose hello is done, in the turn in which it was done. */
  addLink(link: PeerLink): void {
    link.owner = this;
    if (this.#isClosed || this.#banned.has(link.fingerprint)) return link.close();
    let neighbour = this.#byFingerprint.get(link.fingerprint);
    // A second link in the same direction: the other side lost the first one before we noticed.
    neighbour?.[link.role]?.close();
    neighbour = this.#byFingerprint.get(link.fingerprint);
    if (!neighbour) {
      const { fingerprint, userId } = link;
      const id = this.#nextNeighbour++;
      neighbour = { id, fingerprint, userId, ...UNLINKED };
      this.#neighbours.set(id, neighbour);
      this.#byFingerprint.set(fingerprint, neighbour);
    }
    neighbour[link.role] = link;
    if (link.role === 'upload') this.#uploads.linkUp(neighbour.id, link);
    const { id, userId } = neighbour;
    this.step({ type: 'link-up', neighbour: id, role: link.role, userId, rttMs: link.rttMs });
  }

  /** Feeds the policy and does what it says. May be called while that happens: then it waits its turn. */
  step(event: TransferEvent): void {
    if (this.#isClosed) return;
    this.#events.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        for (const action of this.#transfer.step(next, performance.now())) this.#perform(action);
      }
    } finally {
      this.#isStepping = false;
    }
    this.#schedule();
  }

  onMessage(link: PeerLink, message: PieceMessage): void {
    const neighbour = this.#of(link);
    if (neighbour) this.step({ type: 'message', neighbour: neighbour.id, role: link.role, message });
  }

  onBlock(link: PeerLink, header: BlockHeader): Buffer | null | 'wait' {
    return this.#intake && this.#of(link) ? this.#intake.onFrame(link, header) : null;
  }

  onBlockEnd(link: PeerLink, header: BlockHeader, kept: boolean): void {
    if (this.#of(link)) this.#intake?.onFrameEnd(link, header, kept);
  }

  get isContentLimited(): boolean {
    return this.#options.downLimiter.rate > 0;
  }

  onContent(link: PeerLink, bytes: number): void {
    const neighbour = this.#of(link);
    if (!neighbour) return;
    const nowMs = performance.now();
    neighbour.contentAtMs = nowMs;
    this.meter.add(bytes, nowMs);
    this.#options.downMeter.add(bytes, nowMs);
    this.#budget.pay(link, bytes);
    if (nowMs - neighbour.aliveReportedAtMs < ALIVE_REPORT_MS) return;
    neighbour.aliveReportedAtMs = nowMs;
    this.step({ type: 'alive', neighbour: neighbour.id });
  }

  onTicket(link: PeerLink, ticket: Uint8Array): void {
    this.#options.events.onTicket(link, ticket);
  }

  onRtt(link: PeerLink, rttMs: number): void {
    const neighbour = this.#of(link);
    if (neighbour) this.step({ type: 'rtt', neighbour: neighbour.id, rttMs });
  }

  onClose(link: PeerLink, error: MtError): void {
    const neighbour = this.#of(link);
    if (!neighbour) return;
    neighbour[link.role] = null;
    if (link.role === 'upload') this.#uploads.linkDown(neighbour.id);
    else this.#intake?.linkDown(link);
    this.step({ type: 'link-down', neighbour: neighbour.id, role: link.role });
    if (!neighbour.download && !neighbour.upload) {
      this.#neighbours.delete(neighbour.id);
      this.#byFingerprint.delete(neighbour.fingerprint);
      this.#departed.set(neighbour.id, neighbour);
      if (this.#departed.size > DEPARTED_MAX) this.#departed.delete(this.#departed.keys().next().value!);
    }
    if (link.role === 'download' && !this.#isClosed) this.#options.events.onSourceLost(link, error);
  }

  /** Ends every link. The file stays open: it is its opener's. */
  close(error?: MtError): void {
    if (this.#isClosed) return;
    for (const role of ['download', 'upload'] as const) for (const link of [...this.links(role)]) link.close(error);
    this.#isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#uploads.close();
    this.#intake?.close();
  }

  #of(link: PeerLink): Neighbour | null {
    const neighbour = this.#byFingerprint.get(link.fingerprint);
    return neighbour?.[link.role] === link ? neighbour : null;
  }

  #perform(action: TransferAction): void {
    switch (action.type) {
      case 'send':
        return this.#neighbours.get(action.neighbour)?.[action.role]?.send(action.message);
      case 'upload':
        this.#reportRate();
        return this.#uploads.start(action);
      case 'upload-stop':
        return this.#uploads.stop(action.neighbour, action.piece);
      case 'verify':
        return this.#intake?.verify(action.piece);
      case 'discard':
        return this.#intake?.discard(action.piece);
      case 'ban':
        return this.#ban(action.neighbour, action.reason);
      case 'source-needed':
        return; // The sources are looked after all the time (download/sources.ts).
      case 'complete':
        return this.#options.events.onComplete();
    }
  }

  #ban(id: NeighbourId, reason: BanReason): void {
    const culprit = this.#neighbours.get(id) ?? this.#departed.get(id);
    if (!culprit) return;
    const { fingerprint, userId } = culprit;
    this.#banned.add(fingerprint);
    // It may be back already, as another neighbour.
    const present = this.#byFingerprint.get(fingerprint);
    present?.download?.close();
    present?.upload?.close();
    this.#options.events.onBanned({ fingerprint, userId }, reason);
  }

  #reportRate(): void {
    const nowMs = performance.now();
    if (nowMs - this.#rateReportedAtMs < RATE_REPORT_MS) return;
    this.#rateReportedAtMs = nowMs;
    const bytesPerS = this.#options.upLimiter.rate || this.#uploaded.rate(nowMs);
    this.#events.push({ type: 'upload-rate', bytesPerS });
  }

  /** A source that we ourselves do not read from (download limit, no memory) is not silent. */
  #excuseHeldLinks(): void {
    const nowMs = performance.now();
    if (nowMs - this.#heldReportedAtMs < HELD_REPORT_MS) return;
    this.#heldReportedAtMs = nowMs;
    for (const { id, download } of this.#neighbours.values())
      if (download?.isPaused || (download && this.#intake?.isWaiting(download)))
        this.#events.push({ type: 'held', neighbour: id });
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const atMs = this.#transfer.wakeAtMs();
    if (this.#timer && atMs >= this.#timerAtMs - 1) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#excuseHeldLinks();
        this.step({ type: 'tick' });
      },
      Math.max(0, atMs - performance.now()),
    );
    this.#timer.unref();
  }
}
