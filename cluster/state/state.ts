/**
 * The state: every table, and the one way to change each. A mutator here keeps the content hash, the derived lists and counts, and
 * a snapshot under way in step; it knows no rule of the product (those are in accounts.ts, groups.ts, files.ts) and checks nothing
 * that a user could get wrong. Restoring a snapshot goes through the same mutators, so derived data cannot differ.
 */
import { encodeCbor } from '../../codec/cbor.ts';
import { invariant } from './bytes.ts';
import { ContentHash } from './content-hash.ts';
import { GroupsInOrder } from './groups-in-order.ts';
import { FILES_PER_USER_DEFAULT, GROUPS_PER_USER_DEFAULT } from './limits.ts';
import type { Ordered } from './ordered.ts';
import { Recency } from './recency.ts';
import {
  type Client,
  Daemon,
  type Failures,
  type File,
  fileList,
  type Group,
  type Member,
  NO_FILES,
  NO_REQUESTS,
  type Request,
  requestList,
  type Session,
  type Share,
  type StateRecord,
  type StoredPassword,
  type StoredReply,
  type User,
} from './records.ts';
import type { Sha256, UserLimits } from './types.ts';

/** The lists that a snapshot reads as it goes; the others it copies when it begins. */
export type List = Ordered<Member, string> | Ordered<Request, string> | Ordered<File, string> | File['sharers'];

/** A snapshot under way: told of every record just before it changes or goes, and of every list before something comes or goes. */
export interface Witness {
  changing(record: StateRecord): void;
  listChanging(list: List): void;
}

export class State {
  /** The last log entry applied; 0 before the first. */
  index = 0;
  /** Unix ms of the log: the largest stamp so far. */
  now = 0;
  /** State-machine version in force. */
  version = 1;
  limits: UserLimits = { groupsPerUser: GROUPS_PER_USER_DEFAULT, filesPerUser: FILES_PER_USER_DEFAULT };
  witness: Witness | null = null;
  readonly hash = new ContentHash();

  readonly users = new Map<string, User>();
  readonly groups = new Map<string, Group>();
  readonly groupsInOrder = new GroupsInOrder();
  memberCount = 0;
  requestCount = 0;
  fileCount = 0;
  shareCount = 0;
  readonly sessions = new Map<string, Session>();
  /** A daemon has one session at most. */
  readonly sessionsByFingerprint = new Map<string, Session>();
  readonly clients = new Map<string, Client>();
  readonly clientsByUse = new Recency<Client>();
  replyCount = 0;
  readonly failures = { user: new Map<string, Failures>(), address: new Map<string, Failures>() };
  readonly failuresByTime = { user: new Recency<Failures>(), address: new Recency<Failures>() };
  /** How many files have this manifest: it may be deleted when none has. */
  readonly manifests = new Map<string, number>();

  addUser(user: User): void {
    this.users.set(user.id, user);
    this.#came(user);
  }

  setPassword(user: User, password: StoredPassword): void {
    this.#changing(user);
    user.password = password;
    this.#came(user);
  }

  addGroup(group: Group): void {
    this.groups.set(group.id, group);
    this.groupsInOrder.insert(group);
    group.owner.ownedGroups++;
    this.#came(group);
  }

  /** Members, files and requests must have gone before. */
  removeGroup(group: Group): void {
    invariant(group.members.size + group.files.size + group.requests.size === 0, 'a group ends empty');
    this.#changing(group);
    group.owner.ownedGroups--;
    this.groups.delete(group.id);
    this.groupsInOrder.delete(group.id);
  }

  setOwner(group: Group, owner: User): void {
    this.#changing(group);
    group.owner.ownedGroups--;
    group.owner = owner;
    owner.ownedGroups++;
    this.#came(group);
  }

  setEpoch(group: Group, epoch: number): void {
    this.#changing(group);
    group.epoch = epoch;
    this.#came(group);
  }

  addMember(member: Member): void {
    const { members } = member.group;
    this.witness?.listChanging(members);
    members.insert(member.user.id, member);
    member.user.groups.add(member.group);
    this.memberCount++;
    this.#came(member);
  }

  removeMember(member: Member): void {
    this.#changing(member);
    const { members } = member.group;
    this.witness?.listChanging(members);
    members.delete(member.user.id);
    member.user.groups.delete(member.group);
    this.memberCount--;
  }

  addRequest(request: Request): void {
    const { group } = request;
    if (group.requests === NO_REQUESTS) group.requests = requestList();
    this.witness?.listChanging(group.requests);
    group.requests.insert(request.user.id, request);
    this.requestCount++;
    this.#came(request);
  }

  removeRequest(request: Request): void {
    this.#changing(request);
    const { requests } = request.group;
    this.witness?.listChanging(requests);
    requests.delete(request.user.id);
    this.requestCount--;
  }

  addFile(file: File): void {
    const { group } = file;
    if (group.files === NO_FILES) group.files = fileList();
    this.witness?.listChanging(group.files);
    group.files.insert(file.name, file);
    this.fileCount++;
    const hash = file.content.manifestHash;
    this.manifests.set(hash, (this.manifests.get(hash) ?? 0) + 1);
    this.#came(file);
  }

  /** Takes its remaining shares with it. */
  removeFile(file: File): void {
    for (const share of [...file.sharers.values()]) this.removeShare(share);
    this.#changing(file);
    const { files } = file.group;
    this.witness?.listChanging(files);
    files.delete(file.name);
    this.fileCount--;
    const hash = file.content.manifestHash;
    const left = this.manifests.get(hash)! - 1;
    if (left === 0) this.manifests.delete(hash);
    else this.manifests.set(hash, left);
  }

  /** The daemon of this user with this key, made when it is new. It stays while it has a session or shares. */
  daemonOf(user: User, fingerprint: string): Daemon {
    let daemon = user.daemons.get(fingerprint);
    if (daemon === undefined) {
      daemon = new Daemon(user, fingerprint);
      user.daemons.insert(fingerprint, daemon);
    }
    return daemon;
  }

  addShare(share: Share): void {
    const { file, daemon } = share;
    this.witness?.listChanging(file.sharers);
    file.sharers.insert(daemon, share);
    daemon.shares.insert(file, share);
    daemon.user.shareCount++;
    this.shareCount++;
    if (share.complete) file.completeCount++;
    this.#came(share);
  }

  completeShare(share: Share): void {
    this.#changing(share);
    share.complete = true;
    share.file.completeCount++;
    this.#came(share);
  }

  removeShare(share: Share): void {
    this.#changing(share);
    const { file, daemon } = share;
    this.witness?.listChanging(file.sharers);
    file.sharers.delete(daemon);
    daemon.shares.delete(file);
    daemon.user.shareCount--;
    this.shareCount--;
    if (share.complete) file.completeCount--;
    this.#dropIdle(daemon);
  }

  addSession(session: Session): void {
    const { daemon } = session;
    invariant(daemon.session === null, 'a daemon has one session');
    daemon.session = session;
    this.sessions.set(session.id, session);
    this.sessionsByFingerprint.set(daemon.fingerprint, session);
    daemon.user.sessionCount++;
    if (session.online) daemon.user.onlineCount++;
    this.#came(session);
  }

  setOnline(session: Session, host: string, port: number, epoch: number): void {
    this.#changing(session);
    if (!session.online) session.daemon.user.onlineCount++;
    session.online = true;
    session.host = host;
    session.port = port;
    session.epoch = epoch;
    this.#came(session);
  }

  setOffline(session: Session): void {
    this.#changing(session);
    if (session.online) session.daemon.user.onlineCount--;
    session.online = false;
    this.#came(session);
  }

  removeSession(session: Session): void {
    this.#changing(session);
    const { daemon } = session;
    daemon.session = null;
    this.sessions.delete(session.id);
    this.sessionsByFingerprint.delete(daemon.fingerprint);
    daemon.user.sessionCount--;
    if (session.online) daemon.user.onlineCount--;
    this.#dropIdle(daemon);
  }

  addClient(client: Client): void {
    this.clients.set(client.id, client);
    this.clientsByUse.add(client);
    this.#came(client);
  }

  /** A request of this client: it is the most recently used now. Replies below `acked` are forgotten. */
  useClient(client: Client, acked: number): void {
    this.#changing(client);
    client.usedIndex = this.index;
    client.usedAt = this.now;
    this.clientsByUse.touch(client);
    const before = client.acked;
    if (acked > before) client.acked = acked;
    this.#came(client);
    if (acked - before <= client.replies.size) {
      for (let seq = before; seq < acked; seq++) this.#removeReply(client.replies.get(seq));
    } else {
      for (const reply of client.replies.values()) if (reply.seq < acked) this.#removeReply(reply);
    }
  }

  removeClient(client: Client): void {
    for (const reply of client.replies.values()) this.#removeReply(reply);
    this.#changing(client);
    this.clients.delete(client.id);
    this.clientsByUse.remove(client);
  }

  addReply(reply: StoredReply): void {
    reply.client.replies.set(reply.seq, reply);
    this.replyCount++;
    this.#came(reply);
  }

  addFailures(failures: Failures): void {
    this.failures[failures.kind].set(failures.key, failures);
    this.failuresByTime[failures.kind].add(failures);
    this.#came(failures);
  }

  countFailure(failures: Failures): void {
    this.#changing(failures);
    failures.count++;
    failures.lastAt = this.now;
    failures.lastIndex = this.index;
    this.failuresByTime[failures.kind].touch(failures);
    this.#came(failures);
  }

  removeFailures(failures: Failures): void {
    this.#changing(failures);
    this.failures[failures.kind].delete(failures.key);
    this.failuresByTime[failures.kind].remove(failures);
  }

  #removeReply(reply: StoredReply | undefined): void {
    if (reply === undefined) return;
    this.#changing(reply);
    reply.client.replies.delete(reply.seq);
    this.replyCount--;
  }

  #dropIdle(daemon: Daemon): void {
    if (daemon.session === null && daemon.shares.size === 0) daemon.user.daemons.delete(daemon.fingerprint);
  }

  #came(record: StateRecord): void {
    this.hash.add(record.row());
  }

  /** Before a record changes, and before it goes. */
  #changing(record: StateRecord): void {
    this.hash.subtract(record.row());
    this.witness?.changing(record);
  }
}

export function emptyState(): State {
  return new State();
}

/** 32 bytes that two nodes share exactly when their states at this index have the same content. Constant time. */
export function stateHash(state: State, sha256: Sha256): Uint8Array {
  const { index, now, version, limits, hash } = state;
  const { groupsPerUser, filesPerUser } = limits;
  return sha256(
    encodeCbor(['mini-torrent state', index, now, version, groupsPerUser, filesPerUser, hash.a >>> 0, hash.b >>> 0]),
  );
}
