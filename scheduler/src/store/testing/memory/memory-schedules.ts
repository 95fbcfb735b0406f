/** The fake of the role of schedules. */
import type {
  Schedule,
  ScheduleWithTask,
  TickFailure,
  TickRecord,
} from "../../../domain/schedules/schedule.ts";
import {
  advanceSchedule,
  failSchedule,
  pauseSchedule,
  recordRun,
  resumeSchedule,
  setSchedule,
  type WantedSchedule,
} from "../../../domain/schedules/schedule-changes.ts";
import { openAfter, overlapsOf, recordsOf } from "../../../domain/schedules/tick-run.ts";
import { scopedKey } from "../../../domain/tasks/unique-keys/key-plan.ts";
import type {
  DueSchedules,
  InsertedTask,
  RunResult,
  ScheduleFilter,
  ScheduleStore,
  TaskInsert,
  TickRun,
  TickRunResult,
} from "../../store.ts";
import type { MemoryClaims } from "./memory-claims.ts";
import type { MemoryTables } from "./memory-tables.ts";

/** A fake of the schedules' role, in memory. */
export class MemorySchedules implements ScheduleStore {
  readonly #tables: MemoryTables;
  readonly #claims: MemoryClaims;

  constructor(tables: MemoryTables, claims: MemoryClaims) {
    this.#tables = tables;
    this.#claims = claims;
  }

  async dueSchedules(limit: number): Promise<DueSchedules> {
    const nowMs = this.#tables.clock.now();
    const dated = this.#all()
      .flatMap((schedule) => (schedule.dueMs === undefined ? [] : [{ schedule, dueMs: schedule.dueMs }]))
      .sort((a, b) => a.dueMs - b.dueMs);
    const later = dated.find(({ dueMs }) => dueMs > nowMs);
    return {
      schedules: dated
        .filter(({ dueMs }) => dueMs <= nowMs)
        .slice(0, limit)
        .map(({ schedule }) => this.#withTask(schedule)),
      nowMs,
      nextDueInMs: later && later.dueMs - nowMs,
    };
  }

  async runTicks({ name, version, plan, inserts }: TickRun): Promise<TickRunResult | undefined> {
    const before = this.#tables.schedules.get(name);
    if (before?.version !== version) return undefined;
    const nowMs = this.#tables.clock.now();
    const open = this.#open(before.taskIds);
    const overlaps = overlapsOf(before, open, plan.submit.length);
    // The lock of the row, which PostgreSQL holds until the commit.
    this.#keep({ ...before, version: before.version + 1 });
    const answers = await this.#claims.insertTasks(
      inserts.filter((_, index) => overlaps[index] === undefined),
    );
    const records = recordsOf(plan.submit, overlaps, answers, nowMs);
    const submitted = answers.values();
    const inserted = overlaps.map((overlap): InsertedTask | undefined =>
      overlap === undefined ? submitted.next().value : undefined,
    );
    const schedule = advanceSchedule(before, plan, records, openAfter(open, records), nowMs);
    return { schedule: this.#keep(schedule), records, inserted };
  }

  async runSchedule(name: string, insert: (nowMs: number) => TaskInsert): Promise<RunResult | undefined> {
    const before = this.#tables.schedules.get(name);
    if (!before) return undefined;
    const nowMs = this.#tables.clock.now();
    const wanted = insert(nowMs);
    const { queue, uniqueKey } = wanted.task;
    const earlier = uniqueKey === undefined ? undefined : this.#tables.keys.get(scopedKey(queue, uniqueKey));
    if (earlier !== undefined)
      return {
        kind: "submitted",
        schedule: before,
        inserted: { id: earlier, duplicate: true, assigned: false },
      };
    const open = this.#open(before.taskIds);
    const [overlap] = overlapsOf(before, open, 1);
    if (typeof overlap === "number") return { kind: "overlaps", taskId: overlap };
    const [inserted] = await this.#claims.insertTasks([wanted]);
    if (!inserted) throw new Error(`the task of schedule ${name} was not inserted`);
    const record: TickRecord = {
      ...{ tickMs: nowMs, outcome: "submitted", decidedMs: nowMs, taskId: inserted.id, manual: true },
    };
    const schedule = this.#keep(recordRun(before, record, openAfter(open, [record])));
    return { kind: "submitted", schedule, inserted };
  }

  async failTicks(
    name: string,
    version: number,
    failure: Pick<TickFailure, "code" | "message">,
  ): Promise<Schedule | undefined> {
    const before = this.#tables.schedules.get(name);
    if (before?.version !== version) return undefined;
    return this.#keep(failSchedule(before, failure, this.#tables.clock.now()));
  }

  async setSchedule(wanted: WantedSchedule, template: Uint8Array): Promise<Schedule> {
    this.#tables.templates.set(wanted.name, template);
    const before = this.#tables.schedules.get(wanted.name);
    return this.#keep(setSchedule(before, wanted, this.#tables.clock.now()));
  }

  async pauseSchedule(name: string, reason: string): Promise<Schedule | undefined> {
    const before = this.#tables.schedules.get(name);
    return before && this.#keep(pauseSchedule(before, reason, this.#tables.clock.now()));
  }

  async resumeSchedule(name: string): Promise<Schedule | undefined> {
    const before = this.#tables.schedules.get(name);
    return before && this.#keep(resumeSchedule(before, this.#tables.clock.now()));
  }

  async deleteSchedule(name: string): Promise<boolean> {
    return this.#tables.schedules.delete(name);
  }

  async getSchedule(name: string): Promise<ScheduleWithTask | undefined> {
    const schedule = this.#tables.schedules.get(name);
    return schedule && this.#withTask(schedule);
  }

  async listSchedules({ afterName = "", limit }: ScheduleFilter): Promise<Schedule[]> {
    return this.#all()
      .filter(({ name }) => name > afterName)
      .slice(0, limit);
  }

  async troubledSchedules(
    lateMs: number,
    limit: number,
  ): Promise<{ schedules: readonly Schedule[]; nowMs: number }> {
    const nowMs = this.#tables.clock.now();
    const schedules = this.#all().filter(
      ({ pause, failure, dueMs }) => pause || failure || (dueMs !== undefined && dueMs < nowMs - lateMs),
    );
    return { schedules: schedules.slice(0, limit), nowMs };
  }

  async openTasks(ids: readonly number[]): Promise<number[]> {
    return this.#open(ids);
  }

  #open(ids: readonly number[]): number[] {
    return ids.filter((id) => this.#tables.open.has(id)).sort((a, b) => a - b);
  }

  #withTask(schedule: Schedule): ScheduleWithTask {
    return { schedule, template: this.#tables.templates.get(schedule.name) ?? new Uint8Array() };
  }

  #all(): Schedule[] {
    return [...this.#tables.schedules.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #keep(schedule: Schedule): Schedule {
    this.#tables.schedules.set(schedule.name, schedule);
    return schedule;
  }
}
