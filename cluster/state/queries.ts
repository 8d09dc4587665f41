// Reads by a session, in the shapes of codec/tracker-rpc.ts: each checks who asks and what they may see, and changes nothing.
// Listings come in pages by key order; `next` is the last key of a page, and passing it as `after` goes on behind it, whatever has
// come or gone meanwhile.
import { PEERS_TOLD_MAX } from '../../codec/limits.ts';
import type { FileInfo, PeerInfo } from '../../codec/tracker-rpc.ts';
import { addressOf } from './accounts.ts';
import { fromHex } from './bytes.ts';
import { requireFile, requireGroup, requireMember, requireOwner, requireSession } from './guards.ts';
import type { Daemon, File, Group, Share, User } from './records.ts';
import type { State } from './state.ts';
import type { Actor } from './types.ts';

/** Which page: behind the key `after` (null: from the start), `limit` rows at most. */
export interface PageParams {
  readonly after: string | null;
  readonly limit: number;
}
interface OfGroup {
  readonly group_id: string;
}
interface OfFile extends OfGroup {
  readonly file_name: string;
}

/**
 * Pieces that the daemon of a session can serve of a file that it shares whole, while that is not all of them (its file is damaged,
 * or 0: gone or changed); null: all. Heartbeats tell it; the state does not know.
 */
export type ShortfallOf = (session: string, groupId: string, fileName: string) => number | null;
const noShortfall: ShortfallOf = () => null;

export type Standing = 'owner' | 'member' | 'requested' | 'none';

export interface GroupRow extends OfGroup {
  readonly owner: string;
  readonly members: number;
  readonly standing: Standing;
}

export function listGroups(state: State, actor: Actor, { after, limit }: PageParams) {
  const { user } = requireSession(state, actor).daemon;
  const groups = state.groupsInOrder.page(after, limit);
  return {
    groups: groups.map(
      (group): GroupRow => ({
        group_id: group.id,
        owner: group.owner.id,
        members: group.members.size,
        standing: standingOf(group, user),
      }),
    ),
    next: nextOf(groups, limit, (group) => group.id),
  };
}

export function listMembers(state: State, actor: Actor, { group_id, after, limit }: PageParams & OfGroup) {
  const group = membersGroup(state, actor, group_id);
  const members = group.members.page(after, limit);
  return {
    members: members.map(({ user }) => ({
      user_id: user.id,
      owner: user === group.owner,
      online: user.onlineCount > 0,
    })),
    next: nextOf(members, limit, ({ user }) => user.id),
  };
}

export function listRequests(state: State, actor: Actor, { group_id, after, limit }: PageParams & OfGroup) {
  const { user } = requireSession(state, actor).daemon;
  const group = requireGroup(state, group_id);
  requireOwner(group, user);
  const requests = group.requests.page(after, limit);
  return {
    requests: requests.map((request) => ({ user_id: request.user.id, at: request.at })),
    next: nextOf(requests, limit, (request) => request.user.id),
  };
}

/** @param treeSizeOf bytes of a directory's tree document, by its manifest; null: it is a file. */
export function listFiles(
  state: State,
  actor: Actor,
  { group_id, after, limit }: PageParams & OfGroup,
  shortfallOf = noShortfall,
  treeSizeOf = noTree,
) {
  const files = membersGroup(state, actor, group_id).files.page(after, limit);
  return {
    files: files.map((file) => ({
      file_name: file.name,
      ...treeSizeRow(treeSizeOf(fromHex(file.content.manifestHash))),
      size: file.content.size,
      sha1: fromHex(file.content.sha1),
      piece_count: file.content.pieceCount,
      seeders: seedersOnline(file, shortfallOf),
    })),
    next: nextOf(files, limit, (file) => file.name),
  };
}

/**
 * One row a daemon that can serve now.
 * @param piecesOf verified pieces of a daemon that has the file in part, from its heartbeats; the state does not know them.
 */
export function listSeeders(
  state: State,
  actor: Actor,
  { group_id, file_name, after, limit }: PageParams & OfFile,
  piecesOf: (fingerprint: string) => number,
  shortfallOf = noShortfall,
) {
  const file = requireFile(membersGroup(state, actor, group_id), file_name);
  const rows: { share: Share; left: number | null }[] = [];
  for (const share of file.sharers.values(after === null ? undefined : sharerKey(after))) {
    if (rows.length === limit) break;
    if (!share.daemon.session?.online || keyOfSharer(share) === after) continue;
    const left = leftOf(share, shortfallOf);
    if (left !== 0) rows.push({ share, left });
  }
  return {
    seeders: rows.map(({ share: { complete, daemon }, left }) => ({
      user_id: daemon.user.id,
      pieces: complete ? (left ?? file.content.pieceCount) : piecesOf(daemon.fingerprint),
      complete: complete && left === null,
    })),
    next: nextOf(rows, limit, ({ share }) => keyOfSharer(share)),
  };
}

/** The sessions of whoever asks, by fingerprint. */
export function listSessions(state: State, actor: Actor, { after, limit }: PageParams) {
  const { user } = requireSession(state, actor).daemon;
  const sessions = [];
  for (const { session, fingerprint } of user.daemons.values(after ?? undefined)) {
    if (sessions.length === limit) break;
    if (session === null || fingerprint === after) continue;
    const { id, online, since } = session;
    sessions.push({ session: id, fingerprint, address: addressOf(session), online, since });
  }
  return { sessions, next: nextOf(sessions, limit, ({ fingerprint }) => fingerprint) };
}

/** What a download needs and what its ticket says. */
export interface Located {
  readonly file: FileInfo;
  /** Online daemons that have it, whole or in part, but for the one that asks; PEERS_TOLD_MAX at most. */
  readonly peers: PeerInfo[];
  readonly user_id: string;
  /** Of the group: see codec/ticket.ts. */
  readonly epoch: number;
}

export function locateFile(
  state: State,
  actor: Actor,
  { group_id, file_name }: OfFile,
  shortfallOf = noShortfall,
): Located {
  const { daemon } = requireSession(state, actor);
  const group = requireGroup(state, group_id);
  requireMember(group, daemon.user);
  const file = requireFile(group, file_name);
  const peers: PeerInfo[] = [];
  for (const share of sharersFor(file, daemon)) {
    if (peers.length === PEERS_TOLD_MAX) break;
    if (share.daemon.fingerprint === daemon.fingerprint) continue;
    const peer = peerInfo(share, shortfallOf);
    if (peer !== null) peers.push(peer);
  }
  return { file: fileInfo(file), peers, user_id: daemon.user.id, epoch: group.epoch };
}

/**
 * In which order a daemon is told of sharers. Of a crowd, whole copies come first, and both they and the rest begin behind the daemon's
 * own place in the list: when not all can be told, each daemon hears of others.
 */
function sharersFor(file: File, daemon: Daemon): Iterable<Share> {
  const { size } = file.sharers;
  if (size <= PEERS_TOLD_MAX) return file.sharers.values();
  const around = [...file.sharers.values(daemon), ...file.sharers.values()].slice(0, size);
  const whole = around.filter(({ complete }) => complete).slice(0, PEERS_TOLD_MAX / 2);
  return new Set([...whole, ...around]);
}

/** For get_manifest: the file, if whoever asks may have it. */
export function findFile(state: State, actor: Actor, { group_id, file_name }: OfFile): FileInfo {
  return fileInfo(requireFile(membersGroup(state, actor, group_id), file_name));
}

/** A sharer as peers dial it; null while its daemon is offline or has nothing of the file to give. */
export function peerInfo(share: Share, shortfallOf = noShortfall): PeerInfo | null {
  const { session, user, fingerprint } = share.daemon;
  const left = leftOf(share, shortfallOf);
  if (!session?.online || left === 0) return null;
  return { user_id: user.id, fingerprint, address: addressOf(session), complete: share.complete && left === null };
}

/** Of a whole share only: what a download under way has is another matter. */
function leftOf({ complete, daemon, file }: Share, shortfallOf: ShortfallOf): number | null {
  return complete && daemon.session ? shortfallOf(daemon.session.id, file.group.id, file.name) : null;
}

/** Whether a file is a directory stands in its manifest, which the state does not hold. */
const noTree = (_manifestHash: Uint8Array): number | null => null;

function treeSizeRow(treeSize: number | null): { tree_size?: number } {
  return treeSize === null ? {} : { tree_size: treeSize };
}

function membersGroup(state: State, actor: Actor, groupId: string): Group {
  const { user } = requireSession(state, actor).daemon;
  const group = requireGroup(state, groupId);
  requireMember(group, user);
  return group;
}

function standingOf(group: Group, user: User): Standing {
  if (group.owner === user) return 'owner';
  if (group.members.has(user.id)) return 'member';
  return group.requests.has(user.id) ? 'requested' : 'none';
}

function seedersOnline(file: File, shortfallOf: ShortfallOf): number {
  let count = 0;
  for (const share of file.sharers.values()) {
    if (share.complete && share.daemon.session?.online && leftOf(share, shortfallOf) === null) count++;
  }
  return count;
}

function fileInfo(file: File): FileInfo {
  const { size, sha1, pieceSize, pieceCount, manifestHash } = file.content;
  return {
    file_name: file.name,
    size,
    sha1: fromHex(sha1),
    piece_size: pieceSize,
    piece_count: pieceCount,
    manifest_hash: fromHex(manifestHash),
    publisher: file.publisher.id,
    published_at: file.publishedAt,
  };
}

/** A page that is not full was the last one. */
function nextOf<T>(rows: readonly T[], limit: number, keyOf: (row: T) => string): string | null {
  const last = rows[rows.length - 1];
  return last === undefined || rows.length < limit ? null : keyOf(last);
}

/** A user id has no slash. */
function keyOfSharer({ daemon }: Share): string {
  return `${daemon.user.id}/${daemon.fingerprint}`;
}

function sharerKey(text: string): { user: { id: string }; fingerprint: string } {
  const cut = text.indexOf('/');
  return { user: { id: text.slice(0, Math.max(cut, 0)) }, fingerprint: text.slice(cut + 1) };
}
