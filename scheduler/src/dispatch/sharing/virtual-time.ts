/**
 * Weighted fair queueing by virtual time: what starts most often for its weight goes last. Each start advances the
 * virtual time of its share by 1/weight.
 */
import { Heap, type Heaped } from "../../domain/heap.ts";

/** Something that gets a share of the starts. */
export abstract class Share implements Heaped {
  place = -1;
  /** Where its last start ended, in virtual time. */
  finish = 0;
  /** Where its next start will end: the lowest goes first. */
  tag = 0;

  abstract readonly weight: number;

  /** How far a start advances it. */
  get cost(): number {
    return 1 / this.weight;
  }
}

/**
 * The shares that have work, in the order of their turns. Self-clocked: the virtual time is that of the last start.
 * Between two shares that both have work the starts divided by the weights never differ by more than one start of
 * each. A share without work keeps nothing: when it has work again it begins where the others are.
 */
export class VirtualTime<T extends Share> {
  readonly #active = new Heap<T>(endsBefore);
  /** How far starts have come, by group of workers. */
  readonly #reached: number[] = [];
  /** Where the last start ended. */
  #last = 0;

  get first(): T | undefined {
    return this.#active.first;
  }

  /** Those that have work, in no order. */
  get active(): Iterable<T> {
    return this.#active.items;
  }

  get size(): number {
    return this.#active.size;
  }

  /** It has work again. */
  enter(share: T): void {
    const { first } = this;
    // What goes first now may be behind the last start, at workers that others do not serve.
    share.tag = Math.max(share.finish, first ? Math.min(first.tag, this.#last) : 0) + share.cost;
    this.#active.push(share);
  }

  /** It has no work. */
  leave(share: T): void {
    this.#active.remove(share);
  }

  /** It left, and goes back to its place as if it had not. */
  restore(share: T): void {
    if (share.place < 0) this.#active.push(share);
  }

  /**
   * A task of the share starts at a worker of this group. While others had the workers of the group for themselves, a
   * share that had work for other workers only is left behind: it does not catch up.
   *
   * @param group The workers that serve the same queues and types have one number.
   */
  start(share: T, group: number): void {
    const finish = Math.max(share.tag, this.#reached[group] ?? 0);
    this.#reached[group] = finish;
    this.#last = finish;
    share.finish = finish;
    share.tag = finish + share.cost;
    if (share.place >= 0) this.#active.moved(share);
  }

  /** The share has another weight now. */
  weightChanged(share: T): void {
    share.tag = share.finish + share.cost;
    if (share.place >= 0) this.#active.moved(share);
  }
}

/** Of two that end alike, the one that has started nothing for longer. */
export function endsBefore(one: Share, other: Share): boolean {
  return one.tag < other.tag || (one.tag === other.tag && one.finish < other.finish);
}
