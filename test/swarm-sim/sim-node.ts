/**
 * One simulated daemon: the shell around a policy. It has an uplink and a downlink of limited speed, a socket of limited
 * size to each neighbour, a disk that verifies, and possibly a bad character.
 *
 * Model: the uplink sends one chunk after the other, taking turns between the jobs whose sockets have room. A chunk arrives a
 * latency later and passes the receiver's downlink. Control messages cost no bandwidth and keep their order on a link.
 */
import { BLOCK_SIZE } from '../../codec/limits.ts';
import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import { blockLength, type Geometry, type PieceIndex } from '../../daemon/pieces/geometry.ts';
import type { PieceMessage } from '../../daemon/pieces/messages.ts';
import type { LinkRole, TransferAction, TransferEvent, TransferPolicy, UploadJob } from '../../daemon/pieces/types.ts';
import type { Clock } from './clock.ts';

const CHUNK_SIZE = 32 * 1024;
/** Bytes under way or unread on one connection. */
const SOCKET_SIZE = 4 * 1024 * 1024;
const VERIFY_MS = 0.3;
const HOARDER_REPEAT_MS = 2000;

/**
 * honest: obeys the policy. free-rider: takes, tells what it has, never offers. corrupt: sends rubbish. stalling: offers and never sends.
 * boaster: claims to have everything and offers nothing. hoarder: claims to be getting everything, always.
 */
type Character = 'honest' | 'free-rider' | 'corrupt' | 'stalling' | 'boaster' | 'hoarder';

export interface NodeSpec {
  readonly uploadBytesPerS: number;
  /** Infinity: never the narrow place. */
  readonly downloadBytesPerS: number;
  readonly isSeeder: boolean;
  /** Whether it has the piece when it joins; a seeder has all. */
  readonly hasPiece: (piece: number) => boolean;
  readonly userId: string;
  readonly character: Character;
  /** When it joins. */
  readonly joinAtMs: number;
  /** When it vanishes without a word (others notice by `silenceMs`), or null. */
  readonly dieAtMs: number | null;
}

/** What came on the wire of one connection, in order. */
export type Parcel =
  | { readonly type: 'message'; readonly message: PieceMessage }
  | {
      readonly type: 'chunk';
      readonly size: number;
      readonly piece: number;
      readonly endOfBlock: number | null;
      readonly isBad: boolean;
    };

interface Job {
  readonly job: UploadJob;
  /** Blocks still to send, in order. */
  readonly blocks: number[];
  sentOfBlock: number;
}

interface Socket {
  readonly jobs: Job[];
  unackedBytes: number;
  isBlocked: boolean;
}

export interface NodeHost {
  readonly clock: Clock;
  readonly geometry: Geometry;
  /** Brings the parcel to `to`'s end of the connection on which `from` has the role `role`. */
  deliver(from: SimNode, to: number, role: LinkRole, parcel: Parcel): void;
  onComplete(node: SimNode): void;
  onBan(by: SimNode, neighbour: number, reason: string): void;
  trace(node: SimNode, text: string): void;
}

export class SimNode {
  readonly id: number;
  readonly spec: NodeSpec;
  readonly policy: TransferPolicy;
  isUp = false;
  completedAtMs: number | null = null;
  bytesUploaded = 0;
  bytesDownloaded = 0;
  downlinkFreeAtMs = 0;
  messagesSent = 0;
  badPieces = new Set<number>();
  private readonly host: NodeHost;
  private readonly sockets = new Map<number, Socket>();
  private turn = 0;
  private isLineBusy = false;
  private wakeAtMs = Number.POSITIVE_INFINITY;

  constructor(host: NodeHost, id: number, spec: NodeSpec, policy: TransferPolicy) {
    this.host = host;
    this.id = id;
    this.spec = spec;
    this.policy = policy;
  }

  get isComplete(): boolean {
    return this.policy.complete;
  }

  step(event: TransferEvent): void {
    if (!this.isUp) return;
    const actions = this.policy.step(event, this.host.clock.nowMs);
    for (const action of actions) this.perform(action);
    if (this.isComplete && this.completedAtMs === null) {
      this.completedAtMs = this.host.clock.nowMs;
      this.host.onComplete(this);
    }
    this.scheduleWake();
  }

  linkUp(neighbour: number, role: LinkRole, userId: string, rttMs: number): void {
    if (role === 'upload') this.sockets.set(neighbour, { jobs: [], unackedBytes: 0, isBlocked: false });
    this.step({ type: 'link-up', neighbour, role, userId, rttMs });
    if (this.spec.character === 'hoarder') this.claimAll(neighbour, role);
  }

  linkDown(neighbour: number, role: LinkRole): void {
    if (role === 'upload') this.sockets.delete(neighbour);
    this.step({ type: 'link-down', neighbour, role });
    this.pumpLine();
  }

  /** A parcel passed the downlink. */
  receive(from: number, role: LinkRole, parcel: Parcel): void {
    if (parcel.type === 'message')
      return this.step({ type: 'message', neighbour: from, role, message: parcel.message });
    this.bytesDownloaded += parcel.size;
    if (parcel.endOfBlock === null) return this.step({ type: 'alive', neighbour: from });
    const piece = parcel.piece as PieceIndex;
    const size = blockLength(this.host.geometry, piece, parcel.endOfBlock);
    const claim = { piece, offset: parcel.endOfBlock * BLOCK_SIZE, size };
    const kept = this.policy.wantsBlock(from, claim);
    if (parcel.isBad && kept) this.badPieces.add(piece);
    this.step({ type: 'block', neighbour: from, ...claim, kept });
  }

  acknowledge(neighbour: number, size: number): void {
    const socket = this.sockets.get(neighbour);
    if (!socket) return;
    socket.unackedBytes -= size;
    if (socket.isBlocked && socket.unackedBytes + CHUNK_SIZE <= SOCKET_SIZE) {
      socket.isBlocked = false;
      this.step({ type: 'upload-writable', neighbour });
      this.pumpLine();
    }
  }

  private perform(action: TransferAction): void {
    const { clock } = this.host;
    switch (action.type) {
      case 'send':
        return this.send(action.neighbour, action.role, action.message);
      case 'upload':
        return this.upload(action);
      case 'upload-stop': {
        const socket = this.sockets.get(action.neighbour);
        const index = socket?.jobs.findIndex(({ job }) => job.piece === action.piece) ?? -1;
        if (index >= 0) socket?.jobs.splice(index, 1);
        return;
      }
      case 'verify': {
        const isBad = this.badPieces.delete(action.piece);
        clock.after(VERIFY_MS, () => this.step({ type: isBad ? 'rejected' : 'verified', piece: action.piece }));
        return;
      }
      case 'discard':
        this.badPieces.delete(action.piece);
        return;
      case 'ban':
        return this.host.onBan(this, action.neighbour, action.reason);
      default:
        this.host.trace(this, action.type);
    }
  }

  private send(to: number, role: LinkRole, message: PieceMessage): void {
    const { character } = this.spec;
    if (character === 'free-rider' && message.type === 'offer') return;
    this.messagesSent++;
    this.host.deliver(this, to, role, { type: 'message', message: twist(message, character, this.host.geometry) });
    if (message.type !== 'have') this.host.trace(this, `→ ${to} ${JSON.stringify(message)}`);
  }

  private claimAll(neighbour: number, role: LinkRole): void {
    if (!this.isUp) return;
    const pieces = Array.from({ length: this.host.geometry.pieceCount }, (_, piece) => piece);
    this.send(neighbour, role, { type: 'getting', pieces });
    this.host.clock.after(HOARDER_REPEAT_MS, () => this.claimAll(neighbour, role));
  }

  private upload(job: UploadJob): void {
    if (this.spec.character === 'stalling') return;
    const blocks = job.runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, index) => first + index));
    if (job.reverse) blocks.reverse();
    this.sockets.get(job.neighbour)?.jobs.push({ job, blocks, sentOfBlock: 0 });
    this.pumpLine();
  }

  private pumpLine(): void {
    if (this.isLineBusy || !this.isUp) return;
    const busy = [...this.sockets].filter(([, socket]) => socket.jobs.length > 0);
    for (let tries = 0; tries < busy.length; tries++) {
      const [neighbour, socket] = busy[(this.turn + tries) % busy.length]!;
      if (socket.isBlocked) continue;
      if (socket.unackedBytes + CHUNK_SIZE > SOCKET_SIZE) {
        socket.isBlocked = true;
        this.step({ type: 'upload-blocked', neighbour });
        return this.pumpLine();
      }
      this.turn++;
      return this.sendChunk(neighbour, socket);
    }
  }

  private sendChunk(neighbour: number, socket: Socket): void {
    const current = socket.jobs[0]!;
    const { piece } = current.job;
    const block = current.blocks[0]!;
    const total = blockLength(this.host.geometry, piece as PieceIndex, block);
    const size = Math.min(CHUNK_SIZE, total - current.sentOfBlock);
    current.sentOfBlock += size;
    socket.unackedBytes += size;
    this.bytesUploaded += size;
    const isEnd = current.sentOfBlock === total;
    if (isEnd) {
      current.blocks.shift();
      current.sentOfBlock = 0;
    }
    this.isLineBusy = true;
    const isBad = this.spec.character === 'corrupt';
    this.host.clock.after((size / this.spec.uploadBytesPerS) * 1000, () => {
      this.isLineBusy = false;
      if (!this.isUp) return;
      this.host.deliver(this, neighbour, 'upload', {
        type: 'chunk',
        size,
        piece,
        endOfBlock: isEnd ? block : null,
        isBad,
      });
      if (isEnd && current.blocks.length === 0 && socket.jobs[0] === current) {
        socket.jobs.shift();
        this.step({ type: 'upload-sent', neighbour, piece });
      }
      this.pumpLine();
    });
  }

  private scheduleWake(): void {
    const dueAtMs = this.policy.wakeAtMs();
    if (dueAtMs >= this.wakeAtMs) return;
    this.wakeAtMs = dueAtMs;
    this.host.clock.at(dueAtMs, () => {
      if (this.wakeAtMs !== dueAtMs) return;
      this.wakeAtMs = Number.POSITIVE_INFINITY;
      this.step({ type: 'tick' });
    });
  }
}

/** What a liar says instead of the truth: a boaster claims all pieces but the first. */
function twist(message: PieceMessage, character: Character, { pieceCount }: Geometry): PieceMessage {
  if (message.type !== 'bitfield' || character !== 'boaster') return message;
  const boast = Bitfield.full(pieceCount);
  boast.clear(0);
  return { type: 'bitfield', bytes: boast.toBytes() };
}
