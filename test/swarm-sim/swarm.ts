/**
 * A simulated swarm for one file: nodes, the connections between them, and the measurements. Everything happens on a virtual
 * clock and follows from the case and the seed.
 */

import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import { type Geometry, makeGeometry, pieceSizeFor } from '../../daemon/pieces/geometry.ts';
import type { LinkRole, TransferOptions, TransferPolicy } from '../../daemon/pieces/types.ts';
import { Clock, seededRandom } from './clock.ts';
import { type NodeHost, type NodeSpec, type Parcel, SimNode } from './sim-node.ts';

export type PolicyMaker = (options: TransferOptions) => TransferPolicy;

export interface SwarmSpec {
  readonly sizeBytes: number;
  /** One way, between any two nodes. */
  readonly latencyMs: number;
  readonly nodes: readonly NodeSpec[];
  /** How long after a node's silent death the others' connections break. */
  readonly silenceMs: number;
  /** Give up after this much virtual time. */
  readonly limitMs: number;
}

export interface SwarmResult {
  /** Whether every honest leecher that stayed alive has the file. */
  readonly isDone: boolean;
  /** When the last honest leecher completed (from the first join). */
  readonly timeMs: number;
  /** timeMs ÷ the fluid bound. */
  readonly ratio: number;
  /** What all seeders sent ÷ file size. */
  readonly seederCopies: number;
  /** Useless bytes ÷ received bytes. */
  readonly useless: number;
  readonly declined: number;
  /** Control messages per piece and leecher. */
  readonly messagesPerPiece: number;
  readonly bans: readonly string[];
  readonly completedAtMs: readonly (number | null)[];
}

export class Swarm implements NodeHost {
  readonly clock = new Clock();
  readonly geometry: Geometry;
  readonly nodes: SimNode[];
  readonly trace: (node: SimNode, text: string) => void;
  private readonly spec: SwarmSpec;
  private readonly random: () => number;
  /** Live connections as "dialler>listener". */
  private readonly links = new Set<string>();
  /** Last arrival of a direction of a link, so that nothing overtakes. */
  private readonly arrivals = new Map<string, number>();
  private readonly bans: string[] = [];

  constructor(spec: SwarmSpec, seed: number, makePolicy: PolicyMaker, trace?: (line: string) => void) {
    this.spec = spec;
    this.random = seededRandom(seed);
    const pieceSizeBytes = pieceSizeFor(spec.sizeBytes);
    this.geometry = makeGeometry(spec.sizeBytes, pieceSizeBytes);
    const { pieceCount } = this.geometry;
    this.trace = (node, text) => trace?.(`${this.clock.nowMs.toFixed(2).padStart(9)} node ${node.id}: ${text}`);
    this.nodes = spec.nodes.map((node, id) => {
      const field = new Bitfield(pieceCount);
      for (let piece = 0; piece < pieceCount; piece++) if (node.isSeeder || node.hasPiece(piece)) field.set(piece);
      const have = field.toBytes();
      const random = seededRandom(Math.floor(this.random() * 2 ** 32));
      return new SimNode(this, id, node, makePolicy({ sizeBytes: spec.sizeBytes, pieceSizeBytes, have, random }));
    });
  }

  run(): SwarmResult {
    for (const node of this.nodes) {
      this.clock.at(node.spec.joinAtMs, () => this.join(node));
      if (node.spec.dieAtMs !== null) this.clock.at(node.spec.dieAtMs, () => this.die(node));
    }
    const judged = this.nodes.filter(
      ({ spec }) => !spec.isSeeder && spec.character === 'honest' && spec.dieAtMs === null,
    );
    const isDone = this.clock.runUntil(() => judged.every((node) => node.completedAtMs !== null), this.spec.limitMs);
    return this.measure(isDone, judged);
  }

  deliver(from: SimNode, to: number, role: LinkRole, parcel: Parcel): void {
    const isDialler = role === 'download';
    const link = isDialler ? `${from.id}>${to}` : `${to}>${from.id}`;
    const direction = `${from.id}→${to} on ${link}`;
    const atMs = Math.max(this.clock.nowMs + this.spec.latencyMs, this.arrivals.get(direction) ?? 0);
    this.arrivals.set(direction, atMs);
    const receiver = this.nodes[to]!;
    this.clock.at(atMs, () => {
      if (parcel.type === 'message') {
        if (this.links.has(link)) receiver.receive(from.id, isDialler ? 'upload' : 'download', parcel);
        return;
      }
      const readMs = (parcel.size / receiver.spec.downloadBytesPerS) * 1000;
      receiver.downlinkFreeAtMs = Math.max(this.clock.nowMs, receiver.downlinkFreeAtMs) + readMs;
      this.arrivals.set(direction, Math.max(this.arrivals.get(direction)!, receiver.downlinkFreeAtMs));
      this.clock.at(receiver.downlinkFreeAtMs, () => {
        if (!this.links.has(link)) return;
        receiver.receive(from.id, 'download', parcel);
        this.clock.after(this.spec.latencyMs, () => from.acknowledge(to, parcel.size));
      });
    });
  }

  /** Who has everything wants no more data: it hangs up, and goes on serving those who dialled it. */
  onComplete(node: SimNode): void {
    if (node.spec.isSeeder) return;
    this.clock.after(0, () => {
      for (const other of this.nodes) this.hangUp(node.id, other.id);
    });
  }

  onBan(by: SimNode, neighbour: number, reason: string): void {
    this.bans.push(`${by.id} bans ${neighbour}: ${reason}`);
    this.trace(by, `bans ${neighbour}: ${reason}`);
    this.clock.after(0, () => this.disconnect(by.id, neighbour));
  }

  /** Whoever wants data dials everybody who is there. */
  private join(node: SimNode): void {
    node.isUp = true;
    node.step({ type: 'upload-rate', bytesPerS: node.spec.uploadBytesPerS });
    for (const other of this.nodes) {
      if (other === node || !other.isUp) continue;
      if (!node.spec.isSeeder) this.connect(node, other);
      if (!other.spec.isSeeder && !other.isComplete) this.connect(other, node);
    }
  }

  private connect(dialler: SimNode, listener: SimNode): void {
    const rttMs = 2 * this.spec.latencyMs;
    this.links.add(`${dialler.id}>${listener.id}`);
    dialler.linkUp(listener.id, 'download', listener.spec.userId, rttMs);
    listener.linkUp(dialler.id, 'upload', dialler.spec.userId, rttMs);
  }

  private disconnect(a: number, b: number): void {
    this.hangUp(a, b);
    this.hangUp(b, a);
  }

  private hangUp(dialler: number, listener: number): void {
    if (!this.links.delete(`${dialler}>${listener}`)) return;
    this.nodes[dialler]!.linkDown(listener, 'download');
    this.nodes[listener]!.linkDown(dialler, 'upload');
  }

  private die(node: SimNode): void {
    node.isUp = false;
    this.trace(node, 'dies');
    this.clock.after(this.spec.silenceMs, () => {
      for (const other of this.nodes) if (other !== node) this.disconnect(node.id, other.id);
    });
  }

  private measure(isDone: boolean, judged: readonly SimNode[]): SwarmResult {
    const stats = this.nodes.map((node) => node.policy.stats());
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    const timeMs = isDone ? Math.max(...judged.map((node) => node.completedAtMs!)) : Number.POSITIVE_INFINITY;
    const offers = sum(stats.map(({ offersSent }) => offersSent));
    const uploaded = this.nodes.filter(({ spec }) => spec.isSeeder).map((node) => node.bytesUploaded);
    return {
      isDone,
      timeMs,
      ratio: timeMs / fluidBoundMs(this.spec, this.geometry),
      seederCopies: sum(uploaded) / this.spec.sizeBytes,
      useless: sum(stats.map(({ bytesUseless }) => bytesUseless)) / sum(this.nodes.map((node) => node.bytesDownloaded)),
      declined: sum(stats.map(({ offersDeclined }) => offersDeclined)) / Math.max(1, offers),
      messagesPerPiece: sum(this.nodes.map((node) => node.messagesSent)) / this.geometry.pieceCount / judged.length,
      bans: this.bans,
      completedAtMs: this.nodes.map((node) => node.completedAtMs),
    };
  }
}

/**
 * No schedule is faster: the seeders send the file at least once; each leecher takes its copy through its downlink from when
 * it joined; and the copies of those who joined at or after some time pass, after it, through the uplinks of those who have
 * joined by then. Those who die, lie or ride free count as takers at most.
 */
function fluidBoundMs({ sizeBytes, nodes }: SwarmSpec, { pieceCount }: Geometry): number {
  const stays = ({ dieAtMs }: NodeSpec) => dieAtMs === null;
  const isTaker = ({ isSeeder, character }: NodeSpec) =>
    !isSeeder && (character === 'honest' || character === 'free-rider');
  const givers = nodes.filter((node) => stays(node) && node.character === 'honest');
  const takers = nodes.filter((node) => stays(node) && isTaker(node));
  const pieces = Array.from({ length: pieceCount }, (_, piece) => piece);
  const bytesOf = (count: number) => (count / pieceCount) * sizeBytes;
  const missing = ({ hasPiece }: NodeSpec) => bytesOf(pieces.filter((piece) => !hasPiece(piece)).length);
  const timesMs = takers.flatMap((taker) => {
    const later = takers.filter((other) => other.joinAtMs >= taker.joinAtMs);
    const laterBytes = later.reduce((sum, other) => sum + missing(other), 0);
    const readMs = (missing(taker) * 1000) / taker.downloadBytesPerS;
    return [sentAtMs(givers, taker.joinAtMs, laterBytes), taker.joinAtMs + readMs];
  });
  const seeders = nodes.filter(({ isSeeder }) => isSeeder);
  const fresh = pieces.filter((piece) => takers.every(({ hasPiece }) => !hasPiece(piece)));
  return Math.max(sentAtMs(seeders, 0, bytesOf(fresh.length)), ...timesMs);
}

/** When the givers together, each from when it joined, have sent so many bytes, beginning at `fromMs`. */
function sentAtMs(givers: readonly NodeSpec[], fromMs: number, bytes: number): number {
  let bytesPerMs = 0;
  let nowMs = fromMs;
  let left = bytes;
  for (const giver of givers.toSorted((a, b) => a.joinAtMs - b.joinAtMs)) {
    const untilMs = Math.max(nowMs, giver.joinAtMs);
    if (bytesPerMs * (untilMs - nowMs) >= left) break;
    left -= bytesPerMs * (untilMs - nowMs);
    nowMs = untilMs;
    bytesPerMs += giver.uploadBytesPerS / 1000;
  }
  return left > 0 ? nowMs + left / bytesPerMs : nowMs;
}
