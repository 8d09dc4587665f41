// The seam between the tracker's servers and the replicated log. The rpc-server knows this interface and
// the state that it keeps up to date, never Raft: another consistent log could stand behind it.

import type { Applied, Command, Reply } from '../state/types.ts';
import type { Standing } from './roster.ts';

/** A command before the leader stamps its time. */
export type Proposed = Command extends infer C ? (C extends Command ? Omit<C, 'at'> : never) : never;

export interface ProposeOptions {
  /** From now to the answer, in ms; 0: COMMAND_MS_DEFAULT. */
  readonly timeoutMs: number;
  /** The manifest that the command names, for share_file. */
  readonly manifest?: { readonly hash: Uint8Array; readonly bytes: Uint8Array };
}

export interface Engine {
  /**
   * Brings a command into the log, on whichever tracker leads, and waits until it is applied.
   * @throws MtError NO_QUORUM when nobody took it, OUTCOME_UNKNOWN when its fate is not known, OVERLOADED, DISK_FULL, TOO_LARGE.
   */
  propose(command: Proposed, options: ProposeOptions): Promise<Reply>;
  /**
   * Waits until this tracker's state is at least as new as everything acknowledged before the call.
   * @throws MtError NO_QUORUM when that cannot be known in time.
   */
  readBarrier(timeoutMs: number): Promise<void>;
  /** Told of every applied command in order, once; and with null when the state was replaced by a snapshot. */
  watch(listener: (applied: Applied | null) => void): () => void;
  status(): EngineStatus;
}

export interface EngineStatus {
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | 'removed';
  /** Number of the tracker that leads, as far as this one knows. */
  readonly leader: number | null;
  readonly term: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** The membership in force: trackers by number, those that are awaited or were removed included. */
  readonly members: readonly {
    readonly number: number;
    readonly host: string;
    readonly port: number;
    readonly standing: Standing;
  }[];
}
