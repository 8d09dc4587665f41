// One simulated tracker: the real core and the real state machine, driven in the order that core.ts prescribes, on a modelled
// disk and network. Also what a real tracker does beside consensus: snapshots, compaction, taking back a wiped neighbour.
import { createRaft } from '../../cluster/raft/core.ts';
import { decodeMembership } from '../../cluster/raft/membership.ts';
import type { InstallSnapshot, Message } from '../../cluster/raft/messages.ts';
import type { Entry, Index, Input, Membership, NodeId, Output, Raft, Write } from '../../cluster/raft/types.ts';
import { UnknownCommandError } from '../../cluster/state/commands.ts';
import { App, type Program } from './app.ts';
import { DamagedRow, SimDisk, type StoredSnapshot } from './disk.ts';
import type { Prng } from './prng.ts';
import { SETTINGS, TICK_MS } from './settings.ts';
import type { Answer, Surroundings } from './surroundings.ts';
import type { World } from './world.ts';

const TICK: readonly Input[] = [{ type: 'tick' }];
/** Entries kept behind a snapshot for followers that are a little late. */
const KEEP_ENTRIES = 20;
/** Until a process that ended by itself is started again. */
const STOPPED_MS = 200;
const HALTED_MS = 1_000;

export class SimNode {
  readonly number: number;
  /** Number and incarnation. */
  id: NodeId;
  #incarnation = 0;
  raft: Raft | null = null;
  /** Which version it runs from its next start on. */
  program: Program = 1;
  app = App.empty(1);
  disk: SimDisk;
  /** Ticks run faster or slower by this factor: clocks differ. */
  clockRate = 1;
  /** How wrong its calendar is: commands that it takes are stamped by it. */
  clockOffsetMs = 0;
  /** How much a leader sends at once: differs between seeds, because small messages show other bugs than large ones. */
  sending = { appendBytesMax: 2_048, inflightMessagesMax: 8 };
  /** No batch of entries is through before this time: applying is slow. */
  applyStalledUntil = 0;
  /** Applied entries between two snapshots. */
  snapshotEvery = 60;
  appliedIndex: Index = 0;
  /** Of the newest snapshot that is durable or being written. */
  snapshotIndex: Index = 0;
  /** Of the snapshot that the state was made from last, or that was made from the state. */
  baseIndex: Index = 0;
  readonly #world: World;
  readonly #random: Prng;
  readonly #around: Surroundings;
  /** While paused (SIGSTOP): what piled up, in order. */
  #held: (() => void)[] | null = null;
  #life = 0;
  #nextRef = 1;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** Log index → request, once accepted. */
  readonly #accepted = new Map<Index, { term: number; ref: number }>();
  /** Reads that wait for the state machine, by the index they need. */
  #reads: { index: Index; ref: number }[] = [];
  #barriers: { writeId: number; messages: readonly Message[] }[] = [];
  #lastWriteId = 0;
  #durableWriteId = 0;
  readonly #incoming = new Map<Index, Uint8Array>();
  #appliedMembership: Membership;
  #appliedTerm = 0;
  #applyQueue: Entry[] = [];
  #applying = false;

  constructor(number: number, world: World, random: Prng, around: Surroundings, founding: StoredSnapshot) {
    this.number = number;
    this.id = `${number}.0`;
    this.#world = world;
    this.#random = random;
    this.#around = around;
    this.disk = new SimDisk(world, random.fork(), founding);
    this.#appliedMembership = founding.meta.membership;
  }

  get isUp(): boolean {
    return this.raft !== null;
  }

  get isPaused(): boolean {
    return this.#held !== null;
  }

  start(): void {
    const found = this.disk.recover();
    if (found.damage) this.#around.onNote(`${this.id} starts damaged: ${found.damage}`);
    this.app = App.load(found.snapshot.state, this.program);
    this.appliedIndex = found.snapshot.meta.index;
    this.snapshotIndex = this.appliedIndex;
    this.baseIndex = this.appliedIndex;
    this.#appliedTerm = found.snapshot.meta.term;
    this.#appliedMembership = found.snapshot.meta.membership;
    this.raft = createRaft(
      { ...SETTINGS, ...this.sending, id: this.id, boot: found.boot, seed: this.#random.uint32() },
      { hardState: found.hardState, commit: 0, applied: this.appliedIndex, mayVote: found.mayVote },
      this.disk.reader(),
    );
    this.#life += 1;
    this.#tickOn(this.#life);
  }

  /** kill -9. */
  crash(lose = 0): void {
    if (!this.raft) return;
    this.#life += 1;
    this.raft = null;
    this.#held = null;
    this.disk.crash(lose);
    for (const settle of this.#waiting.values()) settle({ ok: false, why: 'connection lost' });
    this.#waiting.clear();
    this.#accepted.clear();
    this.#reads = [];
    this.#barriers = [];
    this.#applyQueue = [];
    this.#applying = false;
    this.#incoming.clear();
    this.#lastWriteId = 0;
    this.#durableWriteId = 0;
  }

  /** A new, empty disk under the same number: another member, as far as the others are concerned. */
  wipe(): void {
    this.crash();
    this.#incarnation += 1;
    this.id = `${this.number}.${this.#incarnation}`;
    const nobody: Membership = { voters: [], learners: [], info: {} };
    const empty = { meta: { index: 0, term: 0, membership: nobody }, state: new Uint8Array(0) };
    this.disk = new SimDisk(this.#world, this.#random.fork(), empty);
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const run of held) run();
  }

  receive(message: Message): void {
    if (message.to === this.id) this.input({ type: 'message', message });
  }

  /** All bytes of a snapshot have come, with the leader's word for them. */
  receiveSnapshot(message: InstallSnapshot, state: Uint8Array): void {
    if (message.to !== this.id) return;
    this.#incoming.set(message.snapshot.index, state);
    this.input({ type: 'message', message });
  }

  input(input: Input): void {
    this.#whenAwake(() => this.#step([input]));
  }

  propose(data: Uint8Array, settle: (answer: Answer) => void): void {
    const ref = this.#ref(settle);
    this.input({ type: 'propose', proposals: [{ ref, data, sizeBytes: data.length }] });
  }

  read(settle: (answer: Answer) => void): void {
    this.input({ type: 'read', ref: this.#ref(settle) });
  }

  request(make: (ref: number) => Input): void {
    this.input(make(this.#ref(() => {})));
  }

  #whenAwake(run: () => void): void {
    if (this.#held) this.#held.push(run);
    else run();
  }

  #ref(settle: (answer: Answer) => void): number {
    const ref = this.#nextRef++;
    this.#waiting.set(ref, settle);
    return ref;
  }

  #settle(ref: number, answer: Answer): void {
    const settle = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    settle?.(answer);
  }

  #tickOn(life: number): void {
    const tick = () => {
      if (life !== this.#life) return;
      // A paused process gets no timer; it sees few ticks afterwards.
      if (!this.#held) this.#step(TICK);
      this.#world.after(TICK_MS / this.clockRate, tick);
    };
    this.#world.after(TICK_MS / this.clockRate, tick);
  }

  #step(inputs: readonly Input[]): void {
    if (!this.raft) return;
    let output: Output;
    try {
      output = this.raft.step(inputs);
    } catch (error) {
      if (!(error instanceof DamagedRow)) throw error;
      this.#around.onNote(`${this.id} read a damaged row and stops`);
      this.#restart(STOPPED_MS);
      return;
    }
    this.#carryOut(output);
    this.#around.onStep(this, output);
  }

  /** The process ends; whoever supervises it starts it again. */
  #restart(downMs: number): void {
    this.crash();
    const life = this.#life;
    this.#world.after(downMs, () => life === this.#life && !this.raft && this.start());
  }

  #carryOut(output: Output): void {
    for (const message of output.sendNow) this.#around.send(this, message);
    const { write } = output;
    if (write) {
      this.#lastWriteId = write.id;
      if (write.snapshot) this.snapshotIndex = write.snapshot.index;
      const state = write.snapshot ? this.#incoming.get(write.snapshot.index)! : null;
      const life = this.#life;
      this.disk.submit(write, state, () => {
        this.#whenAwake(() => life === this.#life && this.#onDurable(write, state));
      });
    }
    if (output.sendAfterDurable.length > 0) {
      this.#barriers.push({ writeId: this.#lastWriteId, messages: output.sendAfterDurable });
      this.#release();
    }
    for (const message of output.snapshotsToSend) this.#around.sendSnapshot(this, message, this.disk.snapshot);
    for (const { ref, index, term } of output.accepted) this.#accepted.set(index, { ref, term });
    for (const { ref, reason } of output.refused) this.#settle(ref, { ok: false, why: `refused: ${reason}` });
    for (const ref of output.unknown) this.#settle(ref, { ok: false, why: 'unknown' });
    for (const read of output.reads) {
      if (read.index === null) this.#settle(read.ref, { ok: false, why: `refused: ${read.reason}` });
      else this.#reads.push(read);
    }
    if (output.refilled) this.disk.setMayVote();
    if (output.commit) {
      for (let lo = output.commit.lo; lo < output.commit.hi; ) {
        const entries = this.raft!.entries(lo, output.commit.hi, 4_096);
        this.#applyQueue.push(...entries);
        lo += entries.length;
      }
      this.#applySoon();
    }
    this.#serveReads();
  }

  #onDurable({ id, snapshot }: Write, state: Uint8Array | null): void {
    if (snapshot) this.#install(snapshot.index, snapshot.term, snapshot.membership, state!);
    this.#durableWriteId = id;
    this.#release();
    this.#step([{ type: 'persisted', writeId: id }]);
  }

  /** What was held back until its writes are durable. */
  #release(): void {
    while (this.#barriers.length > 0 && this.#barriers[0]!.writeId <= this.#durableWriteId) {
      for (const message of this.#barriers.shift()!.messages) this.#around.send(this, message);
    }
  }

  #applySoon(): void {
    if (this.#applying || this.#applyQueue.length === 0) return;
    this.#applying = true;
    const life = this.#life;
    const stall = Math.max(0, this.applyStalledUntil - this.#world.now);
    this.#world.after(stall + this.#random.float() * 2, () => {
      this.#whenAwake(() => life === this.#life && this.#applySome());
    });
  }

  #applySome(): void {
    this.#applying = false;
    const batch = this.#applyQueue.splice(0, this.#random.int(1, 16));
    try {
      for (const entry of batch) this.#apply(entry);
    } catch (error) {
      if (!(error instanceof UnknownCommandError)) throw error;
      this.#around.onNote(`${this.id} does not know the command ${this.appliedIndex + 1} and halts`);
      this.#restart(HALTED_MS);
      return;
    }
    this.#step([{ type: 'applied', upTo: this.appliedIndex }]);
    this.#serveReads();
    this.#maybeSnapshot();
    this.#applySoon();
  }

  #apply(entry: Entry): void {
    if (entry.index !== this.appliedIndex + 1)
      throw new Error(`${this.id} applies ${entry.index} after ${this.appliedIndex}`);
    const reply = this.app.apply(entry);
    this.appliedIndex = entry.index;
    this.#appliedTerm = entry.term;
    if (entry.kind === 'config') this.#appliedMembership = decodeMembership(entry.data)!;
    this.#around.onApplied(this, entry, reply);
    const accepted = this.#accepted.get(entry.index);
    if (!accepted) return;
    this.#accepted.delete(entry.index);
    if (accepted.term === entry.term) this.#settle(accepted.ref, { ok: true, reply });
  }

  /** Applying is at rest, by the core's promise: an entry that was still to be applied would now come after a later one. */
  #install(index: Index, term: number, membership: Membership, state: Uint8Array): void {
    this.app = App.load(state, this.app.program);
    this.appliedIndex = index;
    this.baseIndex = index;
    this.#appliedTerm = term;
    this.#appliedMembership = membership;
    for (const held of this.#incoming.keys()) if (held <= index) this.#incoming.delete(held);
  }

  #serveReads(): void {
    if (this.#reads.length === 0) return;
    const ready = this.#reads.filter((read) => read.index <= this.appliedIndex);
    if (ready.length === 0) return;
    this.#reads = this.#reads.filter((read) => read.index > this.appliedIndex);
    for (const read of ready) this.#settle(read.ref, { ok: true, reply: null });
  }

  #maybeSnapshot(): void {
    if (this.appliedIndex - this.disk.snapshot.meta.index < this.snapshotEvery) return;
    const meta = { index: this.appliedIndex, term: this.#appliedTerm, membership: this.#appliedMembership };
    // One that was received may be on its way to the disk already.
    this.snapshotIndex = Math.max(this.snapshotIndex, this.appliedIndex);
    this.baseIndex = this.appliedIndex;
    this.disk.compact({ meta, state: this.app.save() }, this.appliedIndex - KEEP_ENTRIES);
  }
}
