/** The role of the store that keeps schedules and submits their ticks. */
import type { Schedule, ScheduleWithTask, TickFailure, TickRecord } from "../domain/schedules/schedule.ts";
import type { WantedSchedule } from "../domain/schedules/schedule-changes.ts";
import type { TickPlan } from "../domain/schedules/tick-plan.ts";
import type { InsertedTask, TaskInsert } from "./claims.ts";

/** The schedules that are due, by the database's clock. */
export interface DueSchedules {
  /** Those that are due the longest first. */
  readonly schedules: readonly ScheduleWithTask[];
  /** When they were read, milliseconds since the epoch. */
  readonly nowMs: number;
  /** Until the next other one is due, milliseconds; undefined when there is none. */
  readonly nextDueInMs: number | undefined;
}

/** Due ticks of a schedule with what is to be done about them. */
export interface TickRun {
  readonly name: string;
  /** The schedule that was planned for: of another version nothing is submitted. */
  readonly version: number;
  readonly plan: TickPlan;
  /** The tasks of `plan.submit`, in its order. */
  readonly inserts: readonly TaskInsert[];
}

/** What became of them. */
export interface TickRunResult {
  readonly schedule: Schedule;
  /** In the order of `plan.submit`. */
  readonly records: readonly TickRecord[];
  /** One for each of the inserts; undefined for a skipped tick. */
  readonly inserted: readonly (InsertedTask | undefined)[];
}

/**
 * The result of a run on request: submitted, submitted before by a call with the same unique key, or held off by the open
 * task of a schedule that skips.
 */
export type RunResult =
  | { readonly kind: "submitted"; readonly schedule: Schedule; readonly inserted: InsertedTask }
  | { readonly kind: "overlaps"; readonly taskId: number };

/** Filters of a listing of schedules. */
export interface ScheduleFilter {
  readonly afterName?: string | undefined;
  readonly limit: number;
}

/** Schedules. Two schedulers, and operators, may change one at the same moment: each change is whole. */
export interface ScheduleStore {
  /** Those that are due; at most `limit`. */
  dueSchedules(limit: number): Promise<DueSchedules>;
  /**
   * Submits due ticks and advances the schedule, in one transaction.
   *
   * @returns Undefined when the schedule is gone or has another version: nothing was submitted.
   * @throws ClassesGoneError when classes have to be resolved again; nothing was written.
   * @throws DatabaseUnavailableError with `outcomeUnknown` when it may have been written.
   */
  runTicks(run: TickRun): Promise<TickRunResult | undefined>;
  /**
   * Submits a task of the schedule beside its ticks; undefined when there is no such schedule. As `runTicks`. Of a task whose
   * unique key another one holds, `inserted` is that one, as a duplicate.
   */
  runSchedule(name: string, insert: (nowMs: number) => TaskInsert): Promise<RunResult | undefined>;
  /** Notes that its due ticks could not be submitted; undefined when it is gone or has another version. */
  failTicks(
    name: string,
    version: number,
    failure: Pick<TickFailure, "code" | "message">,
  ): Promise<Schedule | undefined>;
  /** @param reason Who asks and why. */
  setSchedule(wanted: WantedSchedule, template: Uint8Array, reason: string): Promise<Schedule>;
  /** Undefined when there is no such schedule; as for the next ones. */
  pauseSchedule(name: string, reason: string): Promise<Schedule | undefined>;
  resumeSchedule(name: string, reason: string): Promise<Schedule | undefined>;
  /** False when there is no such schedule. Its tasks stay. */
  deleteSchedule(name: string, reason: string): Promise<boolean>;
  getSchedule(name: string): Promise<ScheduleWithTask | undefined>;
  /** By name. */
  listSchedules(filter: ScheduleFilter): Promise<Schedule[]>;
  /** Those that are paused, fail, or are due for longer than this; at most `limit`, with the moment of the reading. */
  troubledSchedules(
    lateMs: number,
    limit: number,
  ): Promise<{ readonly schedules: readonly Schedule[]; readonly nowMs: number }>;
  /** Of these tasks those that are open, ascending. */
  openTasks(ids: readonly number[]): Promise<number[]>;
}
