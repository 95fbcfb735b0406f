/** Plans, claims and sends: the loop that gives waiting tasks to workers with credit. */
import type { Clock } from "../../clock.ts";
import { DatabaseUnavailableError, isAbsence } from "../../domain/errors.ts";
import { isStrict } from "../../domain/tasks/limits/concurrency.ts";
import type {
  ClaimedAttempt,
  ClaimStore,
  KeyedClaim,
  KeyedWish,
  RatedClaim,
  WaitingTask,
} from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Admission } from "../admission/admission.ts";
import type { ConcurrencyKeys } from "../admission/concurrency-keys.ts";
import type { RateLimits } from "../admission/rate-limits.ts";
import type { StrictOrders } from "../admission/strict-orders.ts";
import type { AttemptTraces } from "../attempts/writers/attempt-traces.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Matcher } from "../matching/matcher.ts";
import type { Session } from "../sessions/session.ts";
import type { AssignmentSender } from "./assignment-sender.ts";
import { ClassSurvey } from "./class-survey.ts";
import type { IndeterminateStatements } from "./indeterminate-statements.ts";
import { type Planned, Planner } from "./planner.ts";

/** While one claim waits for the disk, the next is on its way. */
const CLAIM_LANES = 2;

/** Liveness of the dispatch loop. Ages are milliseconds. */
export interface DispatchPulse {
  /** Since the last time that everything assignable was assigned. */
  readonly ranAgeMs: number | undefined;
  /** For how long a claim has been under way. */
  readonly claimingMs: number | undefined;
  /** Why the last run failed; undefined when it did not. */
  readonly lastError: string | undefined;
}

type ClaimStatement = "claim" | "claimKeyed" | "claimRated";

/**
 * Gives waiting tasks to sessions with credit: plan in memory, claim in one statement, send. Everything
 * that may change the plan calls `pump`; polling calls it too, so a lost wake-up costs a poll interval.
 */
export class Dispatcher {
  readonly #store: Pick<ClaimStore, "claim" | "claimKeyed" | "claimRated">;
  readonly #schedulerId: string;
  readonly #classes: ClassIndex;
  readonly #admission: Admission;
  readonly #keys: ConcurrencyKeys;
  readonly #orders: StrictOrders;
  readonly #rates: RateLimits;
  readonly #matcher: Matcher;
  readonly #sender: AssignmentSender;
  readonly #indeterminate: IndeterminateStatements;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counters: Counters;
  readonly #traces: AttemptTraces;
  readonly #survey: ClassSurvey;
  readonly #planner: Planner;
  readonly #underWay = new Set<Promise<void>>();
  #claims = 0;
  #refilling = false;
  /** The last read brought only what is being claimed: another one would, too, until a claim is answered. */
  #readInVain = false;
  #stopped = false;
  /** When each claim under way began. */
  readonly #claimsBegan = new Set<{ readonly at: number }>();
  #ranAt: number | undefined;
  #pumpsLater = false;
  #lastError: unknown;

  constructor(parts: {
    store: Pick<ClaimStore, "claim" | "claimKeyed" | "claimRated">;
    schedulerId: string;
    classes: ClassIndex;
    admission: Admission;
    keys: ConcurrencyKeys;
    orders: StrictOrders;
    rates: RateLimits;
    matcher: Matcher;
    sender: AssignmentSender;
    indeterminate: IndeterminateStatements;
    clock: Clock;
    log: Logger;
    counters: Counters;
    traces: AttemptTraces;
  }) {
    this.#store = parts.store;
    this.#schedulerId = parts.schedulerId;
    this.#classes = parts.classes;
    this.#admission = parts.admission;
    this.#keys = parts.keys;
    this.#orders = parts.orders;
    this.#rates = parts.rates;
    this.#matcher = parts.matcher;
    this.#sender = parts.sender;
    this.#indeterminate = parts.indeterminate;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#counters = parts.counters;
    this.#traces = parts.traces;
    this.#planner = new Planner(parts);
    this.#survey = new ClassSurvey({ ...parts, goOnSoon: () => this.pumpSoon() });
  }

  /** Assigns what can be assigned; cheap when nothing can. Never throws. */
  pump(): void {
    for (const task of this.#admission.takeFreed()) this.#classes.windows.putBack(task);
    while (this.#claims < CLAIM_LANES && !this.#stopped) {
      const plan = this.#planner.plan(this.#matcher.search());
      if (plan.length === 0) {
        this.#ranAt = this.#clock.monotonic();
        break;
      }
      this.#begin(plan);
    }
    for (const entry of this.#classes.alone) {
      if (entry.window.size > 0 && this.#admission.admits(entry.taskClass)) this.#matcher.keepFree(entry);
    }
    const search = this.#matcher.search();
    if (!search.isOpen || this.#classes.windows.order.first) this.#survey.look(search);
    this.#traces.lookAtWaits();
    if (this.#refilling || this.#readInVain || this.#stopped) return;
    const low = this.#planner.worthReading(search);
    if (low.length === 0) return;
    this.#refilling = true;
    this.#planner.readBegins();
    this.#track(
      this.#classes.windows
        .refill(low, (id) => this.#planner.isTaken(id))
        .then((added) => {
          this.#readInVain = added === 0 && this.#claims >= CLAIM_LANES;
        }),
      () => {
        this.#refilling = false;
        this.#planner.readEnds();
      },
    );
  }

  /** Pumps again when every callback that is due has had its turn. */
  pumpSoon(): void {
    if (this.#pumpsLater || this.#stopped) return;
    this.#pumpsLater = true;
    setImmediate(() => {
      this.#pumpsLater = false;
      this.pump();
    });
  }

  /** Liveness of the dispatch loop, for explanations. Ages are milliseconds. */
  get pulse(): DispatchPulse {
    const now = this.#clock.monotonic();
    const [oldest] = this.#claimsBegan;
    return {
      ranAgeMs: this.#ranAt === undefined ? undefined : now - this.#ranAt,
      claimingMs: oldest === undefined ? undefined : now - oldest.at,
      lastError: this.#lastError instanceof Error ? this.#lastError.message : undefined,
    };
  }

  /** Searches a worker for the class as an assignment would, so that the log of the class is current. */
  look(classId: number): void {
    const entry = this.#classes.get(classId);
    if (entry) this.#matcher.look(entry);
  }

  /** Assigns nothing more; resolves when the claims under way have been sent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#indeterminate.stop();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Checks every class again: tasks may have become claimable without a hint to this scheduler. */
  lookAgain(classIds?: readonly number[]): void {
    if (classIds) {
      this.#use(classIds);
      for (const id of classIds) {
        const entry = this.#classes.get(id);
        if (entry) this.#classes.windows.lookAgain(entry);
      }
    } else {
      for (const entry of this.#classes.all()) this.#classes.windows.lookAgain(entry);
      this.#admission.lookAgain();
    }
    this.pump();
  }

  /** Tasks wait in these classes no longer: they have ended. */
  leftQueue(tasks: readonly { readonly id: number; readonly classId: number }[]): void {
    for (const [classId, left] of Map.groupBy(tasks, (task) => task.classId))
      this.#classes.windows.drop(
        classId,
        left.map(({ id }) => id),
      );
  }

  /** Tasks of these classes have other priorities than this scheduler has read: what waits in them is read again. */
  reorder(classIds: readonly number[]): void {
    this.#use(classIds);
    for (const id of classIds) {
      const entry = this.#classes.get(id);
      if (!entry) continue;
      this.#admission.reordered(id);
      this.#classes.windows.reorder(entry);
    }
    this.pump();
  }

  /**
   * Another scheduler has new tasks of these classes, or freed their concurrency keys; undefined means that it may be
   * any. Keys that are free again matter to every class that has them.
   */
  hinted(classIds?: readonly number[]): void {
    for (const id of classIds ?? []) {
      const taskClass = this.#classes.get(id)?.taskClass;
      if (taskClass?.concurrency) {
        this.#keys.freedElsewhere(taskClass);
        this.#orders.changed(taskClass);
      }
    }
    this.lookAgain(classIds);
  }

  /** Attempts of the class ended, whichever scheduler had assigned them: its keys are asked for again. */
  keysFreed(classId: number): void {
    const taskClass = this.#classes.get(classId)?.taskClass;
    if (taskClass?.concurrency) {
      this.#orders.changed(taskClass);
      this.#keys.freed(taskClass);
    }
  }

  /** Tasks of these classes ended while they waited: those that go after them for a strict order may start. */
  waitsEnded(classIds: Iterable<number>): void {
    for (const id of classIds) {
      const taskClass = this.#classes.get(id)?.taskClass;
      if (taskClass?.concurrency) this.#orders.waitEnded(taskClass);
    }
  }

  /** A task that goes first for a strict order: in its class's window, whatever else is in it. */
  enqueueFirst(task: WaitingTask): void {
    this.#use([task.classId]);
    if (!this.#planner.isTaken(task.id)) this.#classes.windows.putBack(task);
  }

  /** Reads the tasks of low priorities whose turn has come by their age. @throws DatabaseUnavailableError */
  async readAged(): Promise<void> {
    await this.#classes.windows.readAged((id) => this.#planner.isTaken(id));
    this.pump();
  }

  /** A task became claimable. */
  enqueue(task: WaitingTask): void {
    this.#use([task.classId]);
    // Newer ones wait for it: it must not wait until they have left a full window.
    if (isStrict(this.#classes.get(task.classId)?.taskClass.concurrency)) this.#classes.windows.putBack(task);
    else this.#classes.windows.enqueue(task);
    this.pump();
  }

  /** A class that was forgotten is read again, with what waits in it. */
  #use(classIds: readonly number[]): void {
    if (!this.#classes.use(classIds) && !this.#stopped)
      this.#track(this.#classes.load(classIds), () => undefined);
  }

  /**
   * A session that may be given a new task of the class in the statement that inserts it, with a place kept
   * for it; undefined when something older waits, the queue is paused or no worker has credit.
   */
  reserveForNew(classId: number): Session | undefined {
    const entry = this.#classes.get(classId);
    if (!entry || this.#stopped || entry.mayHaveMore || entry.window.size > 0) return undefined;
    // A rule for tasks decides by the task's id, which a new one gets with its insert.
    if (!this.#admission.admits(entry.taskClass) || this.#admission.asksTasks(entry.taskClass))
      return undefined;
    if (this.#rates.concerns(entry.taskClass)) return undefined;
    // So does a ramp.
    if (entry.taskClass.builds?.ramp) return undefined;
    const session = this.#matcher.find(entry);
    if (!session) return undefined;
    session.reserve(entry.taskClass);
    this.#planner.startedAtOnce(entry, session);
    return session;
  }

  /** Goes on when the step has succeeded; after a failure the next poll does. */
  #track(step: Promise<void>, ended: () => void): void {
    const tracked = step.then(
      () => {
        ended();
        this.#underWay.delete(tracked);
        this.#lastError = undefined;
        this.pump();
      },
      (error) => {
        ended();
        this.#underWay.delete(tracked);
        this.#lastError = error;
        if (!isAbsence(error)) this.#log.error("dispatch.failed", { error });
      },
    );
    this.#underWay.add(tracked);
  }

  /** The statement that claims a task: those with concurrency keys and those with rate limits have one of their own. */
  #statementOf({ entry, tokens }: Planned): ClaimStatement {
    if (tokens) return "claimRated";
    return entry.taskClass.concurrency === undefined ? "claim" : "claimKeyed";
  }

  #begin(plan: readonly Planned[]): void {
    if (plan.every((planned) => this.#statementOf(planned) === "claim")) return this.#start("claim", plan);
    for (const [statement, part] of Map.groupBy(plan, (planned) => this.#statementOf(planned)))
      this.#start(statement, part);
  }

  #start(statement: ClaimStatement, plan: readonly Planned[]): void {
    this.#claims++;
    this.#track(this.#claim(statement, plan), () => {
      this.#claims--;
    });
  }

  async #claim(statement: ClaimStatement, plan: readonly Planned[]): Promise<void> {
    let claimed: readonly ClaimedAttempt[];
    let turnedBack: ReadonlySet<number> = NONE;
    const begun = { at: this.#clock.monotonic() };
    this.#claimsBegan.add(begun);
    try {
      if (statement === "claim") {
        const wanted = plan.map(({ task, session }) => ({ taskId: task.id, sessionId: session.id }));
        claimed = await this.#indeterminate.watch(this.#store.claim(wanted, this.#schedulerId));
      } else {
        const wanted = plan.map(toWish);
        const mark = this.#keys.mark();
        const result: KeyedClaim & Partial<RatedClaim> = await this.#indeterminate.watch(
          this.#store[statement](wanted, this.#schedulerId, plan.some(hasOrder)),
        );
        ({ claimed } = result);
        turnedBack = new Set(result.turnedBack);
        for (const taskId of result.turnedBack) this.#admission.notClaimed(taskId, "turned_back");
        this.#keys.learn(result.keys, mark);
        this.#orders.learn(result.orders ?? []);
        this.#settle(plan, result);
        this.#counters.keyClaimsTurnedBack += turnedBack.size - (result.rateLimited?.length ?? 0);
      }
    } catch (error) {
      this.#settle(plan);
      this.#decide(plan);
      this.#giveBack(plan);
      for (const { task } of plan) this.#admission.notClaimed(task.id, "claim_failed");
      if (error instanceof DatabaseUnavailableError && error.outcomeUnknown) {
        this.#indeterminate.add(plan.map(({ session }) => session));
      }
      throw error;
    } finally {
      this.#claimsBegan.delete(begun);
    }
    this.#decide(plan);
    const byTask = new Map<number, ClaimedAttempt>();
    for (const attempt of claimed) byTask.set(attempt.taskId, attempt);
    const won: { attempt: ClaimedAttempt; session: Session }[] = [];
    const others: Other[] = [];
    for (const { task, entry, session } of plan) {
      const attempt = byTask.get(task.id);
      if (attempt === undefined) session.unreserve(entry.taskClass);
      else if (attempt.classId === entry.taskClass.id) won.push({ attempt, session });
      else others.push({ attempt, session, entry });
    }
    if (turnedBack.size > 0) this.#wait(plan, turnedBack);
    if (won.length + others.length + turnedBack.size < plan.length)
      this.#lost(plan.filter(({ task }) => !byTask.has(task.id) && !turnedBack.has(task.id)));
    this.#sender.sendAssignments(won);
    if (others.length > 0) await this.#sendOthers(others);
  }

  /**
   * Sends attempts of tasks that have other classes by now: their last attempts gave them those, or they were moved. The
   * place kept for a task of one class becomes one for the other. A task that is in another queue is given back: its
   * session may not serve that one.
   */
  async #sendOthers(others: readonly Other[]): Promise<void> {
    await this.#classes.load(others.map(({ attempt }) => attempt.classId));
    const known = others.map(({ attempt, session, entry: { taskClass } }) => {
      const claimed = this.#classes.get(attempt.classId)?.taskClass;
      if (claimed === undefined) return { attempt, session };
      session.unreserve(taskClass);
      session.reserve(claimed);
      return claimed.queue === taskClass.queue
        ? { attempt, session }
        : { attempt, session, isMisplaced: true };
    });
    this.#sender.sendAssignments(known);
  }

  /** The tokens of these are no longer planned: the buckets of the answer have what was taken. */
  #settle(plan: readonly Planned[], { buckets = [], rateLimited = [] }: Partial<RatedClaim> = {}): void {
    for (const { tokens } of plan) if (tokens) this.#rates.settle(tokens);
    this.#rates.learn(buckets);
    this.#counters.rateClaimsTurnedBack += rateLimited.length;
  }

  #decide(plan: readonly Planned[]): void {
    this.#readInVain = false;
    this.#planner.decided(plan);
  }

  /** Another scheduler, a cancellation or a retry was faster. */
  #lost(lost: readonly Planned[]): void {
    this.#counters.acquireConflicts += lost.length;
    for (const { task, session, entry } of lost) {
      session.loseRace(entry.taskClass.id);
      this.#admission.notClaimed(task.id, "claim_lost");
    }
    if (!this.#log.debugEnabled) return;
    this.#log.debug("task.lost_race", {
      tasks: lost.slice(0, 20).map(({ task, session }) => `t-${task.id} for ${session.workerId}`),
      count: lost.length,
    });
  }

  /** Tasks of other schedulers hold a key of these, or took the last token: they wait on, in their place. */
  #wait(plan: readonly Planned[], turnedBack: ReadonlySet<number>): void {
    for (const { task } of plan) if (turnedBack.has(task.id)) this.#classes.windows.putBack(task);
  }

  #giveBack(plan: readonly Planned[]): void {
    for (const { task, entry, session } of plan) {
      session.unreserve(entry.taskClass);
      this.#classes.windows.putBack(task);
      this.#classes.windows.expectMore(entry);
    }
  }
}

/** A claimed attempt of a task that has another class than the one that it was planned for. */
interface Other {
  readonly attempt: ClaimedAttempt;
  readonly session: Session;
  readonly entry: ClassEntry;
}

const NONE: ReadonlySet<number> = new Set();

function toWish({ task, entry, session }: Planned): KeyedWish {
  return {
    taskId: task.id,
    sessionId: session.id,
    classId: task.classId,
    concurrency: entry.taskClass.concurrency,
  };
}

function hasOrder({ entry }: Planned): boolean {
  return isStrict(entry.taskClass.concurrency);
}
