/**
 * The records of the state and how they hang together. Each record that is content has a `row()`: flat, canonical, what a snapshot
 * stores and the content hash sums. Everything else here (lists by user, by daemon, counts) is derived from the rows and is
 * rebuilt with them; state.ts keeps both in step.
 *
 *   User ──< Daemon >── Session?          a daemon of a user exists here while it is logged in or has shares
 *    │          │
 *    │          └──< Share >── File       shares outlive the session: the next login brings them back
 *    └──< Member >── Group ──< File
 */
import type { Row } from './content-hash.ts';
import { type Compare, compareText, Ordered } from './ordered.ts';
import type { Linked } from './recency.ts';

/** The tables, by the first number of each row. Numbers are in snapshots: never reuse one. */
export const TABLE = {
  user: 1,
  group: 2,
  member: 3,
  request: 4,
  file: 5,
  share: 6,
  session: 7,
  client: 8,
  reply: 9,
  failures: 10,
} as const;

export interface StateRecord {
  row(): Row;
}

/** scrypt's result as it is kept: salt and hash in hex. */
export interface StoredPassword {
  readonly n: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
  readonly hash: string;
  /** Log index that set it: tells a verified password from one that has changed since. */
  readonly version: number;
}

export const byGroup: Compare<Group, string> = (group, id) => compareText(group.id, id);
const byMember: Compare<Member, string> = (member, userId) => compareText(member.user.id, userId);
const byRequest: Compare<Request, string> = (request, userId) => compareText(request.user.id, userId);
const byFile: Compare<File, string> = (file, name) => compareText(file.name, name);
const byDaemon: Compare<Daemon, string> = (daemon, fingerprint) => compareText(daemon.fingerprint, fingerprint);
const bySharer: Compare<Share, DaemonKey> = (share, key) =>
  compareText(share.daemon.user.id, key.user.id) || compareText(share.daemon.fingerprint, key.fingerprint);
const byPlace: Compare<Share, FileKey> = (share, key) =>
  compareText(share.file.group.id, key.group.id) || compareText(share.file.name, key.name);

/** Names a daemon of a user. */
export interface DaemonKey {
  readonly user: { readonly id: string };
  readonly fingerprint: string;
}
/** Names a file. */
export interface FileKey {
  readonly group: { readonly id: string };
  readonly name: string;
}

/** Most groups have none: all of those share one empty list, which nobody writes to, until they get one of their own (state.ts). */
export const NO_REQUESTS = new Ordered<Request, string>(byRequest);
export const NO_FILES = new Ordered<File, string>(byFile);
export const requestList = () => new Ordered<Request, string>(byRequest);
export const fileList = () => new Ordered<File, string>(byFile);

export class User implements StateRecord {
  readonly id: string;
  readonly createdAt: number;
  password: StoredPassword;

  /** Derived: groups that the user is a member of, in no order that anybody may rely on. */
  readonly groups = new Set<Group>();
  readonly daemons = new Ordered<Daemon, string>(byDaemon);
  ownedGroups = 0;
  /** Rows of Share over all daemons. */
  shareCount = 0;
  sessionCount = 0;
  onlineCount = 0;

  constructor(id: string, createdAt: number, password: StoredPassword) {
    this.id = id;
    this.createdAt = createdAt;
    this.password = password;
  }

  row(): Row {
    const { n, r, p, salt, hash, version } = this.password;
    return [TABLE.user, this.id, this.createdAt, n, r, p, salt, hash, version];
  }
}

export class Group implements StateRecord {
  readonly id: string;
  readonly createdAt: number;
  owner: User;
  /** Log index of the last leave or removal: grows over the life of the network, also when a group of this name comes again. */
  epoch: number;

  /** Derived. */
  readonly members = new Ordered<Member, string>(byMember);
  requests = NO_REQUESTS;
  files = NO_FILES;

  constructor(id: string, createdAt: number, owner: User, epoch: number) {
    this.id = id;
    this.createdAt = createdAt;
    this.owner = owner;
    this.epoch = epoch;
  }

  row(): Row {
    return [TABLE.group, this.id, this.createdAt, this.owner.id, this.epoch];
  }
}

export class Member implements StateRecord {
  readonly group: Group;
  readonly user: User;
  /** Log index of joining: the smallest is the longest-standing member. */
  readonly joined: number;

  constructor(group: Group, user: User, joined: number) {
    this.group = group;
    this.user = user;
    this.joined = joined;
  }

  row(): Row {
    return [TABLE.member, this.group.id, this.user.id, this.joined];
  }
}

export class Request implements StateRecord {
  readonly group: Group;
  readonly user: User;
  /** Unix ms. */
  readonly at: number;

  constructor(group: Group, user: User, at: number) {
    this.group = group;
    this.user = user;
    this.at = at;
  }

  row(): Row {
    return [TABLE.request, this.group.id, this.user.id, this.at];
  }
}

/** What a file's content is, hashes in hex. Equal manifest hashes mean equal content. */
export interface Content {
  readonly size: number;
  readonly sha1: string;
  readonly pieceSize: number;
  readonly pieceCount: number;
  readonly manifestHash: string;
}

export class File implements StateRecord {
  readonly group: Group;
  readonly name: string;
  readonly content: Content;
  readonly publisher: User;
  /** Unix ms. */
  readonly publishedAt: number;

  /** Derived. Invariant after each command: at least one sharer is complete. */
  readonly sharers = new Ordered<Share, DaemonKey>(bySharer);
  completeCount = 0;

  constructor(group: Group, name: string, content: Content, publisher: User, publishedAt: number) {
    this.group = group;
    this.name = name;
    this.content = content;
    this.publisher = publisher;
    this.publishedAt = publishedAt;
  }

  row(): Row {
    const { size, sha1, pieceSize, pieceCount, manifestHash } = this.content;
    const { group, name, publisher, publishedAt } = this;
    return [TABLE.file, group.id, name, size, sha1, pieceSize, pieceCount, manifestHash, publisher.id, publishedAt];
  }
}

/** One daemon key under one user. Derived: it has no row of its own. */
export class Daemon implements DaemonKey {
  readonly user: User;
  readonly fingerprint: string;
  session: Session | null = null;
  /** By group, then name. */
  readonly shares = new Ordered<Share, FileKey>(byPlace);

  constructor(user: User, fingerprint: string) {
    this.user = user;
    this.fingerprint = fingerprint;
  }
}

export class Share implements StateRecord {
  readonly file: File;
  readonly daemon: Daemon;
  complete: boolean;

  constructor(file: File, daemon: Daemon, complete: boolean) {
    this.file = file;
    this.daemon = daemon;
    this.complete = complete;
  }

  row(): Row {
    const { file, daemon, complete } = this;
    return [TABLE.share, file.group.id, file.name, daemon.user.id, daemon.fingerprint, complete];
  }
}

export class Session implements StateRecord {
  readonly id: string;
  readonly daemon: Daemon;
  /** Unix ms of the login. */
  readonly since: number;
  host: string;
  port: number;
  online: boolean;
  /** Log index of the last login or resume: an expiry that names an older one changes nothing. */
  epoch: number;

  constructor(id: string, daemon: Daemon, since: number, host: string, port: number, epoch: number) {
    this.id = id;
    this.daemon = daemon;
    this.since = since;
    this.host = host;
    this.port = port;
    this.online = true;
    this.epoch = epoch;
  }

  row(): Row {
    const { id, daemon, since, host, port, online, epoch } = this;
    return [TABLE.session, id, daemon.user.id, daemon.fingerprint, since, host, port, online, epoch];
  }
}

/** An exactly-once client: the replies that it has not acknowledged yet. */
export class Client implements StateRecord, Linked<Client> {
  readonly id: string;
  readonly fingerprint: string;
  /** Replies below it have arrived and are forgotten. */
  acked = 0;
  /** Log index and time of its last request; the index orders the queue. */
  usedIndex: number;
  usedAt: number;

  /** Derived: by sequence. */
  readonly replies = new Map<number, StoredReply>();
  older: Client | null = null;
  newer: Client | null = null;

  constructor(id: string, fingerprint: string, usedIndex: number, usedAt: number) {
    this.id = id;
    this.fingerprint = fingerprint;
    this.usedIndex = usedIndex;
    this.usedAt = usedAt;
  }

  row(): Row {
    return [TABLE.client, this.id, this.fingerprint, this.acked, this.usedIndex, this.usedAt];
  }
}

export class StoredReply implements StateRecord {
  readonly client: Client;
  readonly seq: number;
  /** The Reply as JSON: small, flat, and given back as it was. */
  readonly json: string;

  constructor(client: Client, seq: number, json: string) {
    this.client = client;
    this.seq = seq;
    this.json = json;
  }

  row(): Row {
    return [TABLE.reply, this.client.id, this.seq, this.json];
  }
}

/** Failed logins of one account, or from one address. */
export class Failures implements StateRecord, Linked<Failures> {
  readonly kind: 'user' | 'address';
  readonly key: string;
  count: number;
  /** Unix ms and log index of the last one. */
  lastAt: number;
  lastIndex: number;

  older: Failures | null = null;
  newer: Failures | null = null;

  constructor(kind: 'user' | 'address', key: string, lastAt: number, lastIndex: number) {
    this.kind = kind;
    this.key = key;
    this.count = 0;
    this.lastAt = lastAt;
    this.lastIndex = lastIndex;
  }

  row(): Row {
    return [TABLE.failures, this.kind, this.key, this.count, this.lastAt, this.lastIndex];
  }
}
