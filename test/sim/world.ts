// The virtual clock: events in order of time, ties in order of scheduling. Nothing in a simulation knows another clock.

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class World {
  /** Virtual ms since the start. */
  now = 0;
  #order = 0;
  readonly #heap: Event[] = [];
  #stopped = false;

  /** Runs `run` after `delayMs` of virtual time. */
  after(delayMs: number, run: () => void): void {
    this.#push({ at: this.now + Math.max(0, delayMs), order: this.#order++, run });
  }

  /** Runs events until the given time, or until `stop`. */
  runUntil(time: number): void {
    while (!this.#stopped) {
      const next = this.#heap[0];
      if (!next || next.at > time) break;
      this.#pop();
      this.now = next.at;
      next.run();
    }
    if (!this.#stopped) this.now = time;
  }

  /** Ends the run at once: a violation was found. */
  stop(): void {
    this.#stopped = true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
