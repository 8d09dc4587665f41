// Turns among the connections of one server: a flood of requests on one of them waits in its own lane, and everybody else's next
// request is run before the flood's second. Work of one turn of the event loop is bounded in time, so that sockets are read between.

/** Of synchronous work in one turn of the event loop. */
const TURN_MS_MAX = 2;

export interface Lane {
  /** Runs `job` now or later, in the order of this lane. */
  push(job: () => void): void;
  /** Jobs that wait. */
  readonly waiting: number;
  /** What held this lane back may be over. */
  wake(): void;
  close(): void;
}

interface LaneState extends Lane {
  readonly jobs: (() => void)[];
  readonly isReady: () => boolean;
  isQueued: boolean;
}

export class FairCalls {
  /** Lanes with jobs that may run, longest waiting first. */
  readonly #ring: LaneState[] = [];
  #turnEndsAt = 0;
  #isScheduled = false;

  /** @param isReady whether the lane's next job may run: not while too many of its earlier ones are still under way. */
  lane(isReady: () => boolean): Lane {
    const jobs: (() => void)[] = [];
    const lane: LaneState = {
      jobs,
      isReady,
      isQueued: false,
      get waiting() {
        return jobs.length;
      },
      push: (job) => {
        if (jobs.length === 0 && this.#ring.length === 0 && isReady() && performance.now() < this.#turnEnd())
          return job();
        jobs.push(job);
        this.#enqueue(lane);
      },
      wake: () => this.#enqueue(lane),
      close: () => {
        jobs.length = 0;
      },
    };
    return lane;
  }

  #enqueue(lane: LaneState): void {
    if (lane.isQueued || lane.jobs.length === 0 || !lane.isReady()) return;
    lane.isQueued = true;
    this.#ring.push(lane);
    this.#schedule();
  }

  /** When this turn's work is to end; the first question of a turn begins it. */
  #turnEnd(): number {
    if (this.#turnEndsAt === 0) {
      this.#turnEndsAt = performance.now() + TURN_MS_MAX;
      this.#schedule();
    }
    return this.#turnEndsAt;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#turnEndsAt = 0;
      this.#run();
    });
  }

  #run(): void {
    const endsAt = performance.now() + TURN_MS_MAX;
    while (this.#ring.length > 0 && performance.now() < endsAt) {
      const lane = this.#ring.shift()!;
      lane.isQueued = false;
      lane.jobs.shift()?.();
      this.#enqueue(lane);
    }
    if (this.#ring.length > 0) this.#schedule();
  }
}
