// tracker_status: every tracker asked how it stands, this one included; works without a quorum, and says who does not answer.
import { formatAddress } from '../../codec/ids.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import type { Engine, EngineStatus } from './engine.ts';
import type { Links } from './links.ts';

/** A living tracker answers in a few ms. */
const ASK_MS = 500;
const UNKNOWN = { term: null, last_index: null, commit_index: null, applied_index: null } as const;

export type StatusRow = Omit<TrackerStatus['trackers'][number], 'lag' | 'reachable'>;
type Entry = EngineStatus['members'][number];

export async function clusterStatus(own: StatusRow, engine: Engine, links: Links): Promise<TrackerStatus> {
  const { members, leader } = engine.status();
  const rows = await Promise.all(members.map((member) => (member.number === own.number ? own : ask(member, links))));
  const lastOf = (row: StatusRow) => row.last_index ?? 0;
  const leading = rows.find((row) => row.role === 'leader');
  const newest = leading ? lastOf(leading) : Math.max(0, ...rows.map(lastOf));
  return {
    trackers: rows.map((row) => ({
      ...row,
      lag: row.applied_index === null ? null : Math.max(0, newest - row.applied_index),
      reachable: row.role !== 'unreachable' && (row.role !== 'removed' || row.term !== null),
    })),
    leader:
      leading?.number ??
      (leader !== null && rows.some((r) => r.number === leader && r.role !== 'unreachable') ? leader : null),
  };
}

/** This tracker's own row. @param note what is out of the ordinary with it. */
export function ownRow(number: number, engine: Engine, note: string | null): StatusRow {
  const { role, term, lastIndex, commitIndex, appliedIndex, members } = engine.status();
  const own = members.find((member) => member.number === number);
  return {
    number,
    address: own ? formatAddress(own) : '',
    role,
    term,
    last_index: lastIndex,
    commit_index: commitIndex,
    applied_index: appliedIndex,
    ...(note !== null && { note }),
  };
}

/** Of a tracker that belongs to no cluster yet. */
export function waitingRow(number: number, note: string): StatusRow {
  return { number, address: '', role: 'learner', ...UNKNOWN, note };
}

export interface OtherClock {
  readonly number: number;
  /** How far it is ahead of this tracker's clock, in ms; half the way there and back is taken off. */
  readonly ahead_ms: number;
}

/** The clocks of the trackers that answer. */
export async function otherClocks(own: number, engine: Engine, links: Links): Promise<OtherClock[]> {
  const others = engine.status().members.filter(({ number, standing }) => number !== own && standing !== 'removed');
  const clocks = await Promise.all(others.map(({ number }) => clockOf(number, links)));
  return clocks.filter((clock) => clock !== null);
}

async function clockOf(number: number, links: Links): Promise<OtherClock | null> {
  const rpc = links.byNumber(number)?.rpc;
  if (!rpc) return null;
  const askedAtMs = Date.now();
  try {
    const { now } = await rpc.call('clock', {}, { timeoutMs: ASK_MS });
    return { number, ahead_ms: Math.round(now - (askedAtMs + Date.now()) / 2) };
  } catch {
    return null; // it is away, or of an earlier version
  }
}

async function ask(member: Entry, links: Links): Promise<StatusRow> {
  const { number, standing } = member;
  const known = { number, address: formatAddress(member) };
  if (standing === 'removed') return { ...known, role: 'removed', ...UNKNOWN };
  try {
    const rpc = links.byNumber(number)?.rpc;
    if (rpc) return { ...(await rpc.call('status', {}, { timeoutMs: ASK_MS })), ...known };
  } catch {
    // shown as unreachable
  }
  const note = standing === 'awaited' ? { note: 'added, but it has not come yet' } : {};
  return { ...known, role: 'unreachable', ...UNKNOWN, ...note };
}
