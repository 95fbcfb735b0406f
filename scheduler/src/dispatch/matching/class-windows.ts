/** Fills the windows of the classes from the store, and keeps the order in which their tasks are assigned. */
import type { Clock } from "../../clock.ts";
import type { WindowEntry } from "../../domain/tasks/window.ts";
import type { ClassStore, Floor, WaitingTask } from "../../store/store.ts";
import { ClassOrder } from "../sharing/class-order.ts";
import { type ClassEntry, WINDOW_SIZE } from "./class-entry.ts";

/** Ids in one read at most, unless each class would get less than the second number: 10,000 classes may be deep. */
const MAX_READ = 500_000;
const MIN_READ = 100;

/** Aged tasks of each priority that are read at once: those of a claim. */
const MAX_AGED = 1_000;

/** Tasks of one side of a ramp that are read at once: those of a claim. */
const MAX_SIDE = 1_000;

/** While a side has no task that waits, it is read no more often than a poll would find one, milliseconds. */
const SIDE_READ_EVERY_MS = 1_000;

/** Classes in one read of aged tasks. */
const MAX_AGED_CLASSES = 2_000;

export class ClassWindows {
  /** The classes with tasks in their windows, as they take turns. */
  readonly order: ClassOrder<ClassEntry>;
  /** The wait of a task that counts as much as one level of priority. */
  readonly ageingMs: number;
  readonly #store: Pick<ClassStore, "agedTasks" | "waitingOfRamp" | "waitingTasks">;
  readonly #clock: Clock;
  readonly #entries: ReadonlyMap<number, ClassEntry>;
  /** Those to be read: the store may hold more tasks of them, and their windows run low. */
  readonly #due = new Set<ClassEntry>();
  /** Classes that are being read, unless their floor was reset since. */
  readonly #refilling = new Set<ClassEntry>();
  /** Classes whose reads under way have the old order. */
  readonly #reordered = new Set<ClassEntry>();

  /** @param parts.entries The classes by id. */
  constructor(parts: {
    store: Pick<ClassStore, "agedTasks" | "waitingOfRamp" | "waitingTasks">;
    clock: Clock;
    entries: ReadonlyMap<number, ClassEntry>;
    ageingMs: number;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#entries = parts.entries;
    this.ageingMs = parts.ageingMs;
    this.order = new ClassOrder(parts.clock, parts.ageingMs);
  }

  /** Those to be read: the store may hold more tasks of them, and their windows run low. May change while it is read. */
  get due(): ReadonlySet<ClassEntry> {
    return this.#due;
  }

  /** Those that searches look at: a task of them may wait, and they are not parked. */
  movable(): Set<ClassEntry> {
    return new Set([...this.order.active, ...this.#due]);
  }

  /** A new class: the store may hold tasks of it. */
  add(entry: ClassEntry): void {
    this.#review(entry);
  }

  forget(entry: ClassEntry): void {
    this.#due.delete(entry);
    this.#refilling.delete(entry);
    this.#reordered.delete(entry);
    this.order.forget(entry);
  }

  /** Leaves the class out of searches until `unpark`. */
  park(entry: ClassEntry): void {
    entry.parked = true;
    this.#due.delete(entry);
    this.order.leave(entry);
  }

  /** Searches find these classes again. */
  unpark(ids: Iterable<number>): void {
    for (const id of ids) {
      const entry = this.#entries.get(id);
      if (entry) this.#unpark(entry);
    }
  }

  /** The store may hold tasks of the class that its window has not. */
  expectMore(entry: ClassEntry): void {
    entry.mayHaveMore = true;
    this.#review(entry);
  }

  /** The first task of the class was taken, to start at a worker of this group. */
  started(entry: ClassEntry, group: number): void {
    this.order.started(entry, group);
    this.shortened(entry);
  }

  /**
   * A session could take a task of this side of the class's ramp, and the window has none, because tasks of the other side fill
   * it: the next refill reads some.
   */
  starve(entry: ClassEntry, side: "ramp" | "rest"): void {
    const now = this.#clock.monotonic();
    if (!entry.mayHaveMore || now - (entry.sideReadAt ?? Number.NEGATIVE_INFINITY) < SIDE_READ_EVERY_MS)
      return;
    entry.sideReadAt = now;
    entry.starvedSide = side;
    entry.lowSize = Math.max(entry.lowSize, entry.window.size);
    this.expectMore(entry);
  }

  /** Tasks of the class were taken from its window. */
  shortened(entry: ClassEntry): void {
    if (entry.mayHaveMore && entry.window.size <= entry.lowSize && !entry.parked) this.#due.add(entry);
  }

  /** Something claimable may have turned up anywhere in the class's order. */
  lookAgain(entry: ClassEntry): void {
    this.#unpark(entry);
    this.#readFromFront(entry);
  }

  #readFromFront(entry: ClassEntry): void {
    this.expectMore(entry);
    entry.floor = undefined;
    this.#refilling.delete(entry);
  }

  /** Tasks of the class wait there no longer. */
  drop(classId: number, ids: Iterable<number>): void {
    const entry = this.#entries.get(classId);
    if (entry?.window.drop(ids)) this.#touch(entry);
  }

  /** Tasks of the class have other priorities than its window has: it is read again. */
  reorder(entry: ClassEntry): void {
    entry.window.clear();
    this.#reordered.add(entry);
    this.#touch(entry);
    this.lookAgain(entry);
  }

  /** Adds a task that became claimable; a full window leaves it to the store. */
  enqueue(task: WaitingTask): void {
    const entry = this.#entries.get(task.classId);
    if (!entry) return;
    if (entry.mayHaveMore || entry.window.size >= WINDOW_SIZE) {
      this.expectMore(entry);
      // A task that outranks the window's front must not wait behind the refill.
      if (task.priority <= (entry.window.peek()?.priority ?? Number.NEGATIVE_INFINITY)) {
        if (!entry.floor || goesBefore(task, entry.floor)) this.#readFromFront(entry);
        return;
      }
    }
    if (entry.window.add(task, this.#clock.monotonic())) this.#touch(entry);
  }

  /** Puts a task back that was taken from the window of its class, or from those that rules hold back. */
  putBack(task: WaitingTask & WindowEntry): void {
    const entry = this.#entries.get(task.classId);
    if (!entry) return;
    this.#unpark(entry);
    if (entry.window.add(task, this.#clock.monotonic())) this.#touch(entry);
  }

  /**
   * Reads the front of the queue again for these classes.
   *
   * @param isPlanned True for ids that are being assigned already.
   * @returns How many tasks the windows got.
   */
  async refill(entries: readonly ClassEntry[], isPlanned: (id: number) => boolean): Promise<number> {
    if (entries.length === 0) return 0;
    let added = 0;
    for (const entry of entries) {
      entry.mayHaveMore = false;
      this.#due.delete(entry);
      this.#refilling.add(entry);
      this.#reordered.delete(entry);
    }
    const counts = new Map<number, number>();
    const limit = Math.min(WINDOW_SIZE, Math.max(MIN_READ, Math.floor(MAX_READ / entries.length)));
    for (const entry of entries) entry.lowSize = limit / 4;
    try {
      const tasks = await this.#store.waitingTasks(
        entries.map(({ taskClass }) => taskClass.id),
        limit,
        entries.map(({ floor }) => floor),
      );
      // By this scheduler's clock: that of the database may be another one.
      const now = this.#clock.monotonic();
      for (const task of tasks) {
        const entry = this.#entries.get(task.classId);
        const count = counts.get(task.classId) ?? 0;
        counts.set(task.classId, count + 1);
        // The first one of each class, unless something turned up meanwhile.
        if (count === 0 && entry && this.#refilling.has(entry))
          entry.floor = { priority: task.priority, id: task.id };
        if (!entry || isPlanned(task.id) || this.#reordered.has(entry)) continue;
        if (entry.window.add(task, now - (task.ageMs ?? 0))) added++;
      }
      for (const entry of entries) this.#touch(entry);
    } catch (error) {
      for (const entry of entries) this.expectMore(entry);
      throw error;
    }
    for (const entry of entries) {
      if ((counts.get(entry.taskClass.id) ?? 0) >= limit) this.expectMore(entry);
    }
    for (const entry of entries)
      if (entry.starvedSide) await this.#readSide(entry, entry.starvedSide, isPlanned);
    const aged = entries.filter(({ hasMoreAged }) => hasMoreAged);
    if (aged.length > 0) await this.#readAged(aged, isPlanned);
    return added;
  }

  #unpark(entry: ClassEntry): void {
    if (!entry.parked) return;
    entry.parked = false;
    this.#touch(entry);
  }

  /** The window of the class has changed. */
  #touch(entry: ClassEntry): void {
    if (!entry.parked) this.order.touch(entry);
    this.#review(entry);
  }

  #review(entry: ClassEntry): void {
    const isDue = entry.mayHaveMore && !entry.parked && entry.window.size <= entry.lowSize;
    if (isDue) this.#due.add(entry);
    else this.#due.delete(entry);
  }

  /**
   * Reads the tasks of lower priorities whose turn has come by their age: a window that is full of higher ones has not
   * read them.
   *
   * @param isPlanned True for ids that are being assigned already.
   * @throws DatabaseUnavailableError
   */
  async readAged(isPlanned: (id: number) => boolean): Promise<void> {
    if (this.ageingMs === Number.POSITIVE_INFINITY) return;
    // Other windows have all tasks that wait.
    const deep = this.order.active.filter(
      ({ window, mayHaveMore }) => mayHaveMore && window.size >= MIN_READ / 4,
    );
    for (let start = 0; start < deep.length; start += MAX_AGED_CLASSES)
      await this.#readAged(deep.slice(start, start + MAX_AGED_CLASSES), isPlanned);
  }

  async #readSide(
    entry: ClassEntry,
    side: "ramp" | "rest",
    isPlanned: (id: number) => boolean,
  ): Promise<void> {
    entry.starvedSide = undefined;
    const { id, builds } = entry.taskClass;
    if (!builds?.ramp) return;
    const tasks = await this.#store.waitingOfRamp(id, builds.ramp.share, side === "ramp", MAX_SIDE);
    const now = this.#clock.monotonic();
    for (const task of tasks) if (!isPlanned(task.id)) entry.window.add(task, now - (task.ageMs ?? 0));
    // Those after them are read at once when these have started.
    if (tasks.length === MAX_SIDE) entry.sideReadAt = undefined;
    this.#touch(entry);
    this.expectMore(entry);
  }

  async #readAged(entries: readonly ClassEntry[], isPlanned: (id: number) => boolean): Promise<void> {
    const tops = entries.flatMap((entry) => topOf(entry, this.#clock.monotonic()));
    for (const entry of entries) entry.hasMoreAged = false;
    const tasks = await this.#store.agedTasks(tops, this.ageingMs, MAX_AGED);
    const now = this.#clock.monotonic();
    for (const [classId, aged] of Map.groupBy(tasks, (task) => task.classId)) {
      const entry = this.#entries.get(classId);
      if (!entry) continue;
      for (const task of aged) if (!isPlanned(task.id)) entry.window.add(task, now - (task.ageMs ?? 0));
      this.#touch(entry);
      if (aged.length < MAX_AGED) continue;
      // The next ones are read when half of these have started.
      entry.hasMoreAged = true;
      entry.lowSize = Math.max(entry.lowSize, entry.window.size - MAX_AGED / 2);
      this.expectMore(entry);
    }
  }
}

/** The first task of the highest priority in the window, with its age. */
function topOf({ taskClass, window }: ClassEntry, now: number): WaitingTask[] {
  const top = window.top();
  if (!top) return [];
  const { id, priority, readyAt = now } = top;
  return [{ id, priority, classId: taskClass.id, ageMs: now - readyAt }];
}

function goesBefore(task: WaitingTask, floor: Floor): boolean {
  return task.priority > floor.priority || (task.priority === floor.priority && task.id < floor.id);
}
