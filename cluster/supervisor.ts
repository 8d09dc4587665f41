// Keeps one tracker running on a data directory, also when its data turns out to be damaged: what is there is set aside, never
// served or voted with again, and the tracker comes back as one with an empty disk does: a learner that refills from the others.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { MtError } from '../codec/errors.ts';
import { Tracker, type TrackerConfig } from './node/tracker.ts';
import { isDamage } from './store/database.ts';
import { DATABASE_FILE, MARK_FILE } from './store/store.ts';

const FILES = [DATABASE_FILE, `${DATABASE_FILE}-wal`, `${DATABASE_FILE}-shm`, MARK_FILE];

export class Supervisor {
  readonly #config: TrackerConfig;
  #tracker: Tracker | null = null;
  #stopped = false;
  /** Why the data was set aside. */
  #note: string | undefined;
  #onCommit: (elapsedMs: number) => void = () => {};

  /** @param config its `onFatal` is told of what cannot be mended. */
  constructor(config: TrackerConfig) {
    this.#config = config;
  }

  /** The tracker that runs now; null while there is none. */
  get tracker(): Tracker | null {
    return this.#tracker;
  }

  /** Told how long each durable commit took, in ms. */
  set onCommit(listener: (elapsedMs: number) => void) {
    this.#onCommit = listener;
  }

  /** Starts the tracker and waits until it is a member. @throws MtError */
  async start(): Promise<Tracker> {
    const tracker = await this.#startOnce().catch((error: unknown) => {
      this.#setAside(error);
      return this.#startOnce();
    });
    await tracker.ready;
    return tracker;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#tracker?.stop();
  }

  async #startOnce(): Promise<Tracker> {
    const tracker = await Tracker.start({
      ...this.#config,
      ...(this.#note !== undefined && { note: this.#note }),
      onFatal: (error) => this.#onFatal(tracker, error),
      onCommit: (elapsedMs) => this.#onCommit(elapsedMs),
    });
    this.#tracker = tracker;
    return tracker;
  }

  /** While it was running. */
  #onFatal(tracker: Tracker, error: unknown): void {
    if (this.#stopped || tracker !== this.#tracker) return;
    if (!isDamage(error) || this.#config.addresses.length === 1) {
      this.#config.onFatal(error);
      return;
    }
    this.#tracker = null;
    this.#config.log.error({ err: error }, 'data is damaged: nothing is served or voted with any more');
    tracker
      .abort()
      .then(() => {
        this.#setAside(error);
        return this.#startOnce();
      })
      .catch((again: unknown) => this.#config.onFatal(again));
  }

  /** @throws the error itself when it is no damage, or when nobody could refill us. */
  #setAside(error: unknown): void {
    if (!isDamage(error)) throw error;
    const { dataDir, addresses, log } = this.#config;
    if (addresses.length === 1) {
      throw new MtError(
        'INTEGRITY',
        `The data in ${dataDir} is damaged, and there is no other tracker to get it from: ${error.message}`,
        'Restore a backup of the directory.',
        { cause: error },
      );
    }
    const aside = join(dataDir, `damaged-${new Date().toISOString().replaceAll(':', '.')}`);
    mkdirSync(aside, { mode: 0o700 });
    for (const file of FILES) if (existsSync(join(dataDir, file))) renameSync(join(dataDir, file), join(aside, file));
    this.#note = `refills after damage was found (${error.message})`.slice(0, 500);
    log.error({ why: error.message, aside }, 'damaged data was set aside; it is refilled from the other trackers');
  }
}
