/**
 * The order in which classes are assigned: first by the share of their queue, then by that of their fairness key in the
 * queue, then by priority, then by age.
 */
import type { Clock } from "../../clock.ts";
import { Heap, type Heaped } from "../../domain/heap.ts";
import { goesBefore } from "../../domain/tasks/ageing.ts";
import type { Fairness } from "../../domain/tasks/fairness.ts";
import type { WindowEntry } from "../../domain/tasks/window.ts";
import { RecentCount } from "./recent-count.ts";
import { endsBefore, Share, VirtualTime } from "./virtual-time.ts";

/** A class as it is ordered. */
export interface Ordered {
  readonly taskClass: { readonly queue: string; readonly fairness?: Fairness | undefined };
  readonly window: { peek(): WindowEntry | undefined };
}

/** Weights that operators set. */
export interface Weights {
  /** 1 for a queue that has none. */
  queue(name: string): number;
  /** Undefined for a key that has none: then those of its tasks count. */
  key(queue: string, key: string): number | undefined;
}

class QueueShare<T extends Ordered> extends Share {
  readonly name: string;
  readonly keys = new VirtualTime<KeyShare<T>>();
  /** All of its keys, also those without work. */
  readonly known = new Map<string, KeyShare<T>>();
  weight: number;

  constructor(name: string, weight: number) {
    super();
    this.name = name;
    this.weight = weight;
  }
}

class KeyShare<T extends Ordered> extends Share {
  readonly name: string;
  readonly queue: QueueShare<T>;
  readonly classes: Heap<ClassPlace<T>>;
  /** Of the last minute. */
  readonly starts = new RecentCount();
  /** How many classes have the key. */
  members = 0;
  override: number | undefined;

  constructor(init: {
    name: string;
    queue: QueueShare<T>;
    override: number | undefined;
    goesBefore: (one: ClassPlace<T>, other: ClassPlace<T>) => boolean;
  }) {
    super();
    this.name = init.name;
    this.queue = init.queue;
    this.override = init.override;
    this.classes = new Heap(init.goesBefore);
  }

  /** The operator's, else that of the task that goes first. */
  get weight(): number {
    return this.override ?? this.classes.first?.item.taskClass.fairness?.weight ?? 1;
  }
}

interface ClassPlace<T extends Ordered> extends Heaped {
  readonly item: T;
  readonly share: KeyShare<T>;
  /** The first task of its window; undefined while that is empty. */
  front: WindowEntry | undefined;
}

/**
 * The classes that have a task in their window, in the order in which these are to be assigned. It is kept from one plan
 * to the next: a start costs comparisons in the logarithm of the shares and classes that have work, and the others cost
 * nothing. Tasks without a fairness key share as if they had one key.
 */
export class ClassOrder<T extends Ordered> {
  readonly #queues = new VirtualTime<QueueShare<T>>();
  readonly #shares = new Map<string, QueueShare<T>>();
  readonly #places = new Map<T, ClassPlace<T>>();
  readonly #aside: ClassPlace<T>[] = [];
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #goesBefore: (one: ClassPlace<T>, other: ClassPlace<T>) => boolean;
  #weights: Weights = EVEN;

  /** @param ageingMs The wait of a task that counts as much as one level of priority. */
  constructor(clock: Pick<Clock, "monotonic">, ageingMs = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#goesBefore = ({ front: one }, { front: other }) =>
      one !== undefined && (other === undefined || goesBefore(one, other, ageingMs));
  }

  /** The class whose task goes first. */
  get first(): T | undefined {
    return this.#queues.first?.keys.first?.classes.first?.item;
  }

  /** Of these classes, the one whose task goes first: for few of many. */
  firstOf(items: Iterable<T>): T | undefined {
    let first: ClassPlace<T> | undefined;
    for (const item of items) {
      const place = this.#places.get(item);
      if (!place || place.place < 0) continue;
      if (!first || this.#isBefore(place, first)) first = place;
    }
    return first?.item;
  }

  /** The window of the class has changed. */
  touch(item: T): void {
    const front = item.window.peek();
    const place = this.#places.get(item) ?? (front && this.#add(item));
    if (place) this.#put(place, front);
  }

  /** The first task of the class was taken, to start at a worker of this group. */
  started(item: T, group: number): void {
    const place = this.#places.get(item);
    if (!place) return;
    this.#put(place, item.window.peek());
    this.#count(place, group);
  }

  /** A new task of the class starts at once: it was in no window. */
  startedAtOnce(item: T, group: number): void {
    this.#count(this.#places.get(item) ?? this.#add(item), group);
  }

  /** No worker can take the first class now: it is left out until `restore`. */
  setAside(item: T): void {
    const place = this.#places.get(item);
    if (!place || place.place < 0) return;
    this.#aside.push(place);
    this.#leave(place);
  }

  /** It is left out until it is touched. */
  leave(item: T): void {
    const place = this.#places.get(item);
    if (place && place.place >= 0) this.#leave(place);
  }

  /** Puts everything back that was set aside, into its place. */
  restore(): void {
    for (const place of this.#aside.splice(0)) {
      const { item, share } = place;
      place.front = item.window.peek();
      if (!place.front) continue;
      share.classes.push(place);
      if (share.place < 0) share.queue.keys.restore(share);
      if (share.queue.place < 0) this.#queues.restore(share.queue);
    }
  }

  forget(item: T): void {
    const place = this.#places.get(item);
    if (!place) return;
    this.#put(place, undefined);
    this.#places.delete(item);
    const { share } = place;
    if (--share.members > 0) return;
    share.queue.known.delete(share.name);
    if (share.queue.known.size === 0) this.#shares.delete(share.queue.name);
  }

  /** Applies the weights from the next start on. */
  setWeights(weights: Weights): void {
    this.#weights = weights;
    for (const queue of this.#shares.values()) {
      const weight = weights.queue(queue.name);
      if (weight !== queue.weight) {
        queue.weight = weight;
        this.#queues.weightChanged(queue);
      }
      for (const share of queue.known.values()) {
        const override = weights.key(queue.name, share.name);
        if (override === share.override) continue;
        share.override = override;
        queue.keys.weightChanged(share);
      }
    }
  }

  /** The classes that have a task in their window, in no order. */
  get active(): T[] {
    return Array.from(this.#places.values()).flatMap(({ item, place }) => (place >= 0 ? item : []));
  }

  /** Fairness keys that have work. */
  get keyCount(): number {
    let count = 0;
    for (const { keys, known } of this.#queues.active)
      count += keys.size - ((known.get("")?.place ?? -1) >= 0 ? 1 : 0);
    return count;
  }

  /** Starts of tasks with the key in the last minute, as this scheduler counted them. */
  recentStarts(queue: string, key: string): number {
    return this.#shares.get(queue)?.known.get(key)?.starts.read(this.#clock.monotonic()) ?? 0;
  }

  queueWeight(queue: string): number {
    return this.#weights.queue(queue);
  }

  /** The operator's weight of the key, else that of the task. */
  keyWeight(queue: string, fairness: Fairness | undefined): number {
    return this.#weights.key(queue, fairness?.key ?? "") ?? fairness?.weight ?? 1;
  }

  #isBefore(one: ClassPlace<T>, other: ClassPlace<T>): boolean {
    if (one.share === other.share) return this.#goesBefore(one, other);
    const [a, b] =
      one.share.queue === other.share.queue ? [one.share, other.share] : [one.share.queue, other.share.queue];
    return endsBefore(a, b);
  }

  #add(item: T): ClassPlace<T> {
    const { queue, fairness } = item.taskClass;
    const share = this.#keyOf(this.#shareOf(queue), fairness?.key ?? "");
    share.members++;
    const place = { item, share, front: undefined, place: -1 };
    this.#places.set(item, place);
    return place;
  }

  #shareOf(queue: string): QueueShare<T> {
    const known = this.#shares.get(queue);
    if (known) return known;
    const made = new QueueShare<T>(queue, this.#weights.queue(queue));
    this.#shares.set(queue, made);
    return made;
  }

  #keyOf(queue: QueueShare<T>, key: string): KeyShare<T> {
    const known = queue.known.get(key);
    if (known) return known;
    const override = this.#weights.key(queue.name, key);
    const made = new KeyShare<T>({ name: key, queue, override, goesBefore: this.#goesBefore });
    queue.known.set(key, made);
    return made;
  }

  #put(place: ClassPlace<T>, front: WindowEntry | undefined): void {
    const { share } = place;
    place.front = front;
    if (!front) {
      if (place.place >= 0) this.#leave(place);
    } else if (place.place >= 0) share.classes.moved(place);
    else {
      share.classes.push(place);
      if (share.place < 0) share.queue.keys.enter(share);
      if (share.queue.place < 0) this.#queues.enter(share.queue);
    }
  }

  #leave(place: ClassPlace<T>): void {
    const { share } = place;
    share.classes.remove(place);
    if (share.classes.size > 0) return;
    share.queue.keys.leave(share);
    if (share.queue.keys.size === 0) this.#queues.leave(share.queue);
  }

  #count({ item, share }: ClassPlace<T>, group: number): void {
    if (item.taskClass.fairness) share.starts.add(this.#clock.monotonic());
    share.queue.keys.start(share, group);
    this.#queues.start(share.queue, group);
  }
}

const EVEN: Weights = { queue: () => 1, key: () => undefined };
