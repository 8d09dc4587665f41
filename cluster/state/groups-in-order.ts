// The list of all groups by name, which is long, read by the page and written to by every create_group. Finding a new group's place
// touches some fifteen old ones all over the memory, which took a sixth of a follower's time under load. So new ones wait unsorted,
// until somebody reads or there are so many that one walk over the list is cheaper than to look for each place.
import { Ordered } from './ordered.ts';
import { byGroup, type Group } from './records.ts';

/** New ones wait until they are this part of the others: several of them in each block then, and some 10 ms for 200,000 groups. */
const LATE_SHARE = 1 / 32;
const LATE_MIN = 512;
/** Fewer than this part are put in one by one. */
const FEW_SHARE = 1 / 64;

export class GroupsInOrder {
  readonly #settled = new Ordered<Group, string>(byGroup);
  #late: Group[] = [];

  /** Its name is not here. */
  insert(group: Group): void {
    this.#late.push(group);
    if (this.#late.length > Math.max(LATE_MIN, this.#settled.size * LATE_SHARE)) this.#settle();
  }

  delete(id: string): void {
    this.#settle();
    this.#settled.delete(id);
  }

  values(): IterableIterator<Group> {
    this.#settle();
    return this.#settled.values();
  }

  items(): Group[] {
    this.#settle();
    return this.#settled.items();
  }

  /** At most `limit` groups above `after`, or from the start when it is null. */
  page(after: string | null, limit: number): Group[] {
    this.#settle();
    return this.#settled.page(after, limit);
  }

  #settle(): void {
    const late = this.#late;
    if (late.length === 0) return;
    this.#late = [];
    if (late.length < this.#settled.size * FEW_SHARE) {
      for (const group of late) this.#settled.insert(group.id, group);
      return;
    }
    late.sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#settled.merge(late, idOf);
  }
}

function idOf(group: Group): string {
  return group.id;
}
