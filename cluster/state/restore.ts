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
const text = v.string();
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
const rowSchema = v.looseTuple([countSchema]);
const rowsSchema = v.strictTuple([v.literal('rows'), v.array(rowSchema)]);
const endSchema = v.strictTuple([v.literal('end'), v.instance(Uint8Array)]);

type Head = v.InferOutput<typeof headSchema>;
interface Table {
  readonly schema: v.GenericSchema;
  readonly load: (state: State, row: never) => void;
}

/** Binds a row's schema to what is made of it; the table's number comes first and is left out of the schema. */
function table<const S extends readonly v.GenericSchema[]>(
  schemas: S,
  load: (state: State, row: v.InferOutput<v.StrictTupleSchema<S, undefined>>) => void,
): Table {
  return { schema: v.strictTuple(schemas), load };
}

/** `row()` of each record, read back. */
const TABLES: Readonly<Record<number, Table>> = {
  [TABLE.user]: table(
    [text, countSchema, countSchema, countSchema, countSchema, text, text, countSchema],
    (state, [id, createdAt, n, r, p, salt, hash, version]) =>
      state.addUser(new User(id, createdAt, { n, r, p, salt, hash, version })),
  ),
  [TABLE.group]: table([text, countSchema, text, countSchema], (state, [id, createdAt, owner, epoch]) =>
    state.addGroup(new Group(id, createdAt, userOf(state, owner), epoch)),
  ),
  [TABLE.member]: table([text, text, countSchema], (state, [group, user, joined]) =>
    state.addMember(new Member(groupOf(state, group), userOf(state, user), joined)),
  ),
  [TABLE.request]: table([text, text, countSchema], (state, [group, user, at]) =>
    state.addRequest(new Request(groupOf(state, group), userOf(state, user), at)),
  ),
  [TABLE.file]: table(
    [text, text, countSchema, text, countSchema, countSchema, text, text, countSchema],
    (state, [group, name, size, sha1, pieceSize, pieceCount, manifestHash, publisher, publishedAt]) => {
      const content = { size, sha1, pieceSize, pieceCount, manifestHash };
      state.addFile(new File(groupOf(state, group), name, content, userOf(state, publisher), publishedAt));
    },
  ),
  [TABLE.share]: table([text, text, text, text, v.boolean()], (state, [group, name, user, fingerprint, complete]) => {
    const daemon = state.daemonOf(userOf(state, user), fingerprint);
    state.addShare(new Share(known(groupOf(state, group).files.get(name)), daemon, complete));
  }),
  [TABLE.session]: table(
    [text, text, text, countSchema, text, countSchema, v.boolean(), countSchema],
    (state, [id, user, fingerprint, since, host, port, online, epoch]) => {
      const daemon = state.daemonOf(userOf(state, user), fingerprint);
      if (daemon.session !== null) throw damaged('a daemon has two sessions');
      const session = new Session(id, daemon, since, host, port, epoch);
      session.online = online;
      state.addSession(session);
    },
  ),
  [TABLE.client]: table(
    [text, text, countSchema, countSchema, countSchema],
    (state, [id, fingerprint, acked, usedIndex, usedAt]) => {
      const client = new Client(id, fingerprint, usedIndex, usedAt);
      client.acked = acked;
      state.addClient(client);
    },
  ),
  [TABLE.reply]: table([text, countSchema, text], (state, [client, seq, json]) =>
    state.addReply(new StoredReply(known(state.clients.get(client)), seq, json)),
  ),
  [TABLE.failures]: table(
    [v.picklist(['user', 'address']), text, countSchema, countSchema, countSchema],
    (state, [kind, key, count, lastAt, lastIndex]) => {
      const failures = new Failures(kind, key, lastAt, lastIndex);
      failures.count = count;
      state.addFailures(failures);
    },
  ),
};

/** Takes the chunks in order; then `finish` gives the state. Throws at the first chunk that is wrong, and is of no use after that. */
export class SnapshotReader {
  readonly #sha256: Sha256;
  readonly #state = emptyState();
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
    const state = this.#state;
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
    else for (const row of checkSchema(document, rowsSchema, 'snapshot rows')[1]) this.#load(row);
  }

  #readHead(document: unknown): void {
    const [, format] = checkSchema(document, formatSchema, 'snapshot head');
    if (format > SNAPSHOT_FORMAT) throw new UnknownCommandError(`Snapshot format ${format}`);
    const head = checkSchema(document, headSchema, 'snapshot head');
    const [, , index, now, version, groupsPerUser, filesPerUser] = head;
    if (version > STATE_VERSION_MAX) throw new UnknownCommandError(`State-machine version ${version}`);
    Object.assign(this.#state, { index, now, version, limits: { groupsPerUser, filesPerUser } });
    this.#head = head;
  }

  #load([number, ...fields]: v.InferOutput<typeof rowSchema>): void {
    const target = TABLES[number];
    if (target === undefined) throw damaged(`a row of an unknown table ${number}`);
    target.load(this.#state, checkSchema(fields, target.schema, `snapshot table ${number}`) as never);
    this.#rows++;
  }
}

function userOf(state: State, id: string): User {
  return known(state.users.get(id));
}

function groupOf(state: State, id: string): Group {
  return known(state.groups.get(id));
}

function known<T>(record: T | undefined): T {
  if (record === undefined) throw damaged('a row names something that is not there');
  return record;
}

function damaged(what: string): MtError {
  return new MtError('INTEGRITY', `The snapshot is damaged: ${what}`);
}
