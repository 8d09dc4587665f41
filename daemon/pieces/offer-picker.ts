/**
 * Which piece to offer to whom: rule 1 of policy R. Decides only; uploader.ts keeps the window.
 *
 * A piece comes first (my rarest that somebody eligible lacks), then its receiver: a complete node picks the smallest
 * deficit (it steers fresh pieces away from hoarders), a leecher picks who has fewest pieces. Ties at random, but for the pieces
 * that nobody has yet: a lone seeder gives them out in the order of the file. Each goes out once all the same, and so the receivers
 * verify the beginning first, write in order, and have hashed the whole file when the last piece comes.
 */
import { first } from './bitfield.ts';
import type { Core } from './core.ts';
import type { Neighbour } from './neighbour-table.ts';

/** Candidates looked at before the exhaustive way; the first one fits nearly always. */
const PROBES_MAX = 64;
/** Receivers tried in the exhaustive way, at 250 words of bitfield each. */
const EXHAUSTIVE_RECEIVERS_MAX = 8;
/** Pieces of somebody's `getting` looked at for an endgame offer. */
const ENDGAME_PROBES_MAX = 64;

/** What the picker must know of a receiver beside its neighbour entry. */
export interface Candidate {
  readonly neighbour: Neighbour;
  /** Fresh pieces it was given and that did not spread from it yet: see DEFICIT in uploader.ts. */
  readonly deficit: number;
}

export interface Offer<C extends Candidate> {
  readonly receiver: C;
  readonly piece: number;
}

/**
 * The next offer to one of the `eligible`, or null if they lack nothing that I have.
 * @param freshFrom pieces that nobody has go out in order from this one on; null: at random.
 */
export function pickOffer<C extends Candidate>(
  core: Core,
  eligible: readonly C[],
  freshFrom: number | null,
): Offer<C> | null {
  const { table, random } = core;
  if (eligible.length === 0 || table.offerable.count === 0) return null;
  if (table.receiverCount === 1) {
    // Nobody to share with: in order, which suits disks and the running whole-file hash.
    const receiver = eligible[0]!;
    const piece = first(table.servable.without(receiver.neighbour.known));
    return piece === null ? null : { receiver, piece };
  }
  const isLacked = (piece: number) => eligible.some(({ neighbour }) => !neighbour.known.has(piece));
  const fresh = freshFrom === null ? null : table.offerable.findInOrder(0, freshFrom, isLacked);
  const piece = fresh ?? table.offerable.findRarest(isLacked, random, PROBES_MAX);
  if (piece === null) return pickExhaustively(core, eligible);
  const receiver = preferred(
    core,
    eligible.filter(({ neighbour }) => !neighbour.known.has(piece)),
  );
  return { receiver, piece };
}

/** A piece that somebody is getting elsewhere, for a node that has nothing else to give. */
export function pickEndgameOffer<C extends Candidate>(
  core: Core,
  eligible: readonly C[],
  isOpen: (receiver: C, piece: number) => boolean,
): Offer<C> | null {
  const start = Math.floor(core.random() * eligible.length);
  let probes = 0;
  for (let step = 0; step < eligible.length; step++) {
    const receiver = eligible[(start + step) % eligible.length]!;
    const pieces = [...receiver.neighbour.getting.keys()];
    const from = Math.floor(core.random() * pieces.length);
    for (let index = 0; index < pieces.length; index++) {
      const piece = pieces[(from + index) % pieces.length]!;
      if (core.table.servable.has(piece) && isOpen(receiver, piece)) return { receiver, piece };
      if (++probes >= ENDGAME_PROBES_MAX) return null;
    }
  }
  return null;
}

function pickExhaustively<C extends Candidate>(core: Core, eligible: readonly C[]): Offer<C> | null {
  const rest = [...eligible];
  for (let tries = 0; tries < EXHAUSTIVE_RECEIVERS_MAX && rest.length > 0; tries++) {
    const receiver = preferred(core, rest);
    const piece = rarest(core, core.table.servable.without(receiver.neighbour.known));
    if (piece !== null) return { receiver, piece };
    rest.splice(rest.indexOf(receiver), 1);
  }
  return null;
}

/** The rarest of the pieces, ties at random; null if there are none. */
export function rarest(core: Core, pieces: Iterable<number>): number | null {
  let best: number | null = null;
  let ties = 0;
  for (const piece of pieces) {
    const rarity = core.table.rarityOf(piece);
    const lowest = best === null ? Number.POSITIVE_INFINITY : core.table.rarityOf(best);
    if (rarity > lowest) continue;
    ties = rarity < lowest ? 1 : ties + 1;
    if (core.random() * ties < 1) best = piece;
  }
  return best;
}

function preferred<C extends Candidate>(core: Core, receivers: readonly C[]): C {
  const isComplete = core.table.mine.complete;
  const cost = (receiver: C) => (isComplete ? receiver.deficit : receiver.neighbour.have.count);
  let best: C[] = [];
  for (const receiver of receivers) {
    if (best.length > 0 && cost(receiver) > cost(best[0]!)) continue;
    if (best.length > 0 && cost(receiver) < cost(best[0]!)) best = [];
    best.push(receiver);
  }
  return best[Math.floor(core.random() * best.length)]!;
}
