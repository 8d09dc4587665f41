/**
 * Collects one step's results. Owns the difference between a message that may leave at once and one that promises something
 * durable; decides nothing.
 */
import type { InstallSnapshot, Message } from './messages.ts';
import type { Accepted, Output, ReadResult, Ref, Refusal, RefusalReason } from './types.ts';

export class Outbox {
  sendNow: Message[] = [];
  sendAfterDurable: Message[] = [];
  snapshotsToSend: InstallSnapshot[] = [];
  reads: ReadResult[] = [];
  accepted: Accepted[] = [];
  refused: Refusal[] = [];
  unknown: Ref[] = [];
  transfer: Output['transfer'] = null;
  refilled = false;
  /** Why leadership was lost during this step. */
  reason: string | null = null;

  refuse(ref: Ref, reason: RefusalReason): void {
    this.refused.push({ ref, reason });
  }

  refuseRead(ref: Ref, reason: RefusalReason): void {
    this.reads.push({ ref, index: null, reason });
  }
}
