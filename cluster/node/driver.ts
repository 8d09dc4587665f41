// Runs the consensus core: collects a turn's inputs, steps, sends, writes, applies. Follows the loop that raft/core.ts describes.
// Everything of one turn of the event loop goes through in one step and one durable transaction. The write blocks the loop; what
// need not wait for it has left before.
import assert from 'node:assert';
import { createRaft } from '../raft/core.ts';
import { decodeMembership } from '../raft/membership.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry, Index, Input, Membership, Output, Raft, RaftConfig, Status, Write } from '../raft/types.ts';
import { advance, apply } from '../state/apply.ts';
import { decodeCommand } from '../state/commands.ts';
import type { State } from '../state/state.ts';
import type { Applied } from '../state/types.ts';
import type { Snapshot } from '../store/snapshot-table.ts';
import type { Store } from '../store/store.ts';
import { APPLY_BYTES_MAX, TICK_MS, TICKS_AT_ONCE_MAX } from './settings.ts';

/** What the driver needs from the rest of the tracker. */
export interface DriverHost {
  send(message: Message): void;
  /** Everything sent so far leaves now. */
  flush(): void;
  /** Called before each step: hands over commands and reads that wait. */
  collect(): readonly Input[];
  /** What the core said, but for what the driver does itself. */
  onOutput(output: Output): void;
  onApplied(applied: Applied): void;
  /** A snapshot from the leader took the place of the state. */
  onStateReplaced(): void;
  /** Every turn, after all of its steps. */
  onTurnEnd(): void;
  onTick(ticks: number): void;
  /** Something that must not be: the process ends. */
  onFatal(error: unknown): void;
}

export interface ReceivedSnapshot {
  readonly snapshot: Snapshot;
  readonly state: State;
}

export class Driver {
  readonly #store: Store;
  readonly #host: DriverHost;
  readonly #raft: Raft;
  #state: State;
  #inputs: Input[] = [];
  #scheduled = false;
  #stopped = false;
  #ticker: NodeJS.Timeout | undefined;
  #ticksDueMs: number;
  /** Not yet durable, in order. More than one only while the disk is full. */
  #writes: Write[] = [];
  #afterDurable: Message[] = [];
  #diskFull = false;
  #appliedMembership: Membership;
  /** Offered ones by index: a write that waits for room names the one it was made for, also when a newer one has come. */
  readonly #received = new Map<Index, ReceivedSnapshot>();
  /** Known to be committed and durable here. */
  #commit: Index;
  #noted: Index = 0;

  constructor(store: Store, state: State, config: RaftConfig, host: DriverHost) {
    this.#store = store;
    this.#state = state;
    this.#host = host;
    const { term, vote, commit } = store.hardState;
    const initial = { hardState: { term, vote }, commit, applied: state.index, mayVote: store.mayVote };
    this.#raft = createRaft(config, initial, store.log);
    this.#commit = this.#raft.status().commitIndex;
    this.#appliedMembership = store.snapshots.newest().meta.membership;
    for (const entry of store.log.configEntries()) {
      if (entry.index <= state.index) this.#appliedMembership = membershipIn(entry);
    }
    this.#ticksDueMs = performance.now() + TICK_MS;
  }

  get state(): State {
    return this.#state;
  }

  /** The membership in force at the applied index. */
  get appliedMembership(): Membership {
    return this.#appliedMembership;
  }

  get isDiskFull(): boolean {
    return this.#diskFull;
  }

  status(): Status {
    return this.#raft.status();
  }

  start(): void {
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    const { voters } = this.#appliedMembership;
    if (voters.length === 1 && voters[0] === this.#raft.status().id) this.campaign(); // nobody to wait for
    this.wake();
  }

  /** As if the election timeout had passed. */
  campaign(): void {
    this.input({ type: 'campaign' });
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#ticker);
  }

  /** Called once a second. The commit index goes to disk with the next write anyway; this is for when none came since. */
  noteCommitWhenIdle(): void {
    if (this.#noted === this.#commit) this.noteCommit();
    this.#noted = this.#commit;
  }

  noteCommit(): void {
    if (!this.#diskFull) this.#store.noteCommit(this.#commit);
  }

  /** An input for this turn's step. */
  input(input: Input): void {
    this.#inputs.push(input);
    this.wake();
  }

  /** Something waits in the host. The step comes after all I/O of this turn of the event loop. */
  wake(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** A snapshot whose every byte is here and verified; kept until it is installed, or the log has passed it. */
  offerSnapshot(received: ReceivedSnapshot, message: Message): void {
    this.#received.set(received.snapshot.meta.index, received);
    this.input({ type: 'message', message });
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    if (this.#stopped) return;
    try {
      this.#turn();
    } catch (error) {
      this.stop();
      this.#host.onFatal(error);
    }
  };

  #turn(): void {
    const collected = this.#host.collect();
    let inputs = this.#inputs;
    this.#inputs = [];
    if (collected.length > 0) inputs = inputs.concat(collected);
    while (inputs.length > 0) {
      const output = this.#raft.step(inputs);
      inputs = this.#carryOut(output);
    }
    this.#host.onTurnEnd();
  }

  /** @returns what the core must hear of it. */
  #carryOut(output: Output): Input[] {
    for (const message of output.sendNow) this.#host.send(message);
    if (output.write) this.#writes.push(output.write);
    for (const message of output.sendAfterDurable) this.#afterDurable.push(message);
    const inputs: Input[] = [];
    if (!this.#diskFull) this.#persist(inputs);
    this.#host.onOutput(output);
    if (output.refilled) this.#store.setMayVote(true);
    if (output.commit) {
      this.#commit = output.commit.hi - 1;
      this.#apply(output.commit.lo, output.commit.hi);
      inputs.push({ type: 'applied', upTo: this.#commit });
    }
    for (const index of this.#received.keys()) if (index <= this.#commit) this.#received.delete(index);
    return inputs;
  }

  #persist(inputs: Input[]): void {
    if (this.#writes.length > 0) {
      this.#host.flush();
      const received = (index: Index) => this.#received.get(index)?.snapshot ?? null;
      if (!this.#store.commit({ writes: this.#writes, commit: this.#commit, received })) {
        this.#diskFull = true;
        inputs.push({ type: 'disk', state: 'full' });
        return;
      }
      const last = this.#writes.at(-1)!;
      const newest = this.#writes.findLast((write) => write.snapshot)?.snapshot;
      if (newest) this.#install(this.#received.get(newest.index)!);
      inputs.push({ type: 'persisted', writeId: last.id });
      this.#writes = [];
    }
    if (this.#afterDurable.length === 0) return;
    for (const message of this.#afterDurable) this.#host.send(message);
    this.#afterDurable = [];
    this.#host.flush();
  }

  /** The received snapshot is the state now. */
  #install({ snapshot, state }: ReceivedSnapshot): void {
    assert.equal(state.index, snapshot.meta.index);
    this.#state = state;
    this.#appliedMembership = snapshot.meta.membership;
    this.#commit = Math.max(this.#commit, snapshot.meta.index);
    this.#host.onStateReplaced();
  }

  #apply(lo: Index, hi: Index): void {
    let next = lo;
    while (next < hi) {
      for (const entry of this.#raft.entries(next, hi, APPLY_BYTES_MAX)) {
        if (entry.kind === 'command') {
          this.#host.onApplied(apply(this.#state, entry.index, decodeCommand(entry.data)));
        } else {
          if (entry.kind === 'config') this.#appliedMembership = membershipIn(entry);
          advance(this.#state, entry.index);
        }
        next = entry.index + 1;
      }
    }
  }

  /** Ticks are due by the monotonic clock; after a pause only a few are given, so that what piled up is heard first. */
  #tick(): void {
    const nowMs = performance.now();
    let ticks = Math.floor((nowMs - this.#ticksDueMs) / TICK_MS) + 1;
    if (ticks < 1) return;
    this.#ticksDueMs += ticks * TICK_MS;
    ticks = Math.min(ticks, TICKS_AT_ONCE_MAX);
    for (let i = 0; i < ticks; i++) this.#inputs.push({ type: 'tick' });
    if (this.#diskFull) this.#retryDisk();
    this.#host.onTick(ticks);
    this.wake();
  }

  /** Writes that found no room are tried again, in order, until there is some. */
  #retryDisk(): void {
    const inputs: Input[] = [];
    this.#diskFull = false;
    this.#persist(inputs);
    this.#inputs.push(...inputs);
    if (!this.#diskFull) this.#inputs.push({ type: 'disk', state: 'ok' });
  }
}

function membershipIn(entry: Entry): Membership {
  const membership = decodeMembership(entry.data);
  assert(membership, `config entry ${entry.index} cannot be read`);
  return membership;
}
