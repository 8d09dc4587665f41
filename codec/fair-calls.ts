// Turns among the connections of one server: a flood of requests on one of them waits in its own lane, and everybody else's next
// request is run before the flood's second. Work of one turn of the event loop is bounded in time, so that sockets are read between;
// and what is under way for all together is bounded, in number and (of large requests) in bytes, so that the next one finds a short
// queue at the disk. Whatever takes long (a login, a stream, a command without a quorum) counts for a moment only: it keeps nobody out.
import {
  CALL_COUNTS_MS,
  CALLS_AT_WORK_ALL_MAX,
  LARGE_CALL_BYTES_MIN,
  LARGE_CALLS_AT_WORK_BYTES_MAX,
} from './limits.ts';

/** Of synchronous work in one turn of the event loop. */
const TURN_MS_MAX = 2;

export interface Lane {
  /** Runs `job` now or later, in the order of this lane. It calls what it is given when all that it began has ended. */
  push(job: (done: () => void) => void, sizeBytes: number): void;
  /** Jobs that wait, and the bytes that they hold. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** What held this lane back may be over. */
  wake(): void;
  close(): void;
}

interface Job {
  readonly run: (done: () => void) => void;
  readonly sizeBytes: number;
}

/** One that was begun lately. */
interface Begun {
  readonly atMs: number;
  counts: boolean;
}

interface LaneState extends Lane {
  readonly jobs: Job[];
  readonly isReady: () => boolean;
  isQueued: boolean;
}

export class FairCalls {
  /** Lanes with jobs that may run, longest waiting first. */
  readonly #ring: LaneState[] = [];
  /** Lanes whose turn it was while too much was under way: they go on when something has ended, or has lasted long enough. */
  readonly #held: LaneState[] = [];
  /** A large job waits for room: no other large one may take it away. */
  #isLargeHeld = false;
  #holding: NodeJS.Timeout | null = null;
  /** In the order in which they were begun; those before `#oldest` are over. */
  #begun: Begun[] = [];
  #oldest = 0;
  #atWork = 0;
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
          run: (done) => {
            held(-sizeBytes);
            run(done);
          },
          sizeBytes,
        });
        held(sizeBytes);
        this.#enqueue(lane);
      },
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
    if (this.#atWork >= CALLS_AT_WORK_ALL_MAX) this.#forgetLong(performance.now());
    if (this.#atWork >= CALLS_AT_WORK_ALL_MAX) return false;
    if (sizeBytes < LARGE_CALL_BYTES_MIN) return true;
    if (this.#isLargeHeld) return false;
    if (this.#largeBytes === 0) return true;
    return this.#largeBytes + sizeBytes <= LARGE_CALLS_AT_WORK_BYTES_MAX;
  }

  #begin({ run, sizeBytes }: Job): void {
    const isLarge = sizeBytes >= LARGE_CALL_BYTES_MIN;
    const call: Begun = { atMs: performance.now(), counts: true };
    this.#forgetLong(call.atMs);
    this.#begun.push(call);
    this.#atWork++;
    if (isLarge) this.#largeBytes += sizeBytes;
    let isOver = false;
    run(() => {
      if (isOver) return;
      isOver = true;
      if (isLarge) this.#largeBytes -= sizeBytes;
      this.#uncount(call);
      this.#release();
    });
  }

  #uncount(call: Begun): void {
    if (!call.counts) return;
    call.counts = false;
    this.#atWork--;
    while (this.#oldest < this.#begun.length && !this.#begun[this.#oldest]!.counts) this.#oldest++;
    if (this.#oldest < 1_024 || this.#oldest * 2 < this.#begun.length) return;
    this.#begun = this.#begun.slice(this.#oldest);
    this.#oldest = 0;
  }

  #forgetLong(nowMs: number): void {
    for (let call = this.#begun[this.#oldest]; call && nowMs - call.atMs > CALL_COUNTS_MS; ) {
      this.#uncount(call);
      call = this.#begun[this.#oldest];
    }
  }

  #hold(lane: LaneState, { sizeBytes }: Job): void {
    this.#held.push(lane);
    if (sizeBytes >= LARGE_CALL_BYTES_MIN) this.#isLargeHeld = true;
    this.#holding ??= setTimeout(() => this.#release(), CALL_COUNTS_MS).unref();
  }

  #release(): void {
    if (this.#held.length === 0) return;
    if (this.#holding) clearTimeout(this.#holding);
    this.#holding = null;
    this.#isLargeHeld = false;
    // Whoever was held has waited longest.
    this.#ring.unshift(...this.#held.splice(0));
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
        this.#hold(lane, job);
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
