import { type Filter, type MatchRecord, matchAll, removedBy, type TaskClass } from "../domain/match.ts";
import type { Requirements } from "../domain/task.ts";
import { WaitingWindow } from "../domain/window.ts";
import type { Store, WaitingTask } from "../store/store.ts";
import type { Session } from "./session.ts";

/**
 * Ids held per class. A claim takes at most 500, so a window lasts for several; deeper queues stay in
 * Postgres and are read as the window empties.
 */
export const WINDOW_SIZE = 2_000;

/** Ids are given out before they are committed: classes may turn up this far below the newest one. */
const LATE_CLASSES = 1_000;

/** A class with the front of its queue. */
export interface ClassEntry {
  readonly taskClass: TaskClass;
  readonly window: WaitingWindow;
  /** True when the store may hold claimable tasks of the class that the window has not. */
  mayHaveMore: boolean;
  /** Sessions that the lasting filters (type, queue, labels, resources) let through. */
  suited: Session[];
  /** Where the next search among `suited` begins, so that work spreads. */
  turn: number;
}

const LASTING_FILTERS: ReadonlySet<Filter> = new Set(["type", "queue", "labels", "resources"]);

/** Task classes in memory: what waits in each and which sessions suit it. */
export class ClassIndex {
  readonly #store: Store;
  readonly #sessions: () => Iterable<Session>;
  readonly #entries = new Map<number, ClassEntry>();
  readonly #byKey = new Map<string, TaskClass>();
  readonly #pausedQueues = new Set<string>();
  #lastId = 0;

  /** @param sessions The sessions to match with, as they are at the time of the call. */
  constructor(store: Store, sessions: () => Iterable<Session>) {
    this.#store = store;
    this.#sessions = sessions;
  }

  /** The class of a queue, type and requirements; made when new. */
  async resolve(queue: string, type: string, requirements: Requirements): Promise<TaskClass> {
    const key = memoryKey(queue, type, requirements);
    const known = this.#byKey.get(key);
    if (known) return known;
    const [taskClass] = await this.#store.resolveClasses([{ queue, type, requirements }]);
    if (!taskClass) throw new Error(`no class was made for ${queue}/${type}`);
    this.#byKey.set(key, taskClass);
    this.#add(taskClass);
    return taskClass;
  }

  /** Learns the classes that other schedulers made. */
  async learn(): Promise<void> {
    for (const taskClass of await this.#store.classesAfter(this.#lastId - LATE_CLASSES)) {
      this.#add(taskClass);
      this.#lastId = Math.max(this.#lastId, taskClass.id);
    }
  }

  get(id: number): ClassEntry | undefined {
    return this.#entries.get(id);
  }

  all(): Iterable<ClassEntry> {
    return this.#entries.values();
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

  /** Works out which classes a session suits; called when it comes and when what the lasting filters ask of it changes. */
  suit(session: Session): void {
    for (const entry of this.#entries.values()) {
      const known = entry.suited.includes(session);
      const suited = suits(entry.taskClass, session);
      if (suited && !known) entry.suited.push(session);
      if (!suited && known) entry.suited = entry.suited.filter((other) => other !== session);
    }
  }

  /** Forgets a session. */
  unsuit(session: Session): void {
    for (const entry of this.#entries.values()) {
      if (entry.suited.includes(session)) entry.suited = entry.suited.filter((other) => other !== session);
    }
  }

  /** How the sessions fare with a class right now, by the filters that assign work. */
  record(entry: ClassEntry): MatchRecord {
    return matchAll(entry.taskClass, this.#sessions()).record;
  }

  /** Adds a task that became claimable; a full window leaves it to the store. */
  enqueue(task: WaitingTask): void {
    const entry = this.#entries.get(task.classId);
    if (!entry) return;
    if (entry.mayHaveMore || entry.window.size >= WINDOW_SIZE) {
      entry.mayHaveMore = true;
      // A task that outranks the window's front must not wait behind the refill.
      if (task.priority <= (entry.window.peek()?.priority ?? Number.NEGATIVE_INFINITY)) return;
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
    for (const entry of entries) entry.mayHaveMore = false;
    const counts = new Map<number, number>();
    try {
      const tasks = await this.#store.waitingTasks(
        entries.map(({ taskClass }) => taskClass.id),
        WINDOW_SIZE,
      );
      for (const task of tasks) {
        counts.set(task.classId, (counts.get(task.classId) ?? 0) + 1);
        if (!isPlanned(task.id)) this.#entries.get(task.classId)?.window.add(task);
      }
    } catch (error) {
      for (const entry of entries) entry.mayHaveMore = true;
      throw error;
    }
    for (const entry of entries) {
      if ((counts.get(entry.taskClass.id) ?? 0) >= WINDOW_SIZE) entry.mayHaveMore = true;
    }
  }

  #add(taskClass: TaskClass): void {
    if (this.#entries.has(taskClass.id)) return;
    this.#entries.set(taskClass.id, {
      taskClass,
      window: new WaitingWindow(),
      mayHaveMore: true,
      suited: this.#suited(taskClass),
      turn: 0,
    });
  }

  #suited(taskClass: TaskClass): Session[] {
    return [...this.#sessions()].filter((session) => suits(taskClass, session));
  }
}

function suits(taskClass: TaskClass, session: Session): boolean {
  const filter = removedBy(taskClass, session);
  return filter === undefined || !LASTING_FILTERS.has(filter);
}

function memoryKey(queue: string, type: string, requirements: Requirements): string {
  const labels = Object.entries(requirements.labels);
  if (labels.length === 0 && requirements.resources.length === 0) return `${queue}\n${type}`;
  return JSON.stringify([
    queue,
    type,
    labels.sort(([a], [b]) => (a < b ? -1 : 1)),
    [...requirements.resources].sort(),
  ]);
}
