// The real state machine (cluster/state) as a simulated node holds it: applied entry by entry, saved to bytes, brought back.
import { createHash } from 'node:crypto';
import type { Entry } from '../../cluster/raft/types.ts';
import { advance, apply } from '../../cluster/state/apply.ts';
import { decodeCommand } from '../../cluster/state/commands.ts';
import { listGroups } from '../../cluster/state/queries.ts';
import { SnapshotReader } from '../../cluster/state/restore.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { emptyState, type State, stateHash } from '../../cluster/state/state.ts';
import type { Reply } from '../../cluster/state/types.ts';

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

export class App {
  state: State;

  private constructor(state: State) {
    this.state = state;
  }

  static empty(): App {
    return new App(emptyState());
  }

  /** From `save`. */
  static load(bytes: Uint8Array): App {
    if (bytes.length === 0) return App.empty();
    const reader = new SnapshotReader(sha256);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const size = view.getUint32(at);
      reader.push(bytes.slice(at + 4, at + 4 + size));
      at += 4 + size;
    }
    return new App(reader.finish());
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

  /** @returns the reply to a command; null for other entries. */
  apply(entry: Entry): Reply | null {
    if (entry.kind !== 'command') {
      advance(this.state, entry.index);
      return null;
    }
    return apply(this.state, entry.index, decodeCommand(entry.data)).reply;
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
