/**
 * The order in which classes are assigned: first by the share of their queue, then by that of their fairness key in the
 * queue, then by priority, then by age.
 */
import type { Clock } from "../../clock.ts";
import { goesBefore } from "../../domain/tasks/ageing.ts";
import type { Fairness } from "../../domain/tasks/fairness.ts";
import type { WindowEntry } from "../../domain/tasks/window.ts";
import { type ClassPlace, KeyShare, type Ordered, QueueShare, ShapeOfKey } from "./shares.ts";
import { endsBefore, VirtualTime } from "./virtual-time.ts";

/** Weights that operators set. */
export interface Weights {
  /** 1 for a queue that has none. */
  queue(name: string): number;
  /** Undefined for a key that has none: then those of its tasks count. */
  key(queue: string, key: string): number | undefined;
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
  /** What `restore` puts back. */
  readonly #aside: {
    readonly classes: ClassPlace<T>[];
    readonly shapes: ShapeOfKey<T>[];
    readonly queues: QueueShare<T>[];
  } = { classes: [], shapes: [], queues: [] };
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
    return this.#queues.first?.keys.first?.first?.item;
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
    this.#aside.classes.push(place);
    this.#leave(place);
  }

  /**
   * No worker can take a class of this shape now: those of its fairness key are left out until `restore`, and the whole
   * queue where it has work of no other shape.
   */
  setShapeAside(item: T): void {
    const shape = this.#places.get(item)?.shape;
    if (!shape || shape.place < 0) return;
    const { key } = shape;
    const { queue } = key;
    if (queue.shapes.size === 1) {
      this.#aside.queues.push(queue);
      this.#queues.leave(queue);
      return;
    }
    this.#aside.shapes.push(shape);
    key.shapes.remove(shape);
    this.#leaveIfIdle(key);
  }

  /** It is left out until it is touched. */
  leave(item: T): void {
    const place = this.#places.get(item);
    if (place && place.place >= 0) this.#leave(place);
  }

  /** Puts everything back that was set aside, into its place. */
  restore(): void {
    const { classes, shapes, queues } = this.#aside;
    for (const queue of queues.splice(0)) if (queue.keys.size > 0) this.#queues.restore(queue);
    for (const shape of shapes.splice(0)) if (shape.classes.size > 0) this.#restoreShape(shape);
    for (const place of classes.splice(0)) {
      place.front = place.item.window.peek();
      if (!place.front || place.place >= 0) continue;
      const { shape } = place;
      if (shape.classes.size === 0) countWork(shape, 1);
      shape.classes.push(place);
      if (shape.place >= 0) shape.key.shapes.moved(shape);
      else this.#restoreShape(shape);
    }
  }

  forget(item: T): void {
    const place = this.#places.get(item);
    if (!place) return;
    this.#put(place, undefined);
    this.#places.delete(item);
    const { shape } = place;
    const { key } = shape;
    const { queue } = key;
    if (--shape.members === 0) key.known.delete(shape.name);
    if (key.known.size === 0) queue.known.delete(key.name);
    if (queue.known.size === 0) this.#shares.delete(queue.name);
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
      for (const key of queue.known.values()) {
        const override = weights.key(queue.name, key.name);
        if (override === key.override) continue;
        key.override = override;
        queue.keys.weightChanged(key);
      }
    }
  }

  /** The classes that have a task in their window and are not set aside, in no order. */
  get active(): T[] {
    const found: T[] = [];
    for (const { keys } of this.#queues.active)
      for (const { shapes } of keys.active)
        for (const { classes } of shapes.items) for (const { item } of classes.items) found.push(item);
    return found;
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
    const [a, b] = [one.shape.key, other.shape.key];
    if (a === b) return this.#goesBefore(one, other);
    return a.queue === b.queue ? endsBefore(a, b) : endsBefore(a.queue, b.queue);
  }

  #add(item: T): ClassPlace<T> {
    const { queue, fairness } = item.taskClass;
    const shape = this.#shapeOf(this.#keyOf(this.#queueOf(queue), fairness?.key ?? ""), item.shape);
    shape.members++;
    const place = { item, shape, front: undefined, place: -1 };
    this.#places.set(item, place);
    return place;
  }

  #queueOf(name: string): QueueShare<T> {
    const known = this.#shares.get(name);
    if (known) return known;
    const made = new QueueShare<T>(name, this.#weights.queue(name));
    this.#shares.set(name, made);
    return made;
  }

  #keyOf(queue: QueueShare<T>, name: string): KeyShare<T> {
    const known = queue.known.get(name);
    if (known) return known;
    const made = new KeyShare<T>(name, queue, this.#weights.key(queue.name, name), (one, other) => {
      const [a, b] = [one.classes.first, other.classes.first];
      return a !== undefined && (b === undefined || this.#goesBefore(a, b));
    });
    queue.known.set(name, made);
    return made;
  }

  #shapeOf(key: KeyShare<T>, name: string): ShapeOfKey<T> {
    const known = key.known.get(name);
    if (known) return known;
    const made = new ShapeOfKey<T>(name, key, this.#goesBefore);
    key.known.set(name, made);
    return made;
  }

  #put(place: ClassPlace<T>, front: WindowEntry | undefined): void {
    const { shape } = place;
    place.front = front;
    if (!front) {
      if (place.place >= 0) this.#leave(place);
      return;
    }
    if (place.place >= 0) shape.classes.moved(place);
    else {
      if (shape.classes.size === 0) countWork(shape, 1);
      shape.classes.push(place);
    }
    const { key } = shape;
    if (shape.place >= 0) key.shapes.moved(shape);
    else key.shapes.push(shape);
    if (key.place < 0) key.queue.keys.enter(key);
    if (key.queue.place < 0) this.#queues.enter(key.queue);
  }

  #leave(place: ClassPlace<T>): void {
    const { shape } = place;
    const { key } = shape;
    shape.classes.remove(place);
    if (shape.classes.size > 0) return key.shapes.moved(shape);
    countWork(shape, -1);
    key.shapes.remove(shape);
    this.#leaveIfIdle(key);
  }

  #leaveIfIdle(key: KeyShare<T>): void {
    const { queue } = key;
    if (key.shapes.size > 0) return;
    queue.keys.leave(key);
    if (queue.keys.size === 0) this.#queues.leave(queue);
  }

  #restoreShape(shape: ShapeOfKey<T>): void {
    const { key } = shape;
    if (shape.place < 0) key.shapes.push(shape);
    if (key.place < 0) key.queue.keys.restore(key);
    if (key.queue.place < 0) this.#queues.restore(key.queue);
  }

  #count({ item, shape: { key } }: ClassPlace<T>, group: number): void {
    if (item.taskClass.fairness) key.starts.add(this.#clock.monotonic());
    key.queue.keys.start(key, group);
    this.#queues.start(key.queue, group);
  }
}

const EVEN: Weights = { queue: () => 1, key: () => undefined };

/** The shape has work in one key of the queue more, or less. */
function countWork<T extends Ordered>({ name, key: { queue } }: ShapeOfKey<T>, change: 1 | -1): void {
  const count = (queue.shapes.get(name) ?? 0) + change;
  if (count > 0) queue.shapes.set(name, count);
  else queue.shapes.delete(name);
}
