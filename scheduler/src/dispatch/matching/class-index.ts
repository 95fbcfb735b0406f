/** Task classes in memory, with their waiting tasks and eligible sessions. */
import type { Clock } from "../../clock.ts";
import type { BuildSides } from "../../domain/builds/build-rule.ts";
import { isPerKey, type TaskClass } from "../../domain/matching/match.ts";
import { Slices } from "../../slices.ts";
import type { ClassStore, WantedClass } from "../../store/store.ts";
import type { Session } from "../sessions/session.ts";
import { type ClassEntry, madeEntry } from "./class-entry.ts";
import { memoryKey } from "./class-key.ts";
import { ClassWindows } from "./class-windows.ts";
import { EligibleSessions } from "./eligible-sessions.ts";

/** Sequences assign ids before the commit: a class may appear this far below the newest one. */
const LATE_CLASSES = 1_000;

/** New classes in one statement: more would hold others up that make the same. */
const MAX_RESOLVED = 2_000;

/** A class in which nothing was open for so long is forgotten, milliseconds. */
export const FORGOTTEN_AFTER_MS = 86_400_000;

/** The same for classes of which there may be as many as keys: ten new ones a second are 6,000 in memory. */
export const PER_KEY_FORGOTTEN_AFTER_MS = 600_000;

/**
 * Task classes in memory: the waiting tasks of each and its eligible sessions. Those in which nothing was open for a day
 * are forgotten. Their rows stay, and whatever names one that is not here makes it be read again: a submit, another
 * scheduler's hint, a task that is tried again, and at the latest the look at all open tasks once a minute.
 */
export class ClassIndex {
  /** Their waiting tasks. */
  readonly windows: ClassWindows;
  readonly #store: ClassStore;
  readonly #clock: Clock;
  readonly #entries = new Map<number, ClassEntry>();
  readonly #eligible = new EligibleSessions(this.#entries);
  readonly #byKey = new Map<string, ClassEntry>();
  readonly #alone = new Set<ClassEntry>();
  /** Named in a hint and not in memory: read with the next refresh. */
  readonly #missing = new Set<number>();
  /** Of the forgotten, those that a look at the newest classes would bring back. */
  readonly #forgotten = new Set<number>();
  #lastId: number | undefined;
  /** The newest classes that were read last: those after an id, and the fingerprint of their ids before. */
  #read: { readonly after: number; readonly fingerprint: string } | undefined;
  /** Classes that require resources. */
  #withResources = 0;

  /** What the rule of a queue asks of builds; see `QueueBuilds`. */
  #sidesFor: (taskClass: TaskClass) => BuildSides | undefined = () => undefined;

  /** @param ageingMs The wait of a task that counts as much as one level of priority. */
  constructor(store: ClassStore, clock: Clock, ageingMs = Number.POSITIVE_INFINITY) {
    this.#store = store;
    this.#clock = clock;
    this.windows = new ClassWindows({ store, clock, entries: this.#entries, ageingMs });
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

  /** The classes after this one may have changed since they were last read. */
  get learnsAfter(): number {
    return Math.max(0, (this.#lastId ?? 0) - LATE_CLASSES);
  }

  /**
   * Learns the classes that other schedulers made, and those that are missing; at first those with open tasks.
   *
   * @param fingerprint Of the ids after `learnsAfter`: when it is that of the last read, they are not read again.
   */
  async learn(fingerprint?: string): Promise<void> {
    if (this.#lastId === undefined) {
      const { lastId, classes } = await this.#store.openClasses();
      await this.#addAll(classes);
      this.#lastId = lastId;
    }
    const after = this.learnsAfter;
    if (fingerprint === undefined || this.#read?.after !== after || this.#read.fingerprint !== fingerprint) {
      for (const id of this.#forgotten) if (id <= after) this.#forgotten.delete(id);
      const classes = await this.#store.classesAfter(after);
      await this.#addAll(classes.filter(({ id }) => !this.#forgotten.has(id)));
      this.#lastId = Math.max(this.#lastId, classes.at(-1)?.id ?? 0);
      this.#read = fingerprint === undefined ? undefined : { after, fingerprint };
    }
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

  /** New classes ask of builds what this returns. */
  useBuilds(sidesFor: (taskClass: TaskClass) => BuildSides | undefined): void {
    this.#sidesFor = sidesFor;
  }

  /** The tasks of the class ask this of builds from now on. */
  setBuilds(entry: ClassEntry, builds: BuildSides | undefined): void {
    this.#eligible.changeClass(entry, () => {
      const { builds: _, ...plain } = entry.taskClass;
      entry.taskClass = builds ? { ...plain, builds } : plain;
    });
    this.windows.lookAgain(entry);
  }

  /** The sessions that classes are matched with. */
  get sessions(): Iterable<Session> {
    return this.#eligible.all;
  }

  /** Those whose tasks run alone: mostly none. */
  get alone(): Iterable<ClassEntry> {
    return this.#alone;
  }

  /** Whether classes are matched with the session. */
  has(session: Session): boolean {
    return this.#eligible.all.has(session);
  }

  /** Adds a session to the classes that it is eligible for. */
  addSession(session: Session): void {
    this.#eligible.add(session);
  }

  /** Makes a change that may affect which classes the session is eligible for. */
  change(session: Session, change: () => void): void {
    this.#eligible.change(session, change);
  }

  /** Removes a session from all classes. */
  removeSession(session: Session): void {
    this.#eligible.remove(session);
  }

  get(id: number): ClassEntry | undefined {
    return this.#entries.get(id);
  }

  all(): Iterable<ClassEntry> {
    return this.#entries.values();
  }

  ids(): number[] {
    return [...this.#entries.keys()];
  }

  get size(): number {
    return this.#entries.size;
  }

  /** True when a class requires resources. */
  get needResources(): boolean {
    return this.#withResources > 0;
  }

  #forget(entry: ClassEntry): void {
    const { taskClass } = entry;
    this.#entries.delete(taskClass.id);
    this.#alone.delete(entry);
    this.windows.forget(entry);
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

  #add(found: TaskClass): void {
    if (this.#entries.has(found.id)) return;
    const builds = this.#sidesFor(found);
    const taskClass = builds ? { ...found, builds } : found;
    const entry = madeEntry(taskClass, this.windows.ageingMs, this.#clock.monotonic());
    this.#entries.set(taskClass.id, entry);
    this.#forgotten.delete(taskClass.id);
    this.windows.add(entry);
    if (taskClass.alone) this.#alone.add(entry);
    if (taskClass.requirements.resources.length > 0) this.#withResources++;
    this.#eligible.addClass(entry);
  }
}
