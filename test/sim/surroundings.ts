// What a simulated tracker says to the cluster around it, and to whoever asked it something.
import type { InstallSnapshot, Message } from '../../cluster/raft/messages.ts';
import type { Entry, Output } from '../../cluster/raft/types.ts';
import type { Reply } from '../../cluster/state/types.ts';
import type { StoredSnapshot } from './disk.ts';
import type { SimNode } from './node.ts';

export type Answer = { readonly ok: true; readonly reply: Reply | null } | { readonly ok: false; readonly why: string };

/** What the cluster around a node hears of it. */
export interface Surroundings {
  send(from: SimNode, message: Message): void;
  /** The newest snapshot shall reach `message.to`, followed by the message. */
  sendSnapshot(from: SimNode, message: InstallSnapshot, snapshot: StoredSnapshot): void;
  /** After every step: for the checkers. */
  onStep(node: SimNode, output: Output): void;
  onApplied(node: SimNode, entry: Entry, reply: Reply | null): void;
  onNote(text: string): void;
}
