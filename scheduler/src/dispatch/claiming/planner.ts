/** Plans claims: which waiting tasks start next at which sessions, and which classes are read for more. */
import type { Clock } from "../../clock.ts";
import { type BuildSides, isOfRamp } from "../../domain/builds/build-rule.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { WindowEntry } from "../../domain/tasks/window.ts";
import type { WaitingTask } from "../../store/store.ts";
import type { Admission } from "../admission/admission.ts";
import type { RateLimits } from "../admission/rate-limits.ts";
import type { StrictOrders } from "../admission/strict-orders.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Search } from "../matching/matcher.ts";
import type { Session } from "../sessions/session.ts";
import { Turns } from "../sharing/turns.ts";
import { WorkerGroups } from "../sharing/worker-groups.ts";

/** Largest claim. Two cores drain 37,100 tasks/s with 1,000 here and in a commit, 34,200 with 500. */
const MAX_CLAIM = 1_000;

/** With more classes it is worth knowing first which types the open workers serve. */
const MANY_CLASSES = 1_000;

/**
 * Classes whose window is empty are read also while none of their workers has credit: their share may be due before that
 * of the classes that keep these workers busy. With more classes to look at, no more often than this, milliseconds.
 */
const READ_BUSY = { classes: 100, everyMs: 50 };

/** Classes that are read at once while none of their workers has credit; the others come with the next reads. */
const MAX_READ_BUSY = 200;

/** A task with the session that a claim is to assign it to. */
export interface Planned {
  readonly task: WaitingTask & WindowEntry;
  readonly entry: ClassEntry;
  readonly session: Session;
  /** Keys of the rate limits that the claim takes a token of. */
  readonly tokens: readonly string[] | undefined;
}

export interface PlannerParts {
  readonly classes: ClassIndex;
  readonly admission: Admission;
  readonly orders: StrictOrders;
  readonly rates: RateLimits;
  readonly clock: Clock;
}

/**
 * Takes tasks from the windows of their classes in the order of shares, priorities and ages, and finds a session with credit
 * for each. Remembers what it planned until the claim is answered.
 */
export class Planner {
  readonly #classes: ClassIndex;
  readonly #admission: Admission;
  readonly #orders: StrictOrders;
  readonly #rates: RateLimits;
  readonly #clock: Clock;
  readonly #groups = new WorkerGroups();
  /** Planned and not yet known to be won or lost, so that a read does not bring them back. */
  readonly #planned = new Set<number>();
  /** Of `#planned`, those decided while a read was under way, which may have read them before. */
  #decided: number[] = [];
  #reading = false;
  #readBusyAt = Number.NEGATIVE_INFINITY;

  constructor(parts: PlannerParts) {
    this.#classes = parts.classes;
    this.#admission = parts.admission;
    this.#orders = parts.orders;
    this.#rates = parts.rates;
    this.#clock = parts.clock;
  }

  /** True for a task that must not come into a window: it is being claimed, or a rule holds it back outside of it. */
  isTaken(taskId: number): boolean {
    return this.#planned.has(taskId) || this.#admission.isHeld(taskId);
  }

  /** A read of waiting tasks begins: it may bring what is decided from now on. */
  readBegins(): void {
    this.#reading = true;
  }

  readEnds(): void {
    this.#reading = false;
    for (const id of this.#decided.splice(0)) this.#planned.delete(id);
  }

  /** The claim of these was answered. */
  decided(plan: readonly Planned[]): void {
    for (const { task } of plan) {
      if (this.#reading) this.#decided.push(task.id);
      else this.#planned.delete(task.id);
    }
  }

  /** A new task of the class is assigned by the statement that inserts it. */
  startedAtOnce(entry: ClassEntry, session: Session): void {
    this.#classes.windows.order.startedAtOnce(entry, this.#groups.of(session));
  }

  /** The next claim: at most `MAX_CLAIM` tasks. */
  plan(search: Search): Planned[] {
    const plan: Planned[] = [];
    if (!search.isOpen) return plan;
    const types = this.#openTypes(search);
    const turns = new Turns(this.#classes.windows.order, {
      isServed: ({ taskClass }) => types?.has(taskClass.type) !== false,
      isAdmitted: this.#admitted(),
    });
    for (let entry = turns.first; entry && plan.length < MAX_CLAIM && search.isOpen; entry = turns.first) {
      const { taskClass } = entry;
      const [session, next] = taskClass.builds?.ramp
        ? this.#nextOfRamped(search, entry, taskClass.builds)
        : this.#nextOf(search.find(entry), entry);
      if (!session || !next) {
        if (session) this.#classes.windows.shortened(entry);
        else if (taskClass.requirements.cost !== undefined) search.keepRoom(entry);
        if (session || taskClass.requirements.cost !== undefined) turns.drop(entry);
        else turns.dropShape(entry);
        continue;
      }
      search.reserve(session, taskClass);
      if (taskClass.concurrency !== undefined) this.#orders.plan(taskClass, next.id);
      const tokens = this.#rates.plan(taskClass);
      this.#planned.add(next.id);
      plan.push({ task: { ...next, classId: taskClass.id }, entry, session, tokens });
      this.#classes.windows.started(entry, this.#groups.of(session));
    }
    turns.end();
    return plan;
  }

  #nextOf(
    session: Session | undefined,
    entry: ClassEntry,
  ): readonly [Session | undefined, WindowEntry | undefined] {
    return [session, session && this.#next(entry, () => entry.window.shift())];
  }

  /** Of a class with a ramp: a session for its next task, else one for the next task of the other side. */
  #nextOfRamped(
    search: Search,
    entry: ClassEntry,
    sides: BuildSides,
  ): readonly [Session | undefined, WindowEntry | undefined] {
    const { window } = entry;
    const front = window.peek();
    if (!front || !sides.ramp) return this.#nextOf(search.find(entry), entry);
    const { share, build } = sides.ramp;
    const first = isOfRamp(front.id, share);
    for (const ramp of [first, !first]) {
      const session = search.find(entry, ramp ? { is: build } : sides.rest);
      if (!session) continue;
      const next = this.#next(entry, () => window.takeFirst((id) => isOfRamp(id, share) === ramp));
      if (!next) this.#classes.windows.starve(entry, ramp ? "ramp" : "rest");
      if (next || ramp !== first) return [session, next];
    }
    return [undefined, undefined];
  }

  /** Takes the first task of the class that no rule holds back. */
  #next(entry: ClassEntry, take: () => WindowEntry | undefined): WindowEntry | undefined {
    const { taskClass } = entry;
    if (!this.#admission.asksTasks(taskClass)) return take();
    while (!this.#admission.isFull(taskClass.id)) {
      const next = take();
      if (!next) return undefined;
      // It is being claimed already; whether it waits afterwards is read then.
      if (this.#planned.has(next.id)) this.#classes.windows.expectMore(entry);
      else if (this.#admission.tryAcquire({ ...next, classId: taskClass.id }, taskClass)) return next;
    }
    return undefined;
  }

  /** Finds out whether the rules admit a class. What is held back by a rule that unparks it is parked: searches leave it out until then. */
  #admitted(): (entry: ClassEntry) => boolean {
    let admitted: ClassEntry | undefined;
    return (entry) => {
      // What was planned before may have taken the last place of a key, or the last token.
      if (entry === admitted && !this.#isCounted(entry.taskClass)) return true;
      const rule = this.#admission.heldBy(entry.taskClass);
      if (rule?.unparks) this.#classes.windows.park(entry);
      admitted = rule === undefined ? entry : undefined;
      return admitted !== undefined;
    };
  }

  /** The types that open workers serve, where that is quick to know. */
  #openTypes(search: Search): ReadonlySet<string> | undefined {
    return search.isOpen && this.#classes.size > MANY_CLASSES
      ? search.openTypes(this.#classes.size)
      : undefined;
  }

  /** Whether planning a task of the class may leave less for the next. */
  #isCounted(taskClass: TaskClass): boolean {
    return taskClass.concurrency !== undefined || this.#rates.concerns(taskClass);
  }

  /** Classes whose window runs low although more may wait and a worker could take it. */
  worthReading(search: Search): ClassEntry[] {
    const entries: ClassEntry[] = [];
    // A session is kept free for a task that runs alone, once it is known that there is one.
    for (const entry of this.#classes.alone) {
      if (entry.mayHaveMore && entry.window.size === 0) entries.push(entry);
    }
    let busyLeft = this.#mayReadBusy() ? MAX_READ_BUSY : 0;
    const types = this.#openTypes(search);
    const isAdmitted = this.#admitted();
    for (const entry of this.#classes.windows.due) {
      if (!search.isOpen && busyLeft === 0) break;
      const { taskClass, window, eligible, hasMoreAged } = entry;
      if (taskClass.alone && window.size === 0) continue;
      const isOpen = search.isOpen && types?.has(taskClass.type) !== false;
      const isDue = busyLeft > 0 && (window.size === 0 || hasMoreAged) && eligible.length > 0;
      if (!(isOpen || isDue) || !isAdmitted(entry) || this.#admission.isFull(taskClass.id)) continue;
      if (isOpen && search.has(entry)) entries.push(entry);
      else if (isDue) {
        busyLeft--;
        entries.push(entry);
      }
    }
    return entries;
  }

  /** True unless there are many classes to look at, and they have been looked at a moment ago. */
  #mayReadBusy(): boolean {
    const now = this.#clock.monotonic();
    const isMany = this.#classes.windows.due.size > READ_BUSY.classes;
    if (isMany && now - this.#readBusyAt < READ_BUSY.everyMs) return false;
    this.#readBusyAt = now;
    return true;
  }
}
