/** Submits the ticks of schedules in time. */
import type { TickRunner } from "../dispatch/schedules/tick-runner.ts";
import type { ScheduleWithTask } from "../domain/schedules/schedule.ts";
import type { ScheduleStore } from "../store/store.ts";

/**
 * Time between two looks when no tick is due before, milliseconds: a hint of another scheduler may have been lost, and
 * the database's clock may have been set. Without schedules it is the only statement.
 */
export const SCHEDULES_MS = 60_000;

/** Schedules that are read at once, with their payloads of up to a MiB. */
const MAX_DUE = 20;

/** Schedules that are run at the same time: each takes a connection, and most of its time is round trips. */
const LANES = 4;

/** After so many reads in a row the loop gets its turn. */
const MAX_READS = 250;

/** A run that failed is tried again after this, milliseconds. */
const RETRY_MS = 1_000;

export class Schedules {
  readonly #parts: SchedulesParts;

  constructor(parts: SchedulesParts) {
    this.#parts = parts;
  }

  /**
   * Runs the schedules that are due by the database's clock, until none is. Every scheduler does it: of two that run a
   * schedule at the same moment one finds it changed.
   *
   * @throws DatabaseUnavailableError
   */
  async runOnce(): Promise<void> {
    const { store, wakeIn } = this.#parts;
    try {
      for (let read = 0; read < MAX_READS; read++) {
        const { schedules, nowMs, nextDueInMs } = await store.dueSchedules(MAX_DUE);
        if (schedules.length === 0) {
          if (nextDueInMs !== undefined) wakeIn(nextDueInMs);
          return;
        }
        await this.#run(schedules, nowMs);
      }
      wakeIn(0);
    } catch (error) {
      wakeIn(RETRY_MS);
      throw error;
    }
  }

  async #run(schedules: readonly ScheduleWithTask[], nowMs: number): Promise<void> {
    const left = schedules.values();
    const lane = async () => {
      for (const schedule of left) await this.#parts.runner.run(schedule, nowMs);
    };
    const ended = await Promise.allSettled(Array.from({ length: LANES }, lane));
    for (const each of ended) if (each.status === "rejected") throw each.reason;
  }
}

export interface SchedulesParts {
  readonly store: Pick<ScheduleStore, "dueSchedules">;
  readonly runner: Pick<TickRunner, "run">;
  /** A schedule is due in so many milliseconds: runs again by then. */
  readonly wakeIn: (delayMs: number) => void;
}
