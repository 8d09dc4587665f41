// A queue for costly work with turns among those who ask for it: so many jobs at once, then one of each asker in turn. A flood from
// one address waits for itself, and everybody else waits for one job of it at most.
import { MtError } from '../../codec/errors.ts';

interface Waiting {
  start(): void;
  refuse(error: MtError): void;
}

export class FairQueue {
  readonly #atOnce: number;
  readonly #waitingMax: number;
  /** By asker, whose turn it is next first. */
  readonly #lanes = new Map<string, Waiting[]>();
  #waiting = 0;
  #running = 0;

  constructor(options: { readonly atOnce: number; readonly waitingMax: number }) {
    this.#atOnce = options.atOnce;
    this.#waitingMax = options.waitingMax;
  }

  /**
   * Runs `job` when it is the asker's turn.
   * @throws MtError OVERLOADED when the queue is full: whoever has most in it makes room, with what came last.
   */
  async run<T>(asker: string, job: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running++;
    else await this.#turn(asker); // whoever ended handed its place over
    try {
      return await job();
    } finally {
      this.#next();
    }
  }

  #turn(asker: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting >= this.#waitingMax && !this.#makeRoom(asker)) return reject(full());
      const lane = this.#lanes.get(asker) ?? [];
      this.#lanes.set(asker, lane);
      lane.push({ start: resolve, refuse: reject });
      this.#waiting++;
    });
  }

  #makeRoom(asker: string): boolean {
    let longest: Waiting[] = this.#lanes.get(asker) ?? [];
    const own = longest.length;
    for (const lane of this.#lanes.values()) if (lane.length > longest.length) longest = lane;
    if (longest.length <= own + 1) return false;
    this.#waiting--;
    longest.pop()!.refuse(full());
    return true;
  }

  #next(): void {
    const [turn] = this.#lanes;
    if (!turn) {
      this.#running--;
      return;
    }
    const [asker, lane] = turn;
    this.#lanes.delete(asker);
    const { start } = lane.shift()!;
    this.#waiting--;
    // Last in turn from now on.
    if (lane.length > 0) this.#lanes.set(asker, lane);
    start();
  }
}

function full(): MtError {
  return new MtError('OVERLOADED', 'Too many logins at this moment', 'Try again in a few seconds.');
}
