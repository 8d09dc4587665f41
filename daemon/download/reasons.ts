// Why a download does not move, in a sentence and a code, from what can be seen of it.
import { MtError } from '../../codec/errors.ts';
import type { Swarm } from '../peer/swarm.ts';
import type { Sources } from './sources.ts';
import type { TrackerPort } from './types.ts';

export interface Reason {
  readonly code: string;
  readonly text: string;
}

interface Standstill {
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
  /** Peers that were banned for what they sent; not among the known ones. */
  readonly banned: number;
  /** Whether the trackers have said yet which peers there are. */
  readonly isAsked: boolean;
  /** This daemon's download limit in bytes a second, when that is what keeps it from reading; else null. */
  readonly limit: number | null;
}

/** Why nothing comes, of all that can be seen of a download. The limit is this daemon's, in bytes a second; 0: none. */
export function explainStandstill(
  { sources, swarm }: { readonly sources: Sources; readonly swarm: Swarm },
  {
    trackers,
    onlyUser,
    limit,
  }: { readonly trackers: TrackerPort; readonly onlyUser: string | null; readonly limit: number },
): Reason {
  const links = [...swarm.links('download')];
  return explain({
    known: sources.known,
    banned: sources.banned,
    linked: links.length,
    useful: swarm.stats.sources,
    errors: sources.errors(),
    trackers: trackers.linkError() ?? sources.locateError,
    isAsked: sources.isAsked,
    onlyUser,
    limit: limit > 0 && links.some((link) => link.isPaused) ? limit : null,
  });
}

/** The codes are part of the public face (`reason_code`): they are added to, never changed. */
function explain(standstill: Standstill): Reason {
  const { known, banned, linked, useful, errors, trackers, isAsked, onlyUser, limit } = standstill;
  if (limit !== null)
    return { code: 'LIMITED', text: `This daemon downloads at most ${count(limit, 'byte')} a second` };
  if (useful > 0) {
    return {
      code: 'WAITING',
      text: `Waiting for ${count(useful, 'peer')} to send: limited there, or others come first`,
    };
  }
  if (linked > 0)
    return { code: 'NO_SEEDERS', text: `The ${count(linked, 'peer')} online lack the pieces that are missing` };
  if (trackers && known === 0)
    return { code: trackers.code, text: `No peer is known, and no tracker answers: ${trackers.message}` };
  if (known === 0 && !isAsked) return { code: 'CONNECTING', text: 'Asking the trackers who has it' };
  if (known === 0 && banned > 0) {
    return { code: 'NO_SEEDERS', text: `No other seeder is online: ${count(banned, 'peer')} sent wrong pieces` };
  }
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

/** For whoever waited long enough without a source. */
export function noSourceError(fileName: string, reason: Reason | null): MtError {
  return new MtError(
    'NO_SEEDERS',
    `"${fileName}" has no source now: ${reason?.text ?? 'no peer has the pieces that are missing'}`,
    'The download goes on by itself when a source comes online; see mt show_downloads.',
  );
}
