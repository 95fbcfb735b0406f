/** Submits the tasks of schedules: those of due ticks, and those that an operator asks for. */
import { cut } from "@muster/common/text/text";
import { DatabaseUnavailableError, isAbsence, Refusal } from "../../domain/errors.ts";
import { formatTaskId } from "../../domain/ids.ts";
import { scheduleNotFound, scheduleOverlaps } from "../../domain/refusals.ts";
import type { Schedule, ScheduleWithTask, TickFailure } from "../../domain/schedules/schedule.ts";
import { planTicks, type TickPlan } from "../../domain/schedules/tick-plan.ts";
import { manualTask, tickTask } from "../../domain/schedules/tick-task.ts";
import { dueTime, nextTickOf } from "../../domain/schedules/tick-times.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { RunResult, ScheduleStore, TickRunResult } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import type { Submitter } from "../submission/submitter.ts";

/** Ticks that one transaction submits: with small payloads it takes about 20 ms. */
const MAX_TICKS = 50;

/** Most payload of one transaction, bytes. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Longest message that is kept of a failure. */
const MAX_MESSAGE = 1_000;

export interface TickRunnerParts {
  readonly store: Pick<ScheduleStore, "failTicks" | "getSchedule" | "runSchedule" | "runTicks">;
  readonly submitter: Pick<Submitter, "submitWithin">;
  /** The task of a template. @throws Refusal when it is not valid. */
  readonly toTask: (template: Uint8Array) => NewTask;
  readonly counters: Pick<Counters, "scheduleTicks" | "scheduleDelay">;
  readonly log: Pick<Logger, "error" | "info" | "warn">;
}

export class TickRunner {
  readonly #parts: TickRunnerParts;

  constructor(parts: TickRunnerParts) {
    this.#parts = parts;
  }

  /**
   * Decides the due ticks of a schedule, and submits the tasks of those that were not missed. What refuses the tasks is
   * noted in the schedule, whose ticks stay due.
   *
   * @param nowMs The database's clock.
   * @throws DatabaseUnavailableError
   */
  async run({ schedule, template }: ScheduleWithTask, nowMs: number): Promise<void> {
    try {
      const plan = planTicks(schedule, nextTickOf(schedule), nowMs, mostAtOnce(template));
      const result = await this.#submit(schedule, template, plan);
      if (result) this.#decided(schedule, plan, result);
    } catch (error) {
      if (isAbsence(error)) throw error;
      if (!(error instanceof Refusal))
        this.#parts.log.error("schedule.error", { schedule: schedule.name, error });
      await this.#failed(schedule, failureOf(error));
    }
  }

  /**
   * Submits a task of the schedule now, beside its ticks.
   *
   * @param requestId Of the calls with one id only the first submits a task; undefined when each does.
   * @throws Refusal `SCHEDULE_NOT_FOUND`, `SCHEDULE_OVERLAPS`, `QUEUE_FULL`, or what makes its template invalid.
   * @throws DatabaseUnavailableError
   */
  async runNow(
    name: string,
    requestId: string | undefined,
  ): Promise<Extract<RunResult, { kind: "submitted" }>> {
    const { store, submitter, counters } = this.#parts;
    const found = await store.getSchedule(name);
    if (!found) throw scheduleNotFound(name);
    const { schedule } = found;
    const template = this.#parts.toTask(found.template);
    const result = await submitter.submitWithin(
      [manualTask(template, schedule, 0, requestId)],
      async ([insert]) => {
        if (!insert) throw new Error("a task has no class");
        const ran = await store.runSchedule(name, (nowMs) => ({
          ...insert,
          task: manualTask(template, schedule, nowMs, requestId),
        }));
        return { result: ran, inserted: ran?.kind === "submitted" ? [ran.inserted] : [] };
      },
    );
    if (!result) throw scheduleNotFound(name);
    if (result.kind === "overlaps") throw scheduleOverlaps(name, formatTaskId(result.taskId));
    if (!result.inserted.duplicate) counters.scheduleTicks.manual++;
    return result;
  }

  async #submit(
    schedule: Schedule,
    template: Uint8Array,
    plan: TickPlan,
  ): Promise<TickRunResult | undefined> {
    const { store, submitter, toTask } = this.#parts;
    const run = { name: schedule.name, version: schedule.version, plan };
    if (plan.submit.length === 0) return store.runTicks({ ...run, inserts: [] });
    const task = toTask(template);
    return submitter.submitWithin(
      plan.submit.map((tickMs) => tickTask(task, schedule, tickMs)),
      async (inserts) => {
        const result = await store.runTicks({ ...run, inserts });
        return { result, inserted: result?.inserted ?? [] };
      },
    );
  }

  #decided(before: Schedule, { missed }: TickPlan, { schedule, records }: TickRunResult): void {
    const { counters, log } = this.#parts;
    const { scheduleTicks } = counters;
    for (const { outcome, tickMs, decidedMs, taskId } of records) {
      scheduleTicks[outcome]++;
      if (outcome === "submitted")
        counters.scheduleDelay.record(Math.max(0, decidedMs - dueTime(before, tickMs)) / 1_000);
      if (outcome === "skipped")
        log.info("schedule.skipped", {
          schedule: before.name,
          tick_time: new Date(tickMs).toISOString(),
          ...(taskId === undefined ? {} : { open_task_id: formatTaskId(taskId) }),
        });
    }
    if (missed) {
      scheduleTicks.missed += missed.count;
      log.warn("schedule.missed", {
        schedule: before.name,
        ticks: missed.count,
        first_tick_time: new Date(missed.firstMs).toISOString(),
        last_tick_time: new Date(missed.lastMs).toISOString(),
        catch_up: before.catchUp,
      });
    }
    if (before.failure && !schedule.failure)
      log.info("schedule.recovered", { schedule: before.name, failures: before.failure.count });
  }

  async #failed({ name, version }: Schedule, failure: Pick<TickFailure, "code" | "message">): Promise<void> {
    const { store, counters, log } = this.#parts;
    const failing = await store.failTicks(name, version, failure);
    if (!failing?.failure) return;
    counters.scheduleTicks.failed++;
    const { code, message, count } = failing.failure;
    if (isLogDue(count)) log.warn("schedule.failed", { schedule: name, code, message, failures: count });
  }
}

/** A template may be large: as many ticks as fit are submitted at once, and the others after them. */
function mostAtOnce(template: Uint8Array): number {
  return Math.max(1, Math.min(MAX_TICKS, Math.floor(MAX_BYTES / Math.max(1, template.byteLength))));
}

function failureOf(error: unknown): Pick<TickFailure, "code" | "message"> {
  const code =
    error instanceof Refusal
      ? error.reason
      : error instanceof DatabaseUnavailableError
        ? "DATABASE_UNAVAILABLE"
        : "INTERNAL";
  return { code, message: cut(error instanceof Error ? error.message : String(error), MAX_MESSAGE) };
}
