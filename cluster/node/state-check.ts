// Compares the trackers' states while they work. Every tracker remembers the hash of its state at every
// so many commands; once a second the leader asks all voters for theirs at the same index. Whoever differs from a majority, the
// leader included, has a state that cannot be trusted: it sets it aside and refills. Memory that flips a bit, and an `apply` that is
// not deterministic, show here before a second tracker believes them.
import type { Logger } from 'pino';
import { toMtError } from '../../codec/errors.ts';
import type { NodeId } from '../raft/types.ts';
import { stateHash } from '../state/state.ts';
import { DamageError } from '../store/database.ts';
import { sha256 } from './digest.ts';
import type { Links } from './links.ts';
import type { RaftEngine } from './raft-engine.ts';

/** A hash takes some 2 µs. */
const EVERY_ENTRIES = 16;
/** So many are remembered: what the leader asks about is a second old. */
const KEPT = 4_096;
const ASK_MS = 1_000;

export interface StateCheckOptions {
  readonly engine: RaftEngine;
  readonly links: Links;
  readonly log: Logger;
  /** This tracker's state is not that of the majority. */
  readonly onDiverged: (error: DamageError) => void;
}

export class StateCheck {
  readonly #options: StateCheckOptions;
  /** Copies of their own: a slice of Node's pool of small buffers would keep all that lies beside it, some 80 MiB in all. */
  readonly #hashes = new Map<number, Uint8Array>();
  #newest = 0;
  /** The newest of the last look: by now the others have it too. */
  #due = 0;
  #compared = 0;
  #busy = false;

  constructor(options: StateCheckOptions) {
    this.#options = options;
    options.engine.watch((applied) => {
      if (!applied) this.#hashes.clear();
      else if (applied.index % EVERY_ENTRIES === 0) this.#remember(applied.index);
    });
  }

  /** Null when it is not known: not there yet, too long ago, or before a snapshot. */
  hashAt(index: number): Uint8Array | null {
    return this.#hashes.get(index) ?? null;
  }

  /** Most voters had this hash. */
  onMajority(index: number, hash: Uint8Array): void {
    const own = this.hashAt(index);
    if (own === null || Buffer.compare(own, hash) === 0) return;
    this.#options.onDiverged(new DamageError(`the state at ${index} is not the one of most trackers`));
  }

  /** Called once a second. */
  async look(): Promise<void> {
    const due = this.#due;
    this.#due = this.#newest;
    if (this.#busy || due <= this.#compared || !this.#options.engine.isLeader) return;
    this.#busy = true;
    try {
      await this.#compare(due);
      this.#compared = due;
    } finally {
      this.#busy = false;
    }
  }

  #remember(index: number): void {
    this.#newest = index;
    this.#hashes.set(index, Uint8Array.from(stateHash(this.#options.engine.state, sha256)));
    if (this.#hashes.size > KEPT) this.#hashes.delete(this.#hashes.keys().next().value!);
  }

  async #compare(index: number): Promise<void> {
    const { engine, log } = this.#options;
    const { voters } = engine.membership;
    const answers = await Promise.all(
      voters.map(async (node): Promise<[NodeId, string | null]> => [node, await this.#ask(node, index)]),
    );
    const counts = new Map<string, number>();
    for (const [, hash] of answers) if (hash) counts.set(hash, (counts.get(hash) ?? 0) + 1);
    if (counts.size < 2) return;
    const majority = [...counts].find(([, count]) => 2 * count > voters.length)?.[0];
    if (majority === undefined) {
      log.error(
        { index },
        'the trackers have different states, and none is that of a majority: see mt-trackerd verify',
      );
      return;
    }
    const hash = Buffer.from(majority, 'hex');
    for (const [node, other] of answers) {
      if (other === null || other === majority) continue;
      log.error({ index, tracker: engine.membership.info[node]?.number }, 'a tracker has another state than most');
      if (node === engine.id) this.onMajority(index, hash);
      else void this.#tell(node, index, hash);
    }
  }

  /** It ends its connections as soon as it hears. */
  async #tell(node: NodeId, index: number, hash: Uint8Array): Promise<void> {
    const { links, log } = this.#options;
    try {
      await links.byNode(node)?.rpc?.call('majority_hash', { index, hash }, { timeoutMs: ASK_MS });
    } catch (error) {
      log.debug({ error: toMtError(error).message }, 'told a tracker that its state is wrong');
    }
  }

  async #ask(node: NodeId, index: number): Promise<string | null> {
    const { engine, links, log } = this.#options;
    if (node === engine.id) return hex(this.hashAt(index));
    try {
      const answer = await links.byNode(node)?.rpc?.call('state_hash_at', { index }, { timeoutMs: ASK_MS });
      return hex(answer?.hash ?? null);
    } catch (error) {
      log.debug({ error: toMtError(error).message }, 'a state was not compared');
      return null;
    }
  }
}

function hex(hash: Uint8Array | null): string | null {
  return hash && Buffer.from(hash).toString('hex');
}
