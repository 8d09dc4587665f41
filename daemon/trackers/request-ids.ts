// Exactly-once request ids of one client session: numbers each command, and tells the trackers which replies have arrived,
// so that they may forget those. Computes only.
import assert from 'node:assert';
import type { RequestId } from '../../codec/tracker-rpc.ts';

export class RequestIds {
  readonly #clientId: string;
  #nextSeq = 1;
  /** Commands without a final answer. */
  readonly #open = new Set<number>();

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  take(): number {
    const seq = this.#nextSeq++;
    this.#open.add(seq);
    return seq;
  }

  /** The id to send for `seq` now: `acked` grows between attempts. */
  requestId(seq: number): RequestId {
    assert(this.#open.has(seq));
    let acked = seq;
    for (const open of this.#open) acked = Math.min(acked, open);
    return { client_id: this.#clientId, seq, acked };
  }

  /** The caller has its answer, or has given up: this id is never sent again. */
  release(seq: number): void {
    assert(this.#open.delete(seq));
  }
}
