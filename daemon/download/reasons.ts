// Why a download does not move, in a sentence and a code, from what can be seen of it.
import type { MtError } from '../../codec/errors.ts';

export interface Reason {
  readonly code: string;
  readonly text: string;
}

export interface Standstill {
  /** Peers that the trackers name, and those of them that we have a link to. */
  readonly known: number;
  readonly linked: number;
  /** Linked ones that have a piece we lack. */
  readonly useful: number;
  /** Why others are not linked. */
  readonly errors: readonly MtError[];
  /** Why the trackers cannot be asked; null when they can. */
  readonly trackers: { readonly code: string; readonly message: string } | null;
  readonly onlyUser: string | null;
  /** This daemon's download limit in bytes a second; 0: none. */
  readonly limit: number;
}

export function explain(standstill: Standstill): Reason {
  const { known, linked, useful, errors, trackers, onlyUser, limit } = standstill;
  if (useful > 0) {
    const isLimited = limit > 0 ? ` (this daemon downloads at most ${limit} bytes a second)` : '';
    return { code: 'WAITING', text: `Waiting for ${count(useful, 'peer')} to send${isLimited}` };
  }
  if (linked > 0)
    return { code: 'NO_SEEDERS', text: `The ${count(linked, 'peer')} online lack the pieces that are missing` };
  if (trackers && known === 0)
    return { code: trackers.code, text: `No peer is known, and no tracker answers: ${trackers.message}` };
  if (known === 0) {
    const who = onlyUser === null ? 'No seeder is online' : `${onlyUser} has no daemon online that has the file`;
    return { code: 'NO_SEEDERS', text: who };
  }
  const refused = errors.find(({ code }) => code === 'FORBIDDEN' || code === 'NO_SUCH_SHARE' || code === 'OVERLOADED');
  if (refused) return { code: refused.code, text: `Refused by the peer: ${refused.message}` };
  const [first] = errors;
  if (first) return { code: 'PEER_UNREACHABLE', text: `${count(known, 'peer')} named, none reached: ${first.message}` };
  return { code: 'CONNECTING', text: `Connecting to ${count(known, 'peer')}` };
}

function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}
