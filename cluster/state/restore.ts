// A snapshot's chunks back into a state. Chunks come from another tracker or from disk: each is checked for its form, each row against
// a schema and against what it names, and at the end the digest of the bytes and the content hash must be those that were written.
import * as v from 'valibot';
import { checkSchema, decodeCbor } from '../../codec/cbor.ts';
import { MtError } from '../../codec/errors.ts';
import { countSchema } from '../../codec/ids.ts';
import { UnknownCommandError } from './commands.ts';
import { SNAPSHOT_CHUNK_BYTES_MAX, STATE_VERSION_MAX } from './limits.ts';
import { Client, Failures, File, Group, Member, Request, Session, Share, StoredReply, TABLE, User } from './records.ts';
import { extendDigest, SNAPSHOT_FORMAT } from './snapshot.ts';
import { emptyState, type State } from './state.ts';
import type { Sha256 } from './types.ts';

const word = v.pipe(v.number(), v.safeInteger());
const chunkSchema = v.pipe(v.array(v.unknown()), v.minLength(2));
const formatSchema = v.looseTuple([v.literal('head'), countSchema]);
const headSchema = v.strictTuple([
  v.literal('head'),
  v.literal(SNAPSHOT_FORMAT),
  countSchema,
  countSchema,
  countSchema,
  countSchema,
  countSchema,
  word,
  word,
  countSchema,
]);
const endSchema = v.strictTuple([v.literal('end'), v.instance(Uint8Array)]);

type Head = v.InferOutput<typeof headSchema>;
type Kind = 'text' | 'count' | 'flag';
interface Values {
  readonly text: string;
  readonly count: number;
  readonly flag: boolean;
}
/** A row as it is stored: the table's number, then its fields. */
type RowOf<S extends readonly Kind[]> = readonly [number, ...{ readonly [I in keyof S]: Values[S[I]] }];
interface Table {
  readonly kinds: readonly Kind[];
  readonly load: (found: Found, row: never) => void;
}

/** What rows name, found by its id. A name is mostly that of the row before or, as members come in the order of groups, the next. */
class Found {
  readonly state = emptyState();
  #user: User | null = null;
  #group: Group | null = null;
  readonly #groups = this.state.groups.values();

  user(id: string): User {
    if (this.#user?.id !== id) this.#user = known(this.state.users.get(id));
    return this.#user;
  }

  group(id: string): Group {
    if (this.#group?.id === id) return this.#group;
    const next = this.#groups.next().value;
    this.#group = next?.id === id ? next : known(this.state.groups.get(id));
    return this.#group;
  }
}

/**
 * Binds the kinds of a row's fields to what is made of it. Checked by hand: a start reads a row for everything that the state holds,
 * and a schema would take as long as all the rest.
 */
function table<const S extends readonly Kind[]>(kinds: S, load: (found: Found, row: RowOf<S>) => void): Table {
  return { kinds, load };
}

function fits(row: readonly unknown[], kinds: readonly Kind[]): boolean {
  if (row.length !== kinds.length + 1) return false;
  for (let i = 0; i < kinds.length; i++) {
    const value = row[i + 1];
    const kind = kinds[i]!;
    if (kind === 'text') {
      if (typeof value !== 'string') return false;
    } else if (kind === 'count') {
      if (!Number.isSafeInteger(value) || (value as number) < 0) return false;
    } else if (typeof value !== 'boolean') return false;
  }
  return true;
}

/** `row()` of each record, read back. */
const TABLES: Readonly<Record<number, Table>> = {
  [TABLE.user]: table(
    ['text', 'count', 'count', 'count', 'count', 'text', 'text', 'count'],
    ({ state }, [, id, createdAt, n, r, p, salt, hash, version]) =>
      state.addUser(new User(id, createdAt, { n, r, p, salt, hash, version })),
  ),
  [TABLE.group]: table(['text', 'count', 'text', 'count'], (found, [, id, createdAt, owner, epoch]) =>
    found.state.addGroup(new Group(id, createdAt, found.user(owner), epoch)),
  ),
  [TABLE.member]: table(['text', 'text', 'count'], (found, [, group, user, joined]) =>
    found.state.addMember(new Member(found.group(group), found.user(user), joined)),
  ),
  [TABLE.request]: table(['text', 'text', 'count'], (found, [, group, user, at]) =>
    found.state.addRequest(new Request(found.group(group), found.user(user), at)),
  ),
  [TABLE.file]: table(
    ['text', 'text', 'count', 'text', 'count', 'count', 'text', 'text', 'count'],
    (found, [, group, name, size, sha1, pieceSize, pieceCount, manifestHash, publisher, publishedAt]) => {
      const content = { size, sha1, pieceSize, pieceCount, manifestHash };
      found.state.addFile(new File(found.group(group), name, content, found.user(publisher), publishedAt));
    },
  ),
  [TABLE.share]: table(
    ['text', 'text', 'text', 'text', 'flag'],
    (found, [, group, name, user, fingerprint, complete]) => {
      const daemon = found.state.daemonOf(found.user(user), fingerprint);
      found.state.addShare(new Share(known(found.group(group).files.get(name)), daemon, complete));
    },
  ),
  [TABLE.session]: table(
    ['text', 'text', 'text', 'count', 'text', 'count', 'flag', 'count'],
    (found, [, id, user, fingerprint, since, host, port, online, epoch]) => {
      const daemon = found.state.daemonOf(found.user(user), fingerprint);
      if (daemon.session !== null) throw damaged('a daemon has two sessions');
      const session = new Session(id, daemon, since, host, port, epoch);
      session.online = online;
      found.state.addSession(session);
    },
  ),
  [TABLE.client]: table(
    ['text', 'text', 'count', 'count', 'count'],
    ({ state }, [, id, fingerprint, acked, usedIndex, usedAt]) => {
      const client = new Client(id, fingerprint, usedIndex, usedAt);
      client.acked = acked;
      state.addClient(client);
    },
  ),
  [TABLE.reply]: table(['text', 'count', 'text'], ({ state }, [, client, seq, json]) =>
    state.addReply(new StoredReply(known(state.clients.get(client)), seq, json)),
  ),
  [TABLE.failures]: table(
    ['text', 'text', 'count', 'count', 'count'],
    ({ state }, [, kind, key, count, lastAt, lastIndex]) => {
      if (kind !== 'user' && kind !== 'address') throw damaged('a row of failures of nobody');
      const failures = new Failures(kind, key, lastAt, lastIndex);
      failures.count = count;
      state.addFailures(failures);
    },
  ),
};

/** Takes the chunks in order; then `finish` gives the state. Throws at the first chunk that is wrong, and is of no use after that. */
export class SnapshotReader {
  readonly #sha256: Sha256;
  readonly #found = new Found();
  #digest: Uint8Array = new Uint8Array(0);
  #head: Head | null = null;
  #rows = 0;
  #ended = false;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /**
   * @throws MtError INTEGRITY when the chunk is damaged or out of place.
   * @throws UnknownCommandError when a newer program wrote the snapshot.
   */
  push(chunk: Uint8Array): void {
    if (chunk.length > SNAPSHOT_CHUNK_BYTES_MAX) throw damaged('a chunk is too large');
    if (this.#ended) throw damaged('it goes on after its end');
    try {
      this.#read(chunk);
    } catch (error) {
      if (error instanceof MtError && error.code === 'PROTOCOL') throw damaged(error.message);
      throw error;
    }
  }

  /** @throws MtError INTEGRITY when it is not the state that was written. */
  finish(): State {
    const { state } = this.#found;
    if (this.#head === null || !this.#ended) throw damaged('it ends early');
    const [, , , , , , , a, b, rows] = this.#head;
    if (this.#rows !== rows) throw damaged(`${this.#rows} rows instead of ${rows}`);
    if (state.hash.a !== a || state.hash.b !== b) throw damaged('its content does not have the hash that it names');
    return state;
  }

  #read(chunk: Uint8Array): void {
    const document = decodeCbor(chunk, chunkSchema, 'snapshot chunk');
    if (document[0] === 'end') {
      const [, digest] = checkSchema(document, endSchema, 'snapshot end');
      if (digest.length !== this.#digest.length || digest.some((byte, i) => byte !== this.#digest[i])) {
        throw damaged('its bytes are not those that were written');
      }
      this.#ended = true;
      return;
    }
    this.#digest = extendDigest(this.#digest, chunk, this.#sha256);
    if (this.#head === null) this.#readHead(document);
    else this.#readRows(document);
  }

  #readHead(document: unknown): void {
    const [, format] = checkSchema(document, formatSchema, 'snapshot head');
    if (format > SNAPSHOT_FORMAT) throw new UnknownCommandError(`Snapshot format ${format}`);
    const head = checkSchema(document, headSchema, 'snapshot head');
    const [, , index, now, version, groupsPerUser, filesPerUser] = head;
    if (version > STATE_VERSION_MAX) throw new UnknownCommandError(`State-machine version ${version}`);
    Object.assign(this.#found.state, { index, now, version, limits: { groupsPerUser, filesPerUser } });
    this.#head = head;
  }

  #readRows(document: readonly unknown[]): void {
    const [name, rows] = document;
    if (name !== 'rows' || document.length !== 2 || !Array.isArray(rows)) throw damaged('a chunk is not one of rows');
    for (const row of rows as unknown[]) {
      const number: unknown = Array.isArray(row) ? row[0] : undefined;
      // A number: a name, such as "constructor", would find what every object has.
      const target = typeof number === 'number' ? TABLES[number] : undefined;
      if (target === undefined) throw damaged('a row of an unknown table');
      if (!fits(row as unknown[], target.kinds)) throw damaged(`a row of table ${number} has a wrong field`);
      target.load(this.#found, row as never);
      this.#rows++;
    }
  }
}

function known<T>(record: T | undefined): T {
  if (record === undefined) throw damaged('a row names something that is not there');
  return record;
}

function damaged(what: string): MtError {
  return new MtError('INTEGRITY', `The snapshot is damaged: ${what}`);
}
