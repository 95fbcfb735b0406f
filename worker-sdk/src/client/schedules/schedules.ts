/** Schedules: tasks that are submitted again and again. */
import type { Client as ConnectClient } from "@connectrpc/connect";
import { type Plain, plain, type Schedule, ScheduleSchema, type ScheduleService } from "@muster/protocol";
import type { CallOptions, RunNowOptions } from "../connection/call-options.ts";
import type { ClientPayloads } from "../submit/client-payloads.ts";
import { encodeSchedule, type ScheduleOptions } from "./schedule-spec.ts";

/** Entries of a page of a listing. */
const PAGE = 500;

/**
 * Sets, lists and runs schedules, as `client.schedules`. Every scheduler submits the ticks; each tick is submitted exactly
 * once. Answers are plain objects; missing schedules throw a MusterError `SCHEDULE_NOT_FOUND`.
 *
 * @example
 * ```ts
 * await client.schedules.set("nightly-report", {
 *   type: "report.build",
 *   payload: { scope: "all" },
 *   cron: "30 2 * * *",
 *   timezone: "Europe/Berlin",
 * });
 * ```
 */
export class Schedules {
  /** Every call of ScheduleService; errors are thrown as MusterError. */
  readonly calls: ConnectClient<typeof ScheduleService>;
  readonly #limits: (options: CallOptions) => { timeoutMs: number; signal?: AbortSignal };
  readonly #payloads: ClientPayloads | undefined;

  /** @internal */
  constructor(
    calls: ConnectClient<typeof ScheduleService>,
    limits: (options: CallOptions) => { timeoutMs: number; signal?: AbortSignal },
    payloads?: ClientPayloads,
  ) {
    this.#payloads = payloads;
    this.calls = calls;
    this.#limits = limits;
  }

  /**
   * Makes a schedule, or replaces what was set for the name. A program may do so at every start: while the timing stays
   * the same, no tick is lost and none comes twice.
   *
   * @throws OptionsError when a number of the options is not valid.
   * @throws TypeError when the payload has no JSON form, or neither or both of `cron` and `everyS` are given.
   * @throws MusterError `INVALID_REQUEST` with the violations.
   */
  async set(name: string, options: ScheduleOptions, call: CallOptions = {}): Promise<Plain<Schedule>> {
    const schedule = encodeSchedule(name, options);
    // A schedule lives longer than any object that is removed by its age.
    if (schedule.task !== undefined) await this.#payloads?.encode([schedule.task], call.signal, true);
    const request = { schedule, reason: options.reason ?? "" };
    return present((await this.calls.setSchedule(request, this.#limits(call))).schedule);
  }

  /** Reads a schedule with its task, its next five ticks, its last ticks, and its tasks that are open. */
  async get(name: string, call: CallOptions = {}): Promise<Plain<Schedule>> {
    return present((await this.calls.getSchedule({ name }, this.#limits(call))).schedule);
  }

  /** Reads all schedules, by name; of their tasks they have type and queue. */
  async *list(call: CallOptions = {}): AsyncGenerator<Plain<Schedule>> {
    let pageToken = "";
    do {
      const page = await this.calls.listSchedules({ pageSize: PAGE, pageToken }, this.#limits(call));
      for (const schedule of page.schedules) yield plain(ScheduleSchema, schedule);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Submits nothing until the schedule is resumed. @param reason Who asks and why. */
  async pause(name: string, reason: string, call: CallOptions = {}): Promise<Plain<Schedule>> {
    return present((await this.calls.pauseSchedule({ name, reason }, this.#limits(call))).schedule);
  }

  /** Ends a pause; the ticks of the pause are not made up for. @param reason Who asks and why. */
  async resume(name: string, reason = "", call: CallOptions = {}): Promise<Plain<Schedule>> {
    return present((await this.calls.resumeSchedule({ name, reason }, this.#limits(call))).schedule);
  }

  /**
   * Submits a task of the schedule now, beside its ticks. Returns the task's id, for `client.handle(id)`. Of several calls
   * with one `requestId` only the first submits a task:
   *
   * ```ts
   * await client.schedules.runNow("nightly-report", { requestId: "release-41" });
   * ```
   *
   * @throws MusterError `SCHEDULE_OVERLAPS` while a task of a schedule that skips is open.
   */
  async runNow(name: string, { requestId = "", ...call }: RunNowOptions = {}): Promise<string> {
    return (await this.calls.runSchedule({ name, requestId }, this.#limits(call))).taskId;
  }

  /** Deletes a schedule; its tasks continue. @param reason Who asks and why. */
  async delete(name: string, reason = "", call: CallOptions = {}): Promise<void> {
    await this.calls.deleteSchedule({ name, reason }, this.#limits(call));
  }
}

function present(schedule: Schedule | undefined): Plain<Schedule> {
  if (schedule === undefined) throw new TypeError("the scheduler answered without a schedule");
  return plain(ScheduleSchema, schedule);
}
