import { type Filter, LASTING_FILTERS, removedBy, type TaskClass } from "../domain/match.ts";
import { MatchLog } from "../domain/match-log.ts";
import type { Requirements } from "../domain/task.ts";
import { WaitingWindow } from "../domain/window.ts";
import { Slices } from "../slices.ts";
import type { Floor, Store, WaitingTask } from "../store/store.ts";
import type { Session } from "./session.ts";

/**
 * Ids held per class. A claim takes at most 1,000, so a window lasts for two; deeper queues stay in
 * Postgres and are read as the window empties.
 */
export const WINDOW_SIZE = 2_000;

/** Ids are given out before they are committed: classes may turn up this far below the newest one. */
const LATE_CLASSES = 1_000;

/** New classes in one statement: more would hold others up that make the same. */
const MAX_RESOLVED = 2_000;

/** What makes a class. */
export interface WantedClass {
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
}

/** A class with the front of its queue. */
export interface ClassEntry {
  readonly taskClass: TaskClass;
  readonly window: WaitingWindow;
  /** True when the store may hold claimable tasks of the class that the window has not. */
  mayHaveMore: boolean;
  /**
   * When the store was last read, nothing claimable went before this. What turns up before it later (an id that
   * was committed late, a task that is tried again) resets it, at the latest with the next poll.
   */
  floor: Floor | undefined;
  /** Sessions that the lasting filters (type, queue, labels, resources) let through. */
  suited: Session[];
  /** Where the next search among `suited` begins, so that work spreads. */
  turn: number;
  /** The session that is kept free for it, when its tasks run alone. */
  keptFree?: Session | undefined;
  /** What the search among them saw. */
  readonly log: MatchLog;
}

/** Task classes in memory: what waits in each and which sessions suit it. */
export class ClassIndex {
  readonly #store: Store;
  readonly #sessions = new Set<Session>();
  readonly #entries = new Map<number, ClassEntry>();
  readonly #byKey = new Map<string, TaskClass>();
  readonly #alone = new Set<ClassEntry>();
  readonly #pausedQueues = new Set<string>();
  /** Classes that are being read, unless their floor was reset since. */
  readonly #refilling = new Set<ClassEntry>();
  #lastId = 0;
  /** Classes that require resources. */
  #withResources = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The class of a queue, type and requirements; made when new. */
  async resolve(queue: string, type: string, requirements: Requirements): Promise<TaskClass> {
    const [taskClass] = await this.resolveAll([{ queue, type, requirements }]);
    if (!taskClass) throw new Error(`no class was made for ${queue}/${type}`);
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
    const made = new Map<string, TaskClass>();
    const unknown = [...missing];
    for (let start = 0; start < unknown.length; start += MAX_RESOLVED) {
      const part = unknown.slice(start, start + MAX_RESOLVED);
      const classes = await this.#store.resolveClasses(part.map(([, each]) => each));
      await this.#addAll(classes);
      classes.forEach((taskClass, index) => {
        const key = part[index]?.[0] ?? "";
        made.set(key, taskClass);
        this.#byKey.set(key, taskClass);
      });
    }
    return keys.map((key, index) => {
      const taskClass = made.get(key) ?? this.#byKey.get(key);
      if (!taskClass) throw new Error(`no class was made for ${wanted[index]?.queue}/${wanted[index]?.type}`);
      return taskClass;
    });
  }

  /** Learns the classes that other schedulers made. */
  async learn(): Promise<void> {
    const classes = await this.#store.classesAfter(this.#lastId - LATE_CLASSES);
    await this.#addAll(classes);
    this.#lastId = Math.max(this.#lastId, classes.at(-1)?.id ?? 0);
  }

  /** The sessions that classes are matched with. */
  get sessions(): Iterable<Session> {
    return this.#sessions;
  }

  /** Those whose tasks run alone: mostly none. */
  get alone(): Iterable<ClassEntry> {
    return this.#alone;
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

  get size(): number {
    return this.#entries.size;
  }

  /** True when a class requires resources. */
  get needResources(): boolean {
    return this.#withResources > 0;
  }

  isPaused(queue: string): boolean {
    return this.#pausedQueues.has(queue);
  }

  /** Takes over which queues are paused; true when that changed. */
  setPaused(queues: readonly string[]): boolean {
    const same =
      queues.length === this.#pausedQueues.size && queues.every((name) => this.#pausedQueues.has(name));
    if (same) return false;
    this.#pausedQueues.clear();
    for (const name of queues) this.#pausedQueues.add(name);
    return true;
  }

  /** Works out which classes a session suits, when it comes. */
  suit(session: Session): void {
    if (this.#sessions.has(session)) return;
    this.#sessions.add(session);
    for (const entry of this.#entries.values()) this.#join(entry, session);
  }

  /** Changes what the lasting filters ask of a session, and works out anew which classes it suits. */
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

  /** Forgets a session. */
  unsuit(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const entry of this.#entries.values()) {
      this.#leave(entry, session, lastingFilter(entry.taskClass, session));
    }
  }

  /** Something claimable may have turned up anywhere in the class's order. */
  lookAgain(entry: ClassEntry): void {
    entry.mayHaveMore = true;
    entry.floor = undefined;
    this.#refilling.delete(entry);
  }

  /** Adds a task that became claimable; a full window leaves it to the store. */
  enqueue(task: WaitingTask): void {
    const entry = this.#entries.get(task.classId);
    if (!entry) return;
    if (entry.mayHaveMore || entry.window.size >= WINDOW_SIZE) {
      entry.mayHaveMore = true;
      // A task that outranks the window's front must not wait behind the refill.
      if (task.priority <= (entry.window.peek()?.priority ?? Number.NEGATIVE_INFINITY)) {
        if (!entry.floor || goesBefore(task, entry.floor)) this.lookAgain(entry);
        return;
      }
    }
    entry.window.add(task);
  }

  /**
   * Reads the front of the queue again for these classes.
   *
   * @param isPlanned True for ids that are being given out already.
   */
  async refill(entries: readonly ClassEntry[], isPlanned: (id: number) => boolean): Promise<void> {
    if (entries.length === 0) return;
    for (const entry of entries) {
      entry.mayHaveMore = false;
      this.#refilling.add(entry);
    }
    const counts = new Map<number, number>();
    try {
      const tasks = await this.#store.waitingTasks(
        entries.map(({ taskClass }) => taskClass.id),
        WINDOW_SIZE,
        entries.map(({ floor }) => floor),
      );
      for (const task of tasks) {
        const entry = this.#entries.get(task.classId);
        const count = counts.get(task.classId) ?? 0;
        counts.set(task.classId, count + 1);
        // The first one of each class, unless something turned up meanwhile.
        if (count === 0 && entry && this.#refilling.has(entry)) entry.floor = task;
        if (!isPlanned(task.id)) entry?.window.add(task);
      }
    } catch (error) {
      for (const entry of entries) entry.mayHaveMore = true;
      throw error;
    }
    for (const entry of entries) {
      if ((counts.get(entry.taskClass.id) ?? 0) >= WINDOW_SIZE) entry.mayHaveMore = true;
    }
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
      window: new WaitingWindow(),
      mayHaveMore: true,
      floor: undefined,
      suited: [],
      turn: 0,
      log: new MatchLog(),
    };
    this.#entries.set(taskClass.id, entry);
    if (taskClass.alone) this.#alone.add(entry);
    if (taskClass.requirements.resources.length > 0) this.#withResources++;
    for (const session of this.#sessions) this.#join(entry, session);
  }

  #join(entry: ClassEntry, session: Session): void {
    const filter = lastingFilter(entry.taskClass, session);
    if (filter) entry.log.joined(filter, session.workerId);
    else entry.suited.push(session);
  }

  #leave(entry: ClassEntry, session: Session, filter: Filter | undefined): void {
    if (!filter) {
      entry.suited = entry.suited.filter((other) => other !== session);
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

/** The filter that removes the session until it registers anew or loads something; undefined when it suits. */
function lastingFilter(taskClass: TaskClass, session: Session): Filter | undefined {
  const filter = removedBy(taskClass, session);
  return filter !== undefined && LASTING_FILTERS.has(filter) ? filter : undefined;
}

function memoryKey({ queue, type, requirements }: WantedClass): string {
  const labels = Object.entries(requirements.labels);
  if (labels.length === 0 && requirements.resources.length === 0) return `${queue}\n${type}`;
  return JSON.stringify([
    queue,
    type,
    labels.sort(([a], [b]) => (a < b ? -1 : 1)),
    [...requirements.resources].sort(),
  ]);
}

function goesBefore(task: WaitingTask, floor: Floor): boolean {
  return task.priority > floor.priority || (task.priority === floor.priority && task.id < floor.id);
}
