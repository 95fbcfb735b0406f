/** The tables that the fakes of the roles share. */
import type { Clock } from "../../../clock.ts";
import type { TaskClass } from "../../../domain/matching/match.ts";
import type { Schedule } from "../../../domain/schedules/schedule.ts";
import type { Circuit } from "../../../domain/tasks/limits/circuit.ts";
import { type KeyState, type OrderState, strictKeys } from "../../../domain/tasks/limits/concurrency.ts";
import type { Failure } from "../../../domain/tasks/outcome/failure.ts";
import type { EndState, NewTask, OpenState, Progress, RequeueCounts } from "../../../domain/tasks/task.ts";
import type { OutputChunk } from "../../store.ts";
import { ClassPlaces } from "./class-places.ts";
import { MemoryBuckets } from "./memory-buckets.ts";

/** A task that has not ended. Times are milliseconds since the epoch. */
export interface OpenRow {
  readonly id: number;
  classId: number;
  task: NewTask;
  state: OpenState;
  epoch: number;
  attemptCount: number;
  outOfMemoryCount: number;
  requeueCounts: RequeueCounts | undefined;
  sessionId: number | undefined;
  wakeAt: number | undefined;
  startDeadline: number | undefined;
  readonly createdAt: number;
  assignedAt: number | undefined;
  acceptedAt: number | undefined;
  startedAt: number | undefined;
  phase: string | undefined;
  progress: Omit<Progress, "at"> | undefined;
  failure: Failure | undefined;
}

/** A task that has ended, with what it was. */
export interface EndedRow extends Omit<OpenRow, "state"> {
  readonly state: EndState;
  readonly detail: string;
  readonly output: Uint8Array | undefined;
}

/** An attempt that ended without ending its task. */
export interface PriorAttempt {
  readonly taskId: number;
  readonly epoch: number;
  readonly outcome: string;
}

/**
 * The tables that the fakes of the store's roles share, in memory. Every statement of a fake is applied at once and
 * whole, as a transaction; faults are put in between by `withFaults`.
 */
export class MemoryTables {
  readonly clock: Clock;
  readonly classes: TaskClass[] = [];
  readonly classPlaces = new ClassPlaces(this.classes);
  readonly open = new Map<number, OpenRow>();
  readonly ended = new Map<number, EndedRow>();
  attempts: PriorAttempt[] = [];
  /** Id of the task that each unique key belongs to, by queue and key. */
  readonly keys = new Map<string, number>();
  /** Scheduler that holds the lease of each living session. */
  readonly sessions = new Map<number, string>();
  readonly output: OutputChunk[] = [];
  /** Open tasks that were asked to end. */
  readonly cancelRequests = new Set<number>();
  /** The operator's limit of each concurrency key that has one. */
  readonly overrides = new Map<string, number>();
  readonly buckets: MemoryBuckets;
  readonly circuits = new Map<string, Circuit>();
  readonly schedules = new Map<string, Schedule>();
  readonly templates = new Map<string, Uint8Array>();
  readonly #endListeners: ((row: EndedRow) => void)[] = [];
  #lastTaskId = 0;
  #lastSessionId = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.buckets = new MemoryBuckets(clock);
  }

  nextTaskId(): number {
    return ++this.#lastTaskId;
  }

  /** Moves a task to the ended ones. */
  end(row: EndedRow): void {
    this.open.delete(row.id);
    this.ended.set(row.id, row);
    for (const listener of this.#endListeners) listener(row);
  }

  /** Calls back with every task that ends. */
  onEnd(listener: (row: EndedRow) => void): void {
    this.#endListeners.push(listener);
  }

  /** Registers a session; returns its id. */
  openSession(schedulerId: string): number {
    this.sessions.set(++this.#lastSessionId, schedulerId);
    return this.#lastSessionId;
  }

  /** Ends a session that holds nothing: what becomes of attempts is not this fake's. */
  endSession(sessionId: number): void {
    for (const row of this.open.values()) {
      if (row.sessionId === sessionId) throw new Error(`session ${sessionId} still holds task ${row.id}`);
    }
    this.sessions.delete(sessionId);
  }

  /** Whether a task may be assigned to the session by this scheduler; by any when it is undefined. */
  lives(sessionId: number, schedulerId: string | undefined): boolean {
    const holder = this.sessions.get(sessionId);
    return holder !== undefined && (schedulerId === undefined || holder === schedulerId);
  }

  /** What is counted of a concurrency key: here it is counted anew. */
  keyState(key: string): KeyState {
    let held = 0;
    for (const { state, classId } of this.open.values()) {
      const keys = state === "queued" ? undefined : this.classOf(classId).concurrency;
      if (keys?.some((each) => each.key === key)) held++;
    }
    return { key, held, override: this.overrides.get(key) };
  }

  /** Whether every key of the class has room for one more task. */
  admits(classId: number): boolean {
    return (this.classOf(classId).concurrency ?? []).every(({ key, limit }) => {
      const { held, override } = this.keyState(key);
      return held < (override ?? limit);
    });
  }

  /** Which task goes first of those that wait for the key with a strict order. */
  orderState(key: string): OrderState {
    const [first] = Array.from(this.open.values())
      .filter(({ state, classId }) => state === "queued" && this.#isOrdered(classId, key))
      .sort((a, b) => a.id - b.id);
    if (!first) return { key, first: undefined };
    const { id, classId, task, wakeAt } = first;
    return { key, first: { id, classId, priority: task.priority, ready: wakeAt === undefined } };
  }

  /** Whether no older task goes first for the keys of this one. */
  isFirst({ id, classId }: OpenRow): boolean {
    return strictKeys(this.classOf(classId).concurrency).every(
      ({ key }) => this.orderState(key).first?.id === id,
    );
  }

  #isOrdered(classId: number, key: string): boolean {
    return strictKeys(this.classOf(classId).concurrency).some((each) => each.key === key);
  }

  classOf(id: number): TaskClass {
    const found = this.classes[id - 1];
    if (found?.id !== id) throw new Error(`there is no class ${id}`);
    return found;
  }
}
