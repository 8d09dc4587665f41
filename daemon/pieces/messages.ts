/**
 * The sentences that two nodes exchange about one file, as plain values. This file owns their meaning; how they look on
 * the wire belongs to codec/, and blocks of content never pass through here (only their headers do, as events).
 *
 * Data flows one way on a link: from the node that was dialled (the uploader) to the one that dialled (the receiver).
 *
 *     uploader                                  receiver
 *        ── offer 7 ────────────────────────────▶        I could send you piece 7
 *        ◀─────────────── accept 7 (or 9 instead) ──     yes (and `getting 7` to all its neighbours)
 *        ── block 7,0 · block 7,1 · … ──────────▶
 *        ◀──────────────────────────────── got 7 ──      last block is here: frees the uploader's window slot
 *                                                        hash good: `have 7` to all its neighbours
 *
 * bitfield, have, getting and want are news; they travel in both directions on any link.
 */

/** `count` blocks, from block `first` on. Block b of a piece covers the bytes from b · BLOCK_SIZE. */
export interface BlockRun {
  readonly first: number;
  readonly count: number;
}

/**
 * Which pieces the sender has, as in BEP 3: the highest bit of byte 0 is piece 0, spare bits at the end are zero. The first
 * message on every link, both ways.
 */
export interface BitfieldMessage {
  readonly type: 'bitfield';
  readonly bytes: Uint8Array;
}

/** The sender verified these pieces. */
interface HaveMessage {
  readonly type: 'have';
  readonly pieces: readonly number[];
}

/** The sender accepted these pieces from somebody: others need not offer them to it. Believed for a limited time. */
interface GettingMessage {
  readonly type: 'getting';
  readonly pieces: readonly number[];
}

/** Undoes `getting` (its source died, or the hash was bad): the sender needs these pieces after all. */
interface WantMessage {
  readonly type: 'want';
  readonly pieces: readonly number[];
}

/** Uploader → receiver. `endgame`: the receiver is known to be getting the piece elsewhere. */
interface OfferMessage {
  readonly type: 'offer';
  readonly piece: number;
  readonly endgame: boolean;
}

/**
 * Receiver → uploader: answers the offer of `offered` with the piece that shall be sent, usually the same.
 * `runs`: the missing blocks only, ascending and disjoint; empty = the whole piece. `reverse`: send the last block first
 * (endgame: two sources work towards each other).
 */
export interface AcceptMessage {
  readonly type: 'accept';
  readonly offered: number;
  readonly piece: number;
  readonly runs: readonly BlockRun[];
  readonly reverse: boolean;
}

/** Receiver → uploader: no to the offer of `piece`. */
interface DeclineMessage {
  readonly type: 'decline';
  readonly piece: number;
}

/** Receiver → uploader: every block of an accepted piece arrived (the hash comes later). */
interface GotMessage {
  readonly type: 'got';
  readonly piece: number;
}

/** Receiver → uploader: stop sending an accepted piece, or do not start. Blocks under way are thrown away on arrival. */
interface CancelMessage {
  readonly type: 'cancel';
  readonly piece: number;
}

/** Uploader → receiver: an offered or accepted piece will not come (its disk failed, sharing stopped). */
interface WithdrawMessage {
  readonly type: 'withdraw';
  readonly piece: number;
}

/** Uploader → receiver, every 500 ms while an accepted piece waits for its turn: a slow sender is not a dead one. */
interface AliveMessage {
  readonly type: 'alive';
}

export type PieceMessage =
  | BitfieldMessage
  | HaveMessage
  | GettingMessage
  | WantMessage
  | OfferMessage
  | AcceptMessage
  | DeclineMessage
  | GotMessage
  | CancelMessage
  | WithdrawMessage
  | AliveMessage;
