/** What the order of the classes consists of: queues, their fairness keys, the shapes of a key, and the classes of a shape. */
import { Heap, type Heaped } from "../../domain/heap.ts";
import type { Fairness } from "../../domain/tasks/fairness.ts";
import type { WindowEntry } from "../../domain/tasks/window.ts";
import { RecentCount } from "./recent-count.ts";
import { Share, VirtualTime } from "./virtual-time.ts";

/** A class as it is ordered. */
export interface Ordered {
  readonly taskClass: { readonly queue: string; readonly fairness?: Fairness | undefined };
  /** The same for all classes that any worker is matched with alike, its queue among it. */
  readonly shape: string;
  readonly window: { peek(): WindowEntry | undefined };
}

export class QueueShare<T extends Ordered> extends Share {
  readonly name: string;
  readonly keys = new VirtualTime<KeyShare<T>>();
  /** All of its keys, also those without work. */
  readonly known = new Map<string, KeyShare<T>>();
  /** The shapes that have work, with the number of keys in which they do. */
  readonly shapes = new Map<string, number>();
  weight: number;

  constructor(name: string, weight: number) {
    super();
    this.name = name;
    this.weight = weight;
  }
}

export class KeyShare<T extends Ordered> extends Share {
  readonly name: string;
  readonly queue: QueueShare<T>;
  readonly shapes: Heap<ShapeOfKey<T>>;
  /** All of its shapes, also those without work. */
  readonly known = new Map<string, ShapeOfKey<T>>();
  /** Starts of the last minute. */
  readonly starts = new RecentCount();
  override: number | undefined;

  constructor(
    name: string,
    queue: QueueShare<T>,
    override: number | undefined,
    goesBefore: (one: ShapeOfKey<T>, other: ShapeOfKey<T>) => boolean,
  ) {
    super();
    this.name = name;
    this.queue = queue;
    this.override = override;
    this.shapes = new Heap(goesBefore);
  }

  get first(): ClassPlace<T> | undefined {
    return this.shapes.first?.classes.first;
  }

  /** The operator's, else that of the task that goes first. */
  get weight(): number {
    return this.override ?? this.first?.item.taskClass.fairness?.weight ?? 1;
  }
}

/** The classes of a key that any worker is matched with alike: they differ by concurrency keys, limits and weights. */
export class ShapeOfKey<T extends Ordered> implements Heaped {
  place = -1;
  readonly name: string;
  readonly key: KeyShare<T>;
  readonly classes: Heap<ClassPlace<T>>;
  /** How many classes it has, also without work. */
  members = 0;

  constructor(
    name: string,
    key: KeyShare<T>,
    goesBefore: (one: ClassPlace<T>, other: ClassPlace<T>) => boolean,
  ) {
    this.name = name;
    this.key = key;
    this.classes = new Heap(goesBefore);
  }
}

export interface ClassPlace<T extends Ordered> extends Heaped {
  readonly item: T;
  readonly shape: ShapeOfKey<T>;
  /** The first task of its window; undefined while that is empty. */
  front: WindowEntry | undefined;
}
