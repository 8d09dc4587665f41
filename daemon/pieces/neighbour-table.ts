/**
 * What this node knows of its neighbours: who has what, who is getting what, who is linked in which direction; and the counts
 * per piece that follow from it, kept up to date by each piece of news, never by a scan over pieces × links.
 *
 * Owns knowledge only: what to offer and what to accept is decided in uploader.ts and receiver.ts.
 */
import { Bitfield } from './bitfield.ts';
import { RarityIndex } from './rarity-index.ts';
import type { LinkRole, NeighbourId } from './types.ts';

/** `getting` is believed so long: a liar's claim starves nobody, and an honest one costs a declined offer now and then. */
export const GETTING_LIFETIME_MS = 5000;

/** Two busy processes next door take so long to answer. To offer more ahead for it, or to tell sooner, costs CPU and gains nothing. */
const RTT_MS_MIN = 40;
/** A longer round trip is that of a liar, who would have everybody offer it too much ahead. */
const RTT_MS_MAX = 500;

export interface Neighbour {
  readonly id: NeighbourId;
  readonly userId: string;
  /** The shortest round trip that its links saw; 0: none is known, or it is next door. */
  rttMs: number;
  isRttKnown: boolean;
  /** I dialled it: it may send to me. */
  download: boolean;
  /** It dialled me: I may send to it. */
  upload: boolean;
  readonly have: Bitfield;
  /** Piece → until when its `getting` is believed. Insertion order = order of expiry. Disjoint from `have`. */
  readonly getting: Map<number, number>;
  /** have ∪ getting. */
  readonly known: Bitfield;
  /** null until its first bitfield came; then whether that was full: who came complete says nothing about rarity. */
  cameComplete: boolean | null;
  /** Pieces it has and I lack. */
  usefulCount: number;
}

export class NeighbourTable {
  readonly neighbours = new Map<NeighbourId, Neighbour>();
  /** My verified pieces. */
  readonly mine: Bitfield;
  /** Those of them that I can read: all, unless the disk fails or somebody changed the file. */
  readonly servable: Bitfield;
  /** Servable pieces that some receiver neither has nor is getting. */
  readonly offerable: RarityIndex;
  /** Pieces that I lack and have asked of nobody. */
  readonly needed: RarityIndex;
  /** Neighbours with an upload link. */
  receiverCount = 0;
  /** Neighbours with a download link and at least one piece that I lack. */
  sourceCount = 0;
  /** By piece: neighbours that know it (have or are getting), without those that came complete. */
  private readonly rarity: Uint16Array;
  /** By piece: neighbours with an upload link that know it. */
  private readonly covered: Uint16Array;

  constructor(mine: Bitfield) {
    this.mine = mine;
    this.servable = Bitfield.fromBytes(mine.toBytes(), mine.size)!;
    this.rarity = new Uint16Array(mine.size);
    this.covered = new Uint16Array(mine.size);
    this.offerable = new RarityIndex(mine.size);
    this.needed = new RarityIndex(mine.size);
    for (let piece = 0; piece < mine.size; piece++) if (!mine.has(piece)) this.needed.put(piece, 0);
  }

  rarityOf(piece: number): number {
    return this.rarity[piece]!;
  }

  /** Makes the neighbour if it is new. The link must be down before. */
  linkUp(id: NeighbourId, role: LinkRole, { userId, rttMs }: { userId: string; rttMs: number | null }): Neighbour {
    const neighbour = this.neighbours.get(id) ?? newNeighbour(id, userId, this.mine.size);
    this.neighbours.set(id, neighbour);
    if (rttMs !== null) this.noteRtt(id, rttMs);
    this.countSource(neighbour, () => {
      neighbour[role] = true;
    });
    if (role === 'upload') this.countReceiver(neighbour, 1);
    return neighbour;
  }

  /** Forgets the neighbour with its last link. Answers whether it is forgotten. */
  linkDown(neighbour: Neighbour, role: LinkRole): boolean {
    this.countSource(neighbour, () => {
      neighbour[role] = false;
    });
    if (role === 'upload') this.countReceiver(neighbour, -1);
    if (neighbour.download || neighbour.upload) return false;
    for (const piece of neighbour.known.pieces()) this.addRarity(neighbour, piece, -1);
    this.neighbours.delete(neighbour.id);
    return true;
  }

  noteRtt(id: NeighbourId, rttMs: number): void {
    const neighbour = this.neighbours.get(id);
    if (!neighbour) return;
    const shortestMs = Math.min(rttMs, neighbour.isRttKnown ? neighbour.rttMs : RTT_MS_MAX);
    neighbour.rttMs = shortestMs < RTT_MS_MIN ? 0 : shortestMs;
    neighbour.isRttKnown = true;
  }

  /** Answers whether it is news. */
  markHave(neighbour: Neighbour, piece: number): boolean {
    if (!neighbour.have.set(piece)) return false;
    neighbour.getting.delete(piece);
    this.countSource(neighbour, () => {
      if (!this.mine.has(piece)) neighbour.usefulCount++;
    });
    this.know(neighbour, piece);
    return true;
  }

  markGetting(neighbour: Neighbour, piece: number, nowMs: number): void {
    if (neighbour.have.has(piece)) return;
    neighbour.getting.delete(piece);
    neighbour.getting.set(piece, nowMs + GETTING_LIFETIME_MS);
    this.know(neighbour, piece);
  }

  /** Undoes `markGetting`. */
  markWant(neighbour: Neighbour, piece: number): void {
    if (!neighbour.getting.delete(piece)) return;
    neighbour.known.clear(piece);
    this.addRarity(neighbour, piece, -1);
    if (neighbour.upload) this.covered[piece]!--;
    this.refresh(piece);
  }

  expireGetting(nowMs: number): void {
    for (const neighbour of this.neighbours.values()) {
      for (const [piece, untilMs] of neighbour.getting) {
        if (untilMs > nowMs) break;
        this.markWant(neighbour, piece);
      }
    }
  }

  /** My piece was verified: it may be offered and is needed no more. */
  addMine(piece: number): void {
    this.mine.set(piece);
    this.servable.set(piece);
    this.needed.remove(piece);
    for (const neighbour of this.neighbours.values()) {
      if (!neighbour.have.has(piece)) continue;
      this.countSource(neighbour, () => {
        neighbour.usefulCount--;
      });
    }
    this.refresh(piece);
  }

  /** The piece cannot be read: it is not served any more (and not fetched again either). */
  setUnservable(piece: number): void {
    this.servable.clear(piece);
    this.offerable.remove(piece);
  }

  setNeeded(piece: number, isNeeded: boolean): void {
    if (isNeeded) this.needed.put(piece, this.rarity[piece]!);
    else this.needed.remove(piece);
  }

  private know(neighbour: Neighbour, piece: number): void {
    if (!neighbour.known.set(piece)) return;
    this.addRarity(neighbour, piece, 1);
    if (neighbour.upload) this.covered[piece]!++;
    this.refresh(piece);
  }

  private addRarity(neighbour: Neighbour, piece: number, change: 1 | -1): void {
    if (neighbour.cameComplete) return;
    const rarity = this.rarity[piece]! + change;
    this.rarity[piece] = rarity;
    if (this.offerable.has(piece)) this.offerable.put(piece, rarity);
    if (this.needed.has(piece)) this.needed.put(piece, rarity);
  }

  private refresh(piece: number): void {
    const lacked = this.servable.has(piece) && this.covered[piece]! < this.receiverCount;
    if (lacked) this.offerable.put(piece, this.rarity[piece]!);
    else this.offerable.remove(piece);
  }

  private countReceiver(neighbour: Neighbour, change: 1 | -1): void {
    this.receiverCount += change;
    for (const piece of neighbour.known.pieces()) this.covered[piece]! += change;
    for (const piece of this.servable.pieces()) this.refresh(piece);
  }

  private countSource(neighbour: Neighbour, change: () => void): void {
    if (neighbour.download && neighbour.usefulCount > 0) this.sourceCount--;
    change();
    if (neighbour.download && neighbour.usefulCount > 0) this.sourceCount++;
  }
}

function newNeighbour(id: NeighbourId, userId: string, size: number): Neighbour {
  return {
    id,
    userId,
    rttMs: 0,
    isRttKnown: false,
    download: false,
    upload: false,
    have: new Bitfield(size),
    getting: new Map(),
    known: new Bitfield(size),
    cameComplete: null,
    usefulCount: 0,
  };
}
