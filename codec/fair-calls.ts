// Turns among the connections of one server: a flood of requests on one of them waits in its own lane, and everybody else's next
// request is run before the flood's second. Work of one turn of the event loop is bounded in time, so that sockets are read between;
// and large requests under way are bounded in bytes, so that a small one finds a short queue at the disk.
import { LARGE_CALL_BYTES_MIN, LARGE_CALLS_AT_WORK_BYTES_MAX } from './limits.ts';

/** Of synchronous work in one turn of the event loop. */
const TURN_MS_MAX = 2;

export interface Lane {
  /** Runs `job` now or later, in the order of this lane. `done` is to be called when what it began has ended. */
  push(job: () => void, sizeBytes: number): void;
  /** A job of this size, which was run, has ended. */
  done(sizeBytes: number): void;
  /** Jobs that wait, and the bytes that they hold. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** What held this lane back may be over. */
  wake(): void;
  close(): void;
}

interface Job {
  readonly run: () => void;
  readonly sizeBytes: number;
}

interface LaneState extends Lane {
  readonly jobs: Job[];
  readonly isReady: () => boolean;
  isQueued: boolean;
}

export class FairCalls {
  /** Lanes with jobs that may run, longest waiting first. */
  readonly #ring: LaneState[] = [];
  /** Lanes whose turn it was, with a large job: they go on when other large ones have ended. */
  readonly #held: LaneState[] = [];
  #largeBytes = 0;
  #waitingBytes = 0;
  #turnEndsAt = 0;
  #isScheduled = false;

  /** Held by the jobs that wait, of all lanes. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** @param isReady whether the lane's next job may run: not while too many of its earlier ones are still under way. */
  lane(isReady: () => boolean): Lane {
    const jobs: Job[] = [];
    let waitingBytes = 0;
    const held = (bytes: number) => {
      waitingBytes += bytes;
      this.#waitingBytes += bytes;
    };
    const lane: LaneState = {
      jobs,
      isReady,
      isQueued: false,
      get waiting() {
        return jobs.length;
      },
      get waitingBytes() {
        return waitingBytes;
      },
      push: (run, sizeBytes) => {
        const isFree = jobs.length === 0 && this.#ring.length === 0 && isReady() && this.#mayBegin(sizeBytes);
        if (isFree && performance.now() < this.#turnEnd()) return this.#begin({ run, sizeBytes });
        jobs.push({
          run: () => {
            held(-sizeBytes);
            run();
          },
          sizeBytes,
        });
        held(sizeBytes);
        this.#enqueue(lane);
      },
      done: (sizeBytes) => this.#done(sizeBytes),
      wake: () => this.#enqueue(lane),
      close: () => {
        jobs.length = 0;
        held(-waitingBytes);
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

  #mayBegin(sizeBytes: number): boolean {
    if (sizeBytes < LARGE_CALL_BYTES_MIN || this.#largeBytes === 0) return true;
    return this.#largeBytes + sizeBytes <= LARGE_CALLS_AT_WORK_BYTES_MAX;
  }

  #begin({ run, sizeBytes }: Job): void {
    if (sizeBytes >= LARGE_CALL_BYTES_MIN) this.#largeBytes += sizeBytes;
    run();
  }

  #done(sizeBytes: number): void {
    if (sizeBytes < LARGE_CALL_BYTES_MIN) return;
    this.#largeBytes -= sizeBytes;
    if (this.#held.length === 0) return;
    this.#ring.push(...this.#held.splice(0));
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
      const [job] = lane.jobs;
      if (job && !this.#mayBegin(job.sizeBytes)) {
        this.#held.push(lane);
        continue;
      }
      lane.isQueued = false;
      if (!job) continue;
      lane.jobs.shift();
      this.#begin(job);
      this.#enqueue(lane);
    }
    if (this.#ring.length > 0) this.#schedule();
  }
}
