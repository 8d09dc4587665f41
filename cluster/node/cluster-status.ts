// tracker_status: every member asked how it stands, this one included; works without a quorum, and says who does not answer.
import { type Address, formatAddress } from '../../codec/ids.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import type { Engine } from './engine.ts';
import type { Links } from './links.ts';

/** A living tracker answers in a few ms. */
const ASK_MS = 500;

type Row = TrackerStatus['trackers'][number];

export async function clusterStatus(number: number, engine: Engine, links: Links): Promise<TrackerStatus> {
  const { members, leader } = engine.status();
  const rows = await Promise.all(
    members.map((member) => (member.number === number ? ownRow(number, engine) : ask(member, links))),
  );
  const lastOf = (row: Omit<Row, 'lag' | 'reachable'>) => row.last_index ?? 0;
  const leading = rows.find((row) => row.role === 'leader');
  const newest = leading ? lastOf(leading) : Math.max(0, ...rows.map(lastOf));
  return {
    trackers: rows
      .map((row) => ({
        ...row,
        lag: row.applied_index === null ? null : Math.max(0, newest - row.applied_index),
        reachable: row.role !== 'unreachable',
      }))
      .sort((a, b) => a.number - b.number),
    leader:
      leading?.number ??
      (leader !== null && rows.some((r) => r.number === leader && r.role !== 'unreachable') ? leader : null),
  };
}

/** This tracker's own row. */
export function ownRow(number: number, engine: Engine): Omit<Row, 'lag' | 'reachable'> {
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
  };
}

async function ask(member: Address & { number: number }, links: Links): Promise<Omit<Row, 'lag' | 'reachable'>> {
  const { number } = member;
  try {
    const rpc = links.byNumber(number)?.rpc;
    if (rpc) return { ...(await rpc.call('status', {}, { timeoutMs: ASK_MS })), address: formatAddress(member) };
  } catch {
    // shown as unreachable
  }
  const unknown = { term: null, last_index: null, commit_index: null, applied_index: null };
  return { number, address: formatAddress(member), role: 'unreachable', ...unknown };
}
