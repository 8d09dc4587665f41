// The real state machine (cluster/state) as a simulated node holds it: applied entry by entry, saved to bytes, brought back.
// There are two versions of the program: the second one knows a command more, as the next release of the real one will.
import { createHash } from 'node:crypto';
import type { Entry } from '../../cluster/raft/types.ts';
import { advance, apply } from '../../cluster/state/apply.ts';
import { decodeCommand, encodeCommand } from '../../cluster/state/commands.ts';
import { listGroups } from '../../cluster/state/queries.ts';
import { SnapshotReader } from '../../cluster/state/restore.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { emptyState, type State, stateHash } from '../../cluster/state/state.ts';
import type { Command, Reply } from '../../cluster/state/types.ts';

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

export type Program = 1 | 2;

const FUTURE_TYPE = 'set_limits_anew';
const SET_LIMITS = 'set_limits';

/** A command that only program 2 knows. Its effect is seen in the state's hash, and nowhere else. */
export function futureCommand(): Uint8Array {
  const payload = { groups_per_user: 9_999, files_per_user: 9_999 };
  const actor = { fingerprint: null, session: null };
  const command: Command = { type: SET_LIMITS, clientId: null, seq: 0, acked: 0, actor, at: 0, payload };
  return retyped(encodeCommand(command), SET_LIMITS, FUTURE_TYPE);
}

/** A command that changes nothing that a client sees: to make logs long. */
export function filler(number: number): Uint8Array {
  const client_id = number.toString(16).padStart(32, 'f');
  const actor = { fingerprint: 'f'.repeat(64), session: null };
  return encodeCommand({
    type: 'register_client',
    clientId: null,
    seq: 0,
    acked: 0,
    actor,
    at: 0,
    payload: { client_id },
  });
}

/** A CBOR text of less than 24 bytes is its length, then its bytes. */
const text = (type: string): Buffer => Buffer.from([0x60 + type.length, ...Buffer.from(type)]);

/** The same entry with another type. */
function retyped(data: Uint8Array, from: string, to: string): Uint8Array {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const at = bytes.indexOf(text(from));
  if (at < 0) return data;
  return Buffer.concat([bytes.subarray(0, at), text(to), bytes.subarray(at + 1 + from.length)]);
}

/** All nodes hold the same bytes of an entry: each program decodes them once, not at every node. */
const decoded: Readonly<Record<Program, WeakMap<Uint8Array, Command>>> = { 1: new WeakMap(), 2: new WeakMap() };

export class App {
  state: State;
  readonly program: Program;

  private constructor(state: State, program: Program) {
    this.state = state;
    this.program = program;
  }

  static empty(program: Program): App {
    return new App(emptyState(), program);
  }

  /** From `save`. */
  static load(bytes: Uint8Array, program: Program): App {
    if (bytes.length === 0) return App.empty(program);
    const reader = new SnapshotReader(sha256);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const size = view.getUint32(at);
      reader.push(bytes.slice(at + 4, at + 4 + size));
      at += 4 + size;
    }
    return new App(reader.finish(), program);
  }

  /** Every chunk of the real snapshot format, each behind its length. */
  save(): Uint8Array {
    const parts: Uint8Array[] = [];
    const snapshot = takeSnapshot(this.state, sha256);
    for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(chunk.length);
      parts.push(size, Buffer.from(chunk));
    }
    return Buffer.concat(parts);
  }

  /** @returns the reply to a command; null for other entries. @throws UnknownCommandError: the node must halt. */
  apply(entry: Entry): Reply | null {
    if (entry.kind !== 'command') {
      advance(this.state, entry.index);
      return null;
    }
    return apply(this.state, entry.index, this.#decode(entry.data)).reply;
  }

  #decode(data: Uint8Array): Command {
    const known = decoded[this.program].get(data);
    if (known) return known;
    const command = decodeCommand(this.program === 1 ? data : retyped(data, FUTURE_TYPE, SET_LIMITS));
    decoded[this.program].set(data, command);
    return command;
  }

  hash(): string {
    return Buffer.from(stateHash(this.state, sha256)).toString('hex');
  }

  /** What the session's user sees of a group: "owner/members/standing", or "none". */
  look(session: string, fingerprint: string, group: string): string {
    let after: string | null = null;
    do {
      const page = listGroups(this.state, { fingerprint, session }, { after, limit: 1000 });
      const row = page.groups.find((candidate) => candidate.group_id === group);
      if (row) return `${row.owner}/${row.members}/${row.standing}`;
      after = page.next;
    } while (after !== null);
    return 'none';
  }
}
