// A state machine with people in it, for the tests: users, daemons and sessions by short names, commands through their encoded
// form, a clock that the test moves. Every command goes through encode and decode, as in the log.
import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { apply } from '../../cluster/state/apply.ts';
import { decodeCommand, encodeCommand } from '../../cluster/state/commands.ts';
import { SnapshotReader } from '../../cluster/state/restore.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { emptyState, type State, stateHash } from '../../cluster/state/state.ts';
import type { Actor, Applied, Command, CommandType, Payloads, StateEvent } from '../../cluster/state/types.ts';
import type { ErrorCode } from '../../codec/errors.ts';

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** A made-up fingerprint or token that is the same for the same name. */
export const fingerprintOf = (name: string) => createHash('sha256').update(`daemon ${name}`).digest('hex');
export const tokenOf = (name: string) => createHash('sha256').update(`token ${name}`).digest('hex').slice(0, 32);
const bytesOf = (name: string, length: number) =>
  new Uint8Array(createHash('sha256').update(name).digest().subarray(0, length));

export const START_MS = 1_700_000_000_000;
export const REMOTE = '127.0.0.1';

export function passwordOf(text: string): Payloads['create_user']['password'] {
  return { n: 16_384, r: 8, p: 1, salt: bytesOf(`salt ${text}`, 16), hash: bytesOf(`hash ${text}`, 32) };
}

/** What a file named by its content has. */
export function contentOf(content: string) {
  return {
    manifest_hash: bytesOf(`manifest ${content}`, 32),
    size: 1000 + content.length,
    sha1: bytesOf(`sha1 ${content}`, 20),
    piece_size: 65_536,
    piece_count: 1,
  };
}

export function hashHex(state: State): string {
  return Buffer.from(stateHash(state, sha256)).toString('hex');
}

export function snapshotOf(state: State): Uint8Array[] {
  const snapshot = takeSnapshot(state, sha256);
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(); chunk !== null; chunk = snapshot.next()) chunks.push(chunk);
  return chunks;
}

export function restoreFrom(chunks: readonly Uint8Array[]): State {
  const reader = new SnapshotReader(sha256);
  for (const chunk of chunks) reader.push(chunk);
  return reader.finish();
}

export class World {
  state = emptyState();
  index = 0;
  at = START_MS;
  /** Every entry so far, encoded. */
  readonly log: Uint8Array[] = [];
  readonly #seqs = new Map<string, number>();
  /** Session by daemon name. */
  readonly #sessions = new Map<string, string>();

  /** Applies a whole command as it would come from the log. */
  commit(command: Command): Applied {
    const bytes = encodeCommand(command);
    this.log.push(bytes);
    this.index++;
    return apply(this.state, this.index, decodeCommand(bytes));
  }

  /** For hundreds of thousands of commands: neither encoded nor kept. */
  commitUnlogged(command: Command): Applied {
    this.index++;
    return apply(this.state, this.index, command);
  }

  /** From a daemon with its current session, with the next sequence of its client; everything earlier is acknowledged. */
  run<T extends CommandType>(daemon: string, type: T, payload: Payloads[T]): Applied {
    if (!this.#seqs.has(daemon)) this.registerClient(daemon);
    return this.commit(this.next(daemon, type, payload));
  }

  /** The command that `run` would apply. */
  next<T extends CommandType>(daemon: string, type: T, payload: Payloads[T]): Command {
    const seq = (this.#seqs.get(daemon) ?? 0) + 1;
    this.#seqs.set(daemon, seq);
    return this.command(daemon, type, payload, seq, seq);
  }

  command<T extends CommandType>(daemon: string, type: T, payload: Payloads[T], seq: number, acked: number): Command {
    return {
      type,
      clientId: tokenOf(`client ${daemon}`),
      seq,
      acked,
      actor: this.actor(daemon),
      at: this.at,
      payload,
    } as Command;
  }

  registerClient(daemon: string): Applied {
    const actor = { fingerprint: fingerprintOf(daemon), session: null };
    const payload = { client_id: tokenOf(`client ${daemon}`) };
    return this.commit({ type: 'register_client', clientId: null, seq: 0, acked: 0, actor, at: this.at, payload });
  }

  /** From the cluster itself. */
  runCluster<T extends 'expire' | 'set_limits' | 'upgrade'>(type: T, payload: Payloads[T]): Applied {
    const actor: Actor = { fingerprint: null, session: null };
    return this.commit({ type, clientId: null, seq: 0, acked: 0, actor, at: this.at, payload } as Command);
  }

  actor(daemon: string): Actor {
    return { fingerprint: fingerprintOf(daemon), session: this.#sessions.get(daemon) ?? null };
  }

  session(daemon: string): string {
    return this.#sessions.get(daemon)!;
  }

  createUser(user: string): Applied {
    return this.run(`maker of ${user}`, 'create_user', { user_id: user, password: passwordOf(user) });
  }

  /** With the right password. `port` is where the daemon listens. */
  login(user: string, daemon = user, port = 18_000): Applied {
    const session = tokenOf(`session ${daemon} ${this.index}`);
    const password_version = this.state.users.get(user)?.password.version ?? 0;
    const applied = this.run(daemon, 'login', {
      user_id: user,
      password_version,
      session,
      address: { host: '127.0.0.1', port },
      remote: REMOTE,
    });
    if (applied.reply.ok) this.#sessions.set(daemon, session);
    return applied;
  }

  /** Users who exist and are logged in, each on a daemon of the same name. */
  people(...users: string[]): this {
    for (const user of users) {
      ok(this.createUser(user));
      ok(this.login(user));
    }
    return this;
  }

  /** A group of the first, with the others as members in that order. */
  group(group_id: string, owner: string, ...members: string[]): this {
    ok(this.run(owner, 'create_group', { group_id }));
    for (const user_id of members) {
      ok(this.run(user_id, 'join_group', { group_id }));
      ok(this.run(owner, 'accept_request', { group_id, user_id }));
    }
    return this;
  }

  share(daemon: string, group_id: string, file_name: string, content = file_name): Applied {
    return this.run(daemon, 'share_file', { group_id, file_name, ...contentOf(content) });
  }

  beginDownload(daemon: string, group_id: string, file_name: string, content = file_name): Applied {
    const { manifest_hash } = contentOf(content);
    return this.run(daemon, 'begin_download', { group_id, file_name, manifest_hash });
  }

  recordShare(daemon: string, group_id: string, file_name: string, content = file_name): Applied {
    const { manifest_hash } = contentOf(content);
    return this.run(daemon, 'record_share', { group_id, file_name, manifest_hash });
  }
}

export function ok(applied: Applied): Applied {
  if (!applied.reply.ok) throw new Error(`refused: ${applied.reply.error.code} ${applied.reply.error.message}`);
  return applied;
}

export function refused(applied: Applied, code: ErrorCode): Applied {
  const got = applied.reply.ok ? 'ok' : applied.reply.error.code;
  assert.is(got, code);
  return applied;
}

/** The events as short words: type, then whom and what they are about. */
export function told(applied: Applied): string[] {
  return applied.events.map((event: StateEvent) => {
    const about = event as {
      user_id?: string;
      group_id?: string;
      file_name?: string;
      reason?: string;
      complete?: boolean;
    };
    const words = [event.type, about.group_id, about.file_name, about.user_id, about.reason].filter((word) => word);
    return words.join(' ');
  });
}
