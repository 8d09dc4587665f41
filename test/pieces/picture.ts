/**
 * The transfer policy as a picture: one character a piece, `#` has, `+` is getting, `.` lacks.
 *
 *     const scene = picture({ have: '#..#', peers: ['##..', '####'] });
 *     scene.hears(1, offer(1));                   // ['→1 accept 1']
 *
 * Peers are numbered from 1 and linked in both directions, except that a complete node dials nobody. Pieces are of four blocks. Actions come back as short lines; news are left out unless asked for.
 */
import { BLOCK_SIZE } from '../../codec/limits.ts';
import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import type { BlockRun, PieceMessage } from '../../daemon/pieces/messages.ts';
import { Transfer } from '../../daemon/pieces/transfer.ts';
import type { LinkRole, TransferAction, TransferEvent } from '../../daemon/pieces/types.ts';
import type { UserFiles } from '../../daemon/pieces/user-shares.ts';
import { seededRandom } from '../swarm-sim/clock.ts';

export const BLOCKS = 4;

export interface Picture {
  readonly have: string;
  readonly peers: readonly string[];
  readonly seed?: number;
  /** User of each peer; by default everybody is somebody else. */
  readonly users?: readonly string[];
  readonly orphansMax?: number;
  /** How many files users take; by default this one. */
  readonly userFiles?: UserFiles;
  /** Of every peer; default 0. */
  readonly rttMs?: number;
}

export class Scene {
  readonly transfer: Transfer;
  nowMs = 1000;
  /** What the last step said, news included. */
  private lines: string[] = [];
  private news: string[] = [];

  constructor({ have, seed, orphansMax, userFiles }: Picture) {
    const sizeBytes = have.length * BLOCKS * BLOCK_SIZE;
    const random = seededRandom(seed ?? 1);
    this.transfer = new Transfer({
      sizeBytes,
      pieceSizeBytes: BLOCKS * BLOCK_SIZE,
      have: bytesOf(have),
      random,
      ...(orphansMax !== undefined && { orphansMax }),
      ...(userFiles && { userFiles }),
    });
  }

  /** Anything that happens; answers what the policy does about it, without news. */
  on(event: TransferEvent): string[] {
    const texts = this.transfer.step(event, this.nowMs).map(textOf);
    this.news = texts.filter(isNews);
    this.lines = texts.filter((text) => !isNews(text));
    return this.lines;
  }

  /** The news that came with the last step. */
  get told(): string[] {
    return this.news;
  }

  hears(peer: number, message: PieceMessage, role: LinkRole = roleFor(message)): string[] {
    return this.on({ type: 'message', neighbour: peer, role, message });
  }

  /** All blocks of a piece, or some, arrive from a peer. */
  gets(peer: number, piece: number, blocks: readonly number[] = [0, 1, 2, 3]): string[] {
    return blocks.flatMap((block) => {
      const claim = { piece, offset: block * BLOCK_SIZE, size: BLOCK_SIZE };
      const kept = this.transfer.wantsBlock(peer, claim);
      return this.on({ type: 'block', neighbour: peer, ...claim, kept });
    });
  }

  /** Time passes in ticks of 50 ms. */
  waits(ms: number): string[] {
    const lines: string[] = [];
    const news: string[] = [];
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs = Math.min(endMs, this.nowMs + 50);
      lines.push(...this.on({ type: 'tick' }));
      news.push(...this.news);
    }
    this.news = news;
    return lines;
  }
}

/**
 * Everybody knows everything before the first upload link comes up; what follows from those is in `opening`. They come up in
 * order, so a first peer may be offered things before the second one is there.
 */
export function picture(spec: Picture): Scene & { opening: string[] } {
  const scene = new Scene(spec);
  const link = (type: 'link-up' | 'link-down', neighbour: number, role: LinkRole): string[] => {
    const userId = spec.users?.[neighbour - 1] ?? `user${neighbour}`;
    return scene.on({ type, neighbour, role, userId, rttMs: spec.rttMs ?? 0 });
  };
  spec.peers.forEach((peer, index) => {
    link('link-up', index + 1, 'download');
    scene.hears(index + 1, { type: 'bitfield', bytes: bytesOf(peer) });
    const pieces = [...peer].flatMap((mark, piece) => (mark === '+' ? [piece] : []));
    if (pieces.length > 0) scene.hears(index + 1, getting(...pieces));
  });
  const opening = spec.peers.flatMap((peer, index) => (/[.+]/.test(peer) ? link('link-up', index + 1, 'upload') : []));
  const isComplete = !spec.have.includes('.');
  for (let peer = 1; isComplete && peer <= spec.peers.length; peer++) link('link-down', peer, 'download');
  return Object.assign(scene, { opening });
}

export function bytesOf(marks: string): Uint8Array {
  const field = new Bitfield(marks.length);
  for (const [piece, mark] of [...marks].entries()) if (mark === '#') field.set(piece);
  return field.toBytes();
}

export const offer = (piece: number): PieceMessage => ({ type: 'offer', piece, endgame: false });
export const endgameOffer = (piece: number): PieceMessage => ({ type: 'offer', piece, endgame: true });
export const accept = (
  piece: number,
  more: { offered?: number; runs?: BlockRun[]; reverse?: boolean } = {},
): PieceMessage => ({
  type: 'accept',
  offered: more.offered ?? piece,
  piece,
  runs: more.runs ?? [],
  reverse: more.reverse ?? false,
});
export const have = (...pieces: number[]): PieceMessage => ({ type: 'have', pieces });
export const getting = (...pieces: number[]): PieceMessage => ({ type: 'getting', pieces });
export const want = (...pieces: number[]): PieceMessage => ({ type: 'want', pieces });
export const got = (piece: number): PieceMessage => ({ type: 'got', piece });
export const cancel = (piece: number): PieceMessage => ({ type: 'cancel', piece });
export const decline = (piece: number): PieceMessage => ({ type: 'decline', piece });
export const withdraw = (piece: number): PieceMessage => ({ type: 'withdraw', piece });
export const alive: PieceMessage = { type: 'alive' };

/** Uploaders' words come on my download link, receivers' on my upload link, news on any. */
function roleFor({ type }: PieceMessage): LinkRole {
  return type === 'accept' || type === 'decline' || type === 'got' || type === 'cancel' ? 'upload' : 'download';
}

const isNews = (text: string) => /^→\d+ (bitfield|have|getting|want)/.test(text);

function textOf(action: TransferAction): string {
  switch (action.type) {
    case 'send':
      return `→${action.neighbour} ${messageText(action.message)}`;
    case 'upload': {
      const runs = action.runs.map(({ first, count }) => `${first}+${count}`).join(' ');
      const isWhole = runs === `0+${BLOCKS}`;
      return `upload ${action.piece} to ${action.neighbour}${isWhole ? '' : ` [${runs}]`}${action.reverse ? ' reverse' : ''}`;
    }
    case 'upload-stop':
      return `stop ${action.piece} to ${action.neighbour}`;
    case 'verify':
    case 'discard':
      return `${action.type} ${action.piece}`;
    case 'ban':
      return `ban ${action.neighbour}: ${action.reason}`;
    default:
      return action.type;
  }
}

function messageText(message: PieceMessage): string {
  switch (message.type) {
    case 'bitfield':
      return 'bitfield';
    case 'have':
    case 'getting':
    case 'want':
      return `${message.type} ${message.pieces.join(' ')}`;
    case 'offer':
      return `offer ${message.piece}${message.endgame ? ' endgame' : ''}`;
    case 'accept': {
      const runs = message.runs.map(({ first, count }) => `${first}+${count}`).join(' ');
      const swap = message.offered === message.piece ? '' : ` for ${message.offered}`;
      return `accept ${message.piece}${swap}${runs ? ` [${runs}]` : ''}${message.reverse ? ' reverse' : ''}`;
    }
    case 'alive':
      return 'alive';
    default:
      return `${message.type} ${message.piece}`;
  }
}
