// A network of datagrams: loss, duplication, delay (so reordering), clogged links, partitions that may be partial or one-way.
import type { Prng } from './prng.ts';
import type { World } from './world.ts';

export interface Weather {
  /** Probability that a message is lost, 0 to 0.3. */
  readonly loss: number;
  readonly duplication: number;
  readonly delayMsMin: number;
  /** Mean of what comes on top, exponentially distributed. */
  readonly delayMsMean: number;
}

export const CALM: Weather = { loss: 0, duplication: 0, delayMsMin: 0.2, delayMsMean: 0.3 };

export class Network<M> {
  weather: Weather = CALM;
  readonly #world: World;
  readonly #random: Prng;
  readonly #deliver: (from: number, to: number, message: M) => void;
  /** One-way cuts. */
  readonly #cut = new Set<number>();
  /** Links that hold everything back until the given time. */
  readonly #clogged = new Map<number, number>();
  sent = 0;

  constructor(world: World, random: Prng, deliver: (from: number, to: number, message: M) => void) {
    this.#world = world;
    this.#random = random;
    this.#deliver = deliver;
  }

  send(from: number, to: number, message: M): void {
    this.sent += 1;
    const { loss, duplication } = this.weather;
    const copies = this.#random.chance(duplication) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.#random.chance(loss)) continue;
      this.#travel(from, to, message);
    }
  }

  cut(from: number, to: number): void {
    this.#cut.add(link(from, to));
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.has(link(from, to));
  }

  healAll(): void {
    this.#cut.clear();
    this.#clogged.clear();
  }

  /** Holds back everything on a link for a while; then it all arrives at once. */
  clog(from: number, to: number, durationMs: number): void {
    this.#clogged.set(link(from, to), this.#world.now + durationMs);
  }

  #travel(from: number, to: number, message: M): void {
    const { delayMsMin, delayMsMean } = this.weather;
    const openAt = this.#clogged.get(link(from, to)) ?? 0;
    const wait = Math.max(0, openAt - this.#world.now);
    const delay = wait + delayMsMin + this.#random.exponential(delayMsMean);
    this.#world.after(delay, () => {
      // What is in flight when a link is cut is lost, as with a broken connection.
      if (!this.isCut(from, to)) this.#deliver(from, to, message);
    });
  }
}

function link(from: number, to: number): number {
  return from * 1_000 + to;
}
