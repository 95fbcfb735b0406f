/** A schedule: when it submits tasks, what it has submitted, and what holds it back. */
import type { ConcurrencyKey } from "../tasks/limits/concurrency.ts";

/** When ticks are. */
export type Timing =
  | {
      readonly kind: "cron";
      /** Five fields, or six with seconds first. */
      readonly expression: string;
      /** IANA name, such as `Europe/Berlin`. */
      readonly timezone: string;
    }
  /** Every so often, counted from the start time, or from 1970-01-01T00:00:00Z without one. */
  | { readonly kind: "interval"; readonly everyMs: number };

/** What becomes of ticks that were missed: of several due ticks all but the latest, and one that is late. */
export type CatchUp = "none" | "last" | "all";

/** What becomes of a tick while a task of an earlier one is open. */
export type Overlap = "allow" | "skip" | "cancel_running" | "queue";

/** What a caller sets. */
export interface ScheduleSettings {
  readonly timing: Timing;
  /** Each tick is submitted up to this much later, milliseconds. */
  readonly jitterMs: number;
  readonly catchUp: CatchUp;
  /** Most missed ticks that `all` submits. */
  readonly catchUpLimit: number;
  readonly overlap: Overlap;
  /** No tick is before this, milliseconds since the epoch. */
  readonly startMs?: number;
  /** No tick is after this, milliseconds since the epoch. */
  readonly endMs?: number;
}

/** What became of a tick. */
export type TickOutcome = "submitted" | "duplicate" | "skipped" | "missed";

/** A decided tick, or several missed ones in a row. Times are milliseconds since the epoch. */
export interface TickRecord {
  readonly tickMs: number;
  readonly outcome: TickOutcome;
  readonly decidedMs: number;
  /** The task that was submitted, or the open one for which it was skipped. */
  readonly taskId?: number;
  /** It was asked for by an operator. */
  readonly manual?: true;
  /** Of missed ones: how many, when more than one; `tickMs` is the first. */
  readonly count?: number;
  readonly lastMs?: number;
}

/** Why the due ticks could not be submitted. */
export interface TickFailure {
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
  /** Tries in a row that failed. */
  readonly count: number;
}

/** A schedule as the store keeps it. Times are milliseconds since the epoch, by the database's clock. */
export interface Schedule extends ScheduleSettings {
  readonly name: string;
  /** Grows with every change. */
  readonly version: number;
  /** Of the tasks that it submits. */
  readonly queue: string;
  readonly type: string;
  readonly createdMs: number;
  /** When a caller last set it. */
  readonly setMs: number;
  /** Ticks up to this moment are decided. */
  readonly positionMs: number;
  /** The next tick; undefined when there is none any more. */
  readonly nextMs?: number;
  /** When the next tick is submitted, jitter included, or tried again; undefined while it is paused or has ended. */
  readonly dueMs?: number;
  readonly pause?: { readonly reason: string; readonly sinceMs: number };
  readonly failure?: TickFailure;
  /** The newest first; at most `KEPT_TICKS`. */
  readonly ticks: readonly TickRecord[];
  /** Tasks that it submitted and that were open at the last tick; at most `KEPT_TASKS`, the newest last. */
  readonly taskIds: readonly number[];
}

/** A schedule with the task that it submits, as the API encodes it. */
export interface ScheduleWithTask {
  readonly schedule: Schedule;
  readonly template: Uint8Array;
}

/** Where a schedule stands. */
export type ScheduleState = "active" | "failing" | "paused" | "ended";

/** The states of a schedule. */
export const SCHEDULE_STATES: readonly ScheduleState[] = ["active", "failing", "paused", "ended"];

/** What a task carries of the schedule that submitted it. */
export interface ScheduleTick {
  readonly schedule: string;
  readonly tickMs: number;
  readonly manual?: true;
}

export const KEPT_TICKS = 20;

/** With `skip` there is one, unless operators run it; the others need no list. */
export const KEPT_TASKS = 100;

export const DEFAULT_CATCH_UP_LIMIT = 100;
export const MAX_CATCH_UP_LIMIT = 1_000;

/** A tick that is submitted at most this late is not missed, milliseconds: schedulers restart in less. */
export const ON_TIME_MS = 60_000;

export function scheduleState({ pause, nextMs, failure }: Schedule): ScheduleState {
  if (pause) return "paused";
  if (nextMs === undefined) return "ended";
  return failure ? "failing" : "active";
}

/** The unique key of the task of a tick. */
export function tickKey(name: string, tickMs: number): string {
  return `schedule:${name}:${new Date(tickMs).toISOString()}`;
}

/** The unique key of the task of a run on request. The id has no colon, so keys of two schedules differ. */
export function runKey(name: string, requestId: string): string {
  return `schedule-run:${name}:${requestId}`;
}

/** The concurrency key that keeps tasks of the schedule from running at once; undefined when they may. */
export function overlapKey({
  name,
  overlap,
}: Pick<Schedule, "name" | "overlap">): ConcurrencyKey | undefined {
  const key = `schedule:${name}`;
  switch (overlap) {
    case "allow":
    case "skip":
      return undefined;
    case "queue":
      return { key, limit: 1 };
    case "cancel_running":
      return { key, limit: 1, onLimit: "cancel_running" };
    default: {
      const unknown: never = overlap;
      throw new TypeError(`unknown overlap policy ${String(unknown)}`);
    }
  }
}
