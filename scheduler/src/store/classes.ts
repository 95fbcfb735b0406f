/** The role of the store that reads and makes task classes, and reads the tasks that wait in them. */
import type { TaskClass } from "../domain/matching/match.ts";
import type { Fairness } from "../domain/tasks/fairness.ts";
import type { CircuitRule } from "../domain/tasks/limits/circuit.ts";
import type { ConcurrencyKey } from "../domain/tasks/limits/concurrency.ts";
import type { RateLimit } from "../domain/tasks/limits/rate-limit.ts";
import type { Requirements } from "../domain/tasks/task.ts";

/** A task that waits in a class, as the task window holds it. */
export interface WaitingTask {
  readonly id: number;
  readonly classId: number;
  readonly priority: number;
  /** For how long it has been ready, milliseconds; undefined for a task that has just become ready. */
  readonly ageMs?: number | undefined;
}

/** What makes a class. */
export interface WantedClass {
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
  /** In the order of the keys, with that of the circuit; undefined for none. */
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
  /** In the order of the keys; undefined for none. */
  readonly rateLimits?: readonly RateLimit[] | undefined;
  readonly circuit?: CircuitRule | undefined;
  readonly fairness?: Fairness | undefined;
}

/** A place in the order of a class: what comes before it (higher priority, or lower id) is skipped. */
export interface Floor {
  readonly priority: number;
  readonly id: number;
}

/** Classes of tasks, and the tasks that wait in them. */
export interface ClassStore {
  /** The classes of these combinations, in their order; missing ones are made. */
  resolveClasses(wanted: readonly WantedClass[]): Promise<TaskClass[]>;
  classesAfter(id: number): Promise<TaskClass[]>;
  classesById(ids: readonly number[]): Promise<TaskClass[]>;
  /** The classes with open tasks, and the id of the newest class of all. */
  openClasses(): Promise<{ readonly lastId: number; readonly classes: TaskClass[] }>;
  /** Ids of the classes with open tasks, whatever these wait for. */
  openClassIds(): Promise<number[]>;
  /** @param floors Where to begin, for the class at the same place; at the front by default. */
  waitingTasks(
    classIds: readonly number[],
    limitPerClass: number,
    floors?: readonly (Floor | undefined)[],
  ): Promise<WaitingTask[]>;
  /**
   * Tasks of lower priorities that have waited so long that they go before these, the first ones of the highest priority
   * of their classes: of each priority the oldest, at most `limitPerLevel`.
   *
   * @param ageingMs The wait that counts as much as one level of priority.
   */
  agedTasks(tops: readonly WaitingTask[], ageingMs: number, limitPerLevel: number): Promise<WaitingTask[]>;
  /**
   * The first tasks of the class that are of a ramp of this share, or those that are not (`isOfRamp`), in the order of
   * `waitingTasks`.
   */
  waitingOfRamp(classId: number, share: number, ofRamp: boolean, limit: number): Promise<WaitingTask[]>;
  /** How many tasks of each class could start now, at most `limitPerClass` each; classes without any are missing. */
  countWaiting(classIds: readonly number[], limitPerClass: number): Promise<ReadonlyMap<number, number>>;
}
