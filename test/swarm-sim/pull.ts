/**
 * What most clients do, for comparison only: whoever lacks a piece asks a neighbour that has it, rarest first, a few requests
 * ahead to each neighbour; uploaders serve all that ask, a few at once. No offers, no fresh pieces, a plain endgame.
 * It speaks with the same events, actions and messages: a request is an `accept` that nobody offered.
 */
import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import { blockCount, type Geometry, makeGeometry, pieceIndex } from '../../daemon/pieces/geometry.ts';
import type { PieceMessage } from '../../daemon/pieces/messages.ts';
import type {
  BlockClaim,
  LinkRole,
  NeighbourId,
  TransferAction,
  TransferEvent,
  TransferOptions,
  TransferPolicy,
  TransferStats,
  UploadJob,
} from '../../daemon/pieces/types.ts';

/** Requests ahead to each neighbour: 2 MiB at 128 KiB a piece, as 16 KiB × 128 is in real clients. */
const AHEAD = 16;

interface Peer {
  readonly have: Bitfield;
  readonly asked: Set<number>;
  download: boolean;
  upload: boolean;
}

export class PullPolicy implements TransferPolicy {
  private readonly geometry: Geometry;
  private readonly random: () => number;
  private readonly uploadsAtOnce: number;
  private readonly mine: Bitfield;
  private readonly peers = new Map<NeighbourId, Peer>();
  private readonly rarity: number[];
  /** Piece → block → how many came; a piece is here while it is asked for or verified. */
  private readonly blocks = new Map<number, Set<number>>();
  private readonly verifying = new Set<number>();
  private readonly jobs: UploadJob[] = [];
  private readonly running: UploadJob[] = [];
  private useless = 0;
  private actions: TransferAction[] = [];

  constructor(options: TransferOptions, { uploadsAtOnce }: { uploadsAtOnce: number }) {
    this.geometry = makeGeometry(options.sizeBytes, options.pieceSizeBytes);
    this.random = options.random;
    this.uploadsAtOnce = uploadsAtOnce;
    const { pieceCount } = this.geometry;
    this.mine = options.have ? Bitfield.fromBytes(options.have, pieceCount)! : new Bitfield(pieceCount);
    this.rarity = new Array<number>(pieceCount).fill(0);
  }

  get complete(): boolean {
    return this.mine.complete;
  }

  step(event: TransferEvent): TransferAction[] {
    this.take(event);
    while (this.running.length < this.uploadsAtOnce && this.jobs.length > 0) {
      const job = this.jobs.shift()!;
      this.running.push(job);
      this.actions.push({ type: 'upload', ...job });
    }
    const taken = this.actions;
    this.actions = [];
    return taken;
  }

  wantsBlock(_: NeighbourId, { piece, offset }: BlockClaim): boolean {
    const isOpen = !this.mine.has(piece) && !this.verifying.has(piece);
    return isOpen && !this.blocks.get(piece)?.has(offset);
  }

  upcomingJobs(): UploadJob[] {
    return [];
  }

  wakeAtMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  bitfieldBytes(): Uint8Array {
    return this.mine.toBytes();
  }

  stats(): TransferStats {
    return {
      piecesTotal: this.mine.size,
      piecesVerified: this.mine.count,
      bytesVerified: 0,
      bytesUseless: this.useless,
      sources: this.peers.size,
      offersSent: 0,
      offersDeclined: 0,
    };
  }

  private take(event: TransferEvent): void {
    switch (event.type) {
      case 'link-up': {
        const peer = this.peers.get(event.neighbour) ?? newPeer(this.mine.size);
        this.peers.set(event.neighbour, peer);
        peer[event.role] = true;
        return this.send(event.neighbour, event.role, { type: 'bitfield', bytes: this.bitfieldBytes() });
      }
      case 'link-down':
        return this.linkDown(event.neighbour, event.role);
      case 'message':
        return this.onMessage(event.neighbour, event.message);
      case 'block':
        return this.onBlock(event.neighbour, event);
      case 'verified':
        return this.onVerified(event.piece);
      case 'upload-sent': {
        const index = this.running.findIndex((job) => job.neighbour === event.neighbour && job.piece === event.piece);
        if (index >= 0) this.running.splice(index, 1);
        return;
      }
      default:
    }
  }

  private onMessage(from: NeighbourId, message: PieceMessage): void {
    const peer = this.peers.get(from);
    if (!peer) return;
    if (message.type === 'bitfield') {
      for (const piece of Bitfield.fromBytes(message.bytes, this.mine.size)!.pieces()) this.learn(peer, piece);
    } else if (message.type === 'have') for (const piece of message.pieces) this.learn(peer, piece);
    else if (message.type === 'accept') {
      const runs = [{ first: 0, count: blockCount(this.geometry, pieceIndex(this.geometry, message.piece)!) }];
      this.jobs.push({ neighbour: from, piece: message.piece, runs, reverse: false });
    } else if (message.type === 'cancel') {
      const index = this.jobs.findIndex((job) => job.neighbour === from && job.piece === message.piece);
      if (index >= 0) this.jobs.splice(index, 1);
    }
    this.ask(from, peer);
  }

  private onBlock(from: NeighbourId, claim: BlockClaim): void {
    const peer = this.peers.get(from);
    if (!peer || !this.wantsBlock(from, claim)) {
      this.useless += claim.size;
      return;
    }
    const blocks = this.blocks.get(claim.piece) ?? new Set();
    this.blocks.set(claim.piece, blocks.add(claim.offset));
    if (blocks.size < blockCount(this.geometry, pieceIndex(this.geometry, claim.piece)!)) return;
    this.verifying.add(claim.piece);
    this.actions.push({ type: 'verify', piece: claim.piece });
    for (const [id, other] of this.peers) {
      if (!other.asked.delete(claim.piece)) continue;
      if (id !== from) this.send(id, 'download', { type: 'cancel', piece: claim.piece });
      this.ask(id, other);
    }
  }

  private onVerified(piece: number): void {
    this.verifying.delete(piece);
    this.mine.set(piece);
    for (const [id, peer] of this.peers)
      this.send(id, peer.download ? 'download' : 'upload', { type: 'have', pieces: [piece] });
  }

  private linkDown(id: NeighbourId, role: LinkRole): void {
    const peer = this.peers.get(id);
    if (!peer) return;
    peer[role] = false;
    if (role === 'download') peer.asked.clear();
    const isHis = (job: UploadJob) => job.neighbour === id;
    for (const list of [this.jobs, this.running])
      if (role === 'upload') list.splice(0, list.length, ...list.filter((job) => !isHis(job)));
    if (!peer.download && !peer.upload) this.peers.delete(id);
    for (const [other, rest] of this.peers) this.ask(other, rest);
  }

  private learn(peer: Peer, piece: number): void {
    if (peer.have.set(piece)) this.rarity[piece]!++;
  }

  /** Keeps AHEAD requests at the neighbour: rarest first, ties at random; in the endgame what others were asked for. */
  private ask(id: NeighbourId, peer: Peer): void {
    if (!peer.download) return;
    while (peer.asked.size < AHEAD) {
      const asked = new Set([...this.peers.values()].flatMap((other) => [...other.asked]));
      const lacking = [...peer.have.without(this.mine)].filter((piece) => !this.verifying.has(piece));
      const piece = this.pick(lacking.filter((candidate) => !asked.has(candidate))) ?? this.endgamePick(peer, lacking);
      if (piece === null) return;
      peer.asked.add(piece);
      this.send(id, 'download', { type: 'accept', offered: piece, piece, runs: [], reverse: false });
    }
  }

  private endgamePick(peer: Peer, lacking: readonly number[]): number | null {
    const isOver = this.mine.count + this.verifying.size + lacking.length === this.mine.size;
    return isOver && peer.asked.size === 0 ? this.pick(lacking) : null;
  }

  private pick(pieces: readonly number[]): number | null {
    let best: number[] = [];
    for (const piece of pieces) {
      const difference = best.length === 0 ? -1 : this.rarity[piece]! - this.rarity[best[0]!]!;
      if (difference < 0) best = [piece];
      else if (difference === 0) best.push(piece);
    }
    return best[Math.floor(this.random() * best.length)] ?? null;
  }

  private send(neighbour: NeighbourId, role: LinkRole, message: PieceMessage): void {
    this.actions.push({ type: 'send', neighbour, role, message });
  }
}

function newPeer(size: number): Peer {
  return { have: new Bitfield(size), asked: new Set(), download: false, upload: false };
}
