// Membership changes and leadership transfers that someone waits for. Each ends: committed, refused, or lost with the leadership.
import type { Index, Input, NodeId, Output, Ref, RefusalReason } from '../raft/types.ts';

export type TransferOutcome = 'done' | 'timeout' | 'aborted' | RefusalReason;

export class Changes {
  readonly #asked = new Map<Ref, (refusal: RefusalReason | null) => void>();
  readonly #indexOf = new Map<Ref, Index>();
  readonly #transfers = new Map<Ref, (outcome: TransferOutcome) => void>();

  /** Resolves with null once the change is committed, or with why not. @param input hands it to the core. */
  change(ref: Ref, input: () => void): Promise<RefusalReason | null> {
    return new Promise((resolve) => {
      this.#asked.set(ref, resolve);
      input();
    });
  }

  transfer(ref: Ref, to: NodeId | null, input: (input: Input) => void): Promise<TransferOutcome> {
    return new Promise((resolve) => {
      this.#transfers.set(ref, resolve);
      input({ type: 'transfer_leadership', ref, to });
    });
  }

  /** Each of these: whether the ref is one of ours. */
  accepted(ref: Ref, index: Index): boolean {
    if (!this.#asked.has(ref)) return false;
    this.#indexOf.set(ref, index);
    return true;
  }

  refused(ref: Ref, reason: RefusalReason): boolean {
    const transfer = this.#transfers.get(ref);
    this.#transfers.delete(ref);
    transfer?.(reason);
    return this.#end(ref, reason) || transfer !== undefined;
  }

  lost(ref: Ref): boolean {
    return this.#end(ref, 'not_leader');
  }

  transferred({ ref, outcome }: NonNullable<Output['transfer']>): void {
    this.#transfers.get(ref)?.(outcome);
    this.#transfers.delete(ref);
  }

  committed(upTo: Index): void {
    for (const [ref, index] of this.#indexOf) if (index <= upTo) this.#end(ref, null);
  }

  #end(ref: Ref, refusal: RefusalReason | null): boolean {
    const resolve = this.#asked.get(ref);
    this.#asked.delete(ref);
    this.#indexOf.delete(ref);
    resolve?.(refusal);
    return resolve !== undefined;
  }
}
