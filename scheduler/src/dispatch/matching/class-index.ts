/** Task classes in memory, with their waiting tasks and eligible sessions. */
import type { Clock } from "../../clock.ts";
import {
  type Filter,
  isPerKey,
  LASTING_FILTERS,
  removedBy,
  shapeOf,
  type TaskClass,
} from "../../domain/matching/match.ts";
import { MatchLog } from "../../domain/matching/match-log.ts";
import { ruleValues } from "../../domain/tasks/circuit.ts";
import { identityOf } from "../../domain/tasks/concurrency.ts";
import { WaitingWindow, type WindowEntry } from "../../domain/tasks/window.ts";
import { Slices } from "../../slices.ts";
import type { ClassStore, Floor, WaitingTask, WantedClass } from "../../store/store.ts";
import type { Session } from "../sessions/session.ts";
import { ClassOrder } from "../sharing/class-order.ts";

/**
 * Ids held per class. A claim takes at most 1,000, so a window lasts for two; deeper queues stay in
 * Postgres and are read as the window empties.
 */
export const WINDOW_SIZE = 2_000;

/** Ids in one read at most, unless each class would get less than the second number: 10,000 classes may be deep. */
const MAX_READ = 500_000;
const MIN_READ = 100;

/** Aged tasks of each priority that are read at once: those of a claim. */
const MAX_AGED = 1_000;

/** Sequences assign ids before the commit: a class may appear this far below the newest one. */
const LATE_CLASSES = 1_000;

/** New classes in one statement: more would hold others up that make the same. */
const MAX_RESOLVED = 2_000;

/** A class in which nothing was open for so long is forgotten, milliseconds. */
export const FORGOTTEN_AFTER_MS = 86_400_000;

/** The same for classes of which there may be as many as keys: ten new ones a second are 6,000 in memory. */
export const PER_KEY_FORGOTTEN_AFTER_MS = 600_000;

/** A class with the front of its queue. */
export interface ClassEntry {
  readonly taskClass: TaskClass;
  /** The same for all classes that any worker is matched with alike. */
  readonly shape: string;
  /** Changed only through the index or followed by `touch`: the order of the classes rests on its front. */
  readonly window: WaitingWindow;
  /** True when the store may hold claimable tasks of the class that the window has not. */
  mayHaveMore: boolean;
  /**
   * When the store was last read, nothing claimable went before this. What turns up before it later (an id that
   * was committed late, a task that is tried again) resets it, at the latest with the next poll.
   */
  floor: Floor | undefined;
  /** Sessions that the lasting filters (type, queue, labels, resources) let through. */
  eligible: Session[];
  /** Its window is read again when it has no more than these. */
  lowSize: number;
  /** True when the store may hold more tasks that go first by their age, which the window has not. */
  hasMoreAged?: boolean;
  /** Where the next search among `eligible` begins, so that work spreads. */
  turn: number;
  /** The session that is reserved for it, when its tasks run alone. */
  keptFree?: Session | undefined;
  /** The session that keeps room for its next task, when its tasks cost more than sessions have free. */
  roomAt?: Session | undefined;
  /** When that session was chosen, monotonic milliseconds. */
  roomChosenAt?: number;
  /** Record of the search among them. */
  readonly log: MatchLog;
  /** When it was last submitted to, hinted at, or had an open task, monotonic milliseconds; as far as is known. */
  usedAt: number;
  /** True while searches leave it out: an admission rule holds it back, and unparks it. */
  parked: boolean;
}

/**
 * Task classes in memory: the waiting tasks of each and its eligible sessions. Those in which nothing was open for a day
 * are forgotten. Their rows stay, and whatever names one that is not here makes it be read again: a submit, another
 * scheduler's hint, a task that is tried again, and at the latest the look at all open tasks once a minute.
 */
export class ClassIndex {
  /** The classes with tasks in their windows, as they take turns. */
  readonly order: ClassOrder<ClassEntry>;
  readonly ageingMs: number;
  readonly #store: ClassStore;
  readonly #clock: Clock;
  readonly #sessions = new Set<Session>();
  readonly #entries = new Map<number, ClassEntry>();
  readonly #byKey = new Map<string, ClassEntry>();
  readonly #alone = new Set<ClassEntry>();
  /** Those to be read: the store may hold more tasks of them, and their windows run low. */
  readonly #due = new Set<ClassEntry>();
  /** Classes that are being read, unless their floor was reset since. */
  readonly #refilling = new Set<ClassEntry>();
  /** Named in a hint and not in memory: read with the next refresh. */
  readonly #missing = new Set<number>();
  /** Of the forgotten, those that a look at the newest classes would bring back. */
  readonly #forgotten = new Set<number>();
  #lastId: number | undefined;
  /** Classes that require resources. */
  #withResources = 0;

  /** @param ageingMs The wait of a task that counts as much as one level of priority. */
  constructor(store: ClassStore, clock: Clock, ageingMs = Number.POSITIVE_INFINITY) {
    this.#store = store;
    this.#clock = clock;
    this.ageingMs = ageingMs;
    this.order = new ClassOrder(clock, ageingMs);
  }

  /** The class of a combination; made when new. */
  async resolve(wanted: WantedClass): Promise<TaskClass> {
    const [taskClass] = await this.resolveAll([wanted]);
    if (!taskClass) throw new Error(`no class was made for ${wanted.queue}/${wanted.type}`);
    return taskClass;
  }

  /** The class of each wanted combination, in order. New ones are made together: one by one took 3 ms each. */
  async resolveAll(wanted: readonly WantedClass[]): Promise<TaskClass[]> {
    const keys = wanted.map(memoryKey);
    const missing = new Map<string, WantedClass>();
    wanted.forEach((each, index) => {
      const key = keys[index] ?? "";
      if (!this.#byKey.has(key)) missing.set(key, each);
    });
    const now = this.#clock.monotonic();
    const made = new Map<string, TaskClass>();
    const unknown = [...missing];
    for (let start = 0; start < unknown.length; start += MAX_RESOLVED) {
      const part = unknown.slice(start, start + MAX_RESOLVED);
      const classes = await this.#store.resolveClasses(part.map(([, each]) => each));
      await this.#addAll(classes);
      classes.forEach((taskClass, index) => {
        const key = part[index]?.[0] ?? "";
        made.set(key, taskClass);
        const entry = this.#entries.get(taskClass.id);
        if (entry) this.#byKey.set(key, entry);
      });
    }
    return keys.map((key, index) => {
      const entry = this.#byKey.get(key);
      // What is submitted to is not forgotten before its task is there.
      if (entry) entry.usedAt = Math.max(entry.usedAt, now);
      const taskClass = entry?.taskClass ?? made.get(key);
      if (!taskClass) throw new Error(`no class was made for ${wanted[index]?.queue}/${wanted[index]?.type}`);
      return taskClass;
    });
  }

  /** Learns the classes that other schedulers made, and those that are missing; at first those with open tasks. */
  async learn(): Promise<void> {
    if (this.#lastId === undefined) {
      const { lastId, classes } = await this.#store.openClasses();
      await this.#addAll(classes);
      this.#lastId = lastId;
    }
    const after = this.#lastId - LATE_CLASSES;
    for (const id of this.#forgotten) if (id <= after) this.#forgotten.delete(id);
    const classes = await this.#store.classesAfter(after);
    await this.#addAll(classes.filter(({ id }) => !this.#forgotten.has(id)));
    this.#lastId = Math.max(this.#lastId, classes.at(-1)?.id ?? 0);
    await this.load([...this.#missing]);
  }

  /** Reads those of the classes that are not in memory. */
  async load(ids: Iterable<number>): Promise<void> {
    const missing = this.#notHere(ids);
    for (let start = 0; start < missing.length; start += MAX_RESOLVED) {
      const part = missing.slice(start, start + MAX_RESOLVED);
      await this.#addAll(await this.#store.classesById(part));
      for (const id of part) this.#missing.delete(id);
    }
  }

  /** Something may wait in these classes. True when they are in memory, else the next `learn` reads the missing ones. */
  use(ids: Iterable<number>): boolean {
    const now = this.#clock.monotonic();
    let here = true;
    for (const id of ids) {
      const entry = this.#entries.get(id);
      if (entry) entry.usedAt = now;
      else {
        this.#missing.add(id);
        here = false;
      }
    }
    return here;
  }

  /**
   * Looks at which classes have open tasks: reads those that are missing, forgets those that had none for a day, or for
   * ten minutes where there may be as many as keys.
   *
   * @returns Ids of the forgotten.
   */
  async refresh(): Promise<number[]> {
    const open = await this.#store.openClassIds();
    if (!this.use(open)) await this.load(open);
    const now = this.#clock.monotonic();
    const forgotten: number[] = [];
    for (const entry of this.#entries.values()) {
      const after = isPerKey(entry.taskClass) ? PER_KEY_FORGOTTEN_AFTER_MS : FORGOTTEN_AFTER_MS;
      if (entry.usedAt > now - after || entry.window.size > 0) continue;
      this.#forget(entry);
      forgotten.push(entry.taskClass.id);
    }
    return forgotten;
  }

  /** Forgets classes that are not in use in the store. */
  forget(ids: Iterable<number>): void {
    for (const id of ids) {
      const entry = this.#entries.get(id);
      if (entry) this.#forget(entry);
    }
  }

  /** The sessions that classes are matched with. */
  get sessions(): Iterable<Session> {
    return this.#sessions;
  }

  /** Those whose tasks run alone: mostly none. */
  get alone(): Iterable<ClassEntry> {
    return this.#alone;
  }

  /** Those to be read: the store may hold more tasks of them, and their windows run low. May change while it is read. */
  get due(): ReadonlySet<ClassEntry> {
    return this.#due;
  }

  /** Whether classes are matched with the session. */
  has(session: Session): boolean {
    return this.#sessions.has(session);
  }

  get(id: number): ClassEntry | undefined {
    return this.#entries.get(id);
  }

  all(): Iterable<ClassEntry> {
    return this.#entries.values();
  }

  /** Those that searches look at: a task of them may wait, and they are not parked. */
  movable(): Set<ClassEntry> {
    return new Set([...this.order.active, ...this.#due]);
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

  get size(): number {
    return this.#entries.size;
  }

  /** True when a class requires resources. */
  get needResources(): boolean {
    return this.#withResources > 0;
  }

  /** Adds a session to the classes that it is eligible for. */
  addSession(session: Session): void {
    if (this.#sessions.has(session)) return;
    this.#sessions.add(session);
    for (const entry of this.#entries.values()) this.#join(entry, session);
  }

  /** Makes a change that may affect the lasting filters, and updates the classes that the session is eligible for. */
  change(session: Session, change: () => void): void {
    if (!this.#sessions.has(session)) return change();
    const before = new Map<ClassEntry, Filter | undefined>();
    for (const entry of this.#entries.values()) before.set(entry, lastingFilter(entry.taskClass, session));
    change();
    for (const [entry, filter] of before) {
      if (lastingFilter(entry.taskClass, session) === filter) continue;
      this.#leave(entry, session, filter);
      this.#join(entry, session);
    }
  }

  /** Removes a session from all classes. */
  removeSession(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const entry of this.#entries.values()) {
      this.#leave(entry, session, lastingFilter(entry.taskClass, session));
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
        if (!isPlanned(task.id) && entry?.window.add(task, now - (task.ageMs ?? 0))) added++;
      }
      for (const entry of entries) this.#touch(entry);
    } catch (error) {
      for (const entry of entries) this.expectMore(entry);
      throw error;
    }
    for (const entry of entries) {
      if ((counts.get(entry.taskClass.id) ?? 0) >= limit) this.expectMore(entry);
    }
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
    for (let start = 0; start < deep.length; start += MAX_RESOLVED)
      await this.#readAged(deep.slice(start, start + MAX_RESOLVED), isPlanned);
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

  #forget(entry: ClassEntry): void {
    const { taskClass } = entry;
    this.#entries.delete(taskClass.id);
    this.#alone.delete(entry);
    this.#due.delete(entry);
    this.order.forget(entry);
    this.#refilling.delete(entry);
    if (taskClass.requirements.resources.length > 0) this.#withResources--;
    const key = memoryKey(taskClass);
    if (this.#byKey.get(key) === entry) this.#byKey.delete(key);
    this.#forgotten.add(taskClass.id);
  }

  #notHere(ids: Iterable<number>): number[] {
    return [...new Set(ids)].filter((id) => !this.#entries.has(id));
  }

  /** Thousands of classes and sessions at once make millions of pairs: other callbacks get their turn in between. */
  async #addAll(classes: readonly TaskClass[]): Promise<void> {
    const slices = new Slices();
    for (const taskClass of classes) {
      this.#add(taskClass);
      if (slices.isOver) await slices.next();
    }
  }

  #add(taskClass: TaskClass): void {
    if (this.#entries.has(taskClass.id)) return;
    const entry: ClassEntry = {
      taskClass,
      shape: shapeOf(taskClass),
      window: new WaitingWindow(this.ageingMs),
      mayHaveMore: true,
      floor: undefined,
      lowSize: WINDOW_SIZE / 4,
      hasMoreAged: false,
      eligible: [],
      turn: 0,
      log: new MatchLog(),
      usedAt: this.#clock.monotonic(),
      parked: false,
    };
    this.#entries.set(taskClass.id, entry);
    this.#forgotten.delete(taskClass.id);
    this.#due.add(entry);
    if (taskClass.alone) this.#alone.add(entry);
    if (taskClass.requirements.resources.length > 0) this.#withResources++;
    for (const session of this.#sessions) this.#join(entry, session);
  }

  #join(entry: ClassEntry, session: Session): void {
    const filter = lastingFilter(entry.taskClass, session);
    if (filter) entry.log.joined(filter, session.workerId);
    else entry.eligible.push(session);
  }

  #leave(entry: ClassEntry, session: Session, filter: Filter | undefined): void {
    if (!filter) {
      entry.eligible = entry.eligible.filter((other) => other !== session);
      return;
    }
    entry.log.left(filter, session.workerId, () => {
      for (const other of this.#sessions) {
        if (lastingFilter(entry.taskClass, other) === filter) return other.workerId;
      }
      return undefined;
    });
  }
}

/** The filter that removes the session until it registers anew or loads something; undefined when it is eligible. */
function lastingFilter(taskClass: TaskClass, session: Session): Filter | undefined {
  const filter = removedBy(taskClass, session);
  return filter !== undefined && LASTING_FILTERS.has(filter) ? filter : undefined;
}

/** The first task of the highest priority in the window, with its age. */
function topOf({ taskClass, window }: ClassEntry, now: number): WaitingTask[] {
  const top = window.top();
  if (!top) return [];
  const { id, priority, readyAt = now } = top;
  return [{ id, priority, classId: taskClass.id, ageMs: now - readyAt }];
}

function memoryKey(wanted: WantedClass): string {
  const { queue, type, requirements, concurrency, rateLimits, circuit, fairness } = wanted;
  const labels = Object.entries(requirements.labels);
  const { resources, cost } = requirements;
  const hasKeys = [concurrency, rateLimits, circuit, fairness].some((each) => each !== undefined);
  const isPlain = labels.length === 0 && resources.length === 0 && !hasKeys && cost === undefined;
  if (isPlain) return `${queue}\n${type}`;
  return JSON.stringify([
    queue,
    type,
    labels.sort(([a], [b]) => (a < b ? -1 : 1)),
    [...resources].sort(),
    concurrency && identityOf(concurrency),
    cost?.map(({ name, amount }) => [name, amount]),
    rateLimits?.map(({ key, limit, periodMs, burst }) => [key, limit, periodMs, burst]),
    circuit && ruleValues(circuit),
    fairness && [fairness.key, fairness.weight],
  ]);
}

function goesBefore(task: WaitingTask, floor: Floor): boolean {
  return task.priority > floor.priority || (task.priority === floor.priority && task.id < floor.id);
}
