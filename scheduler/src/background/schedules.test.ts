import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { TickRunner } from "../dispatch/schedules/tick-runner.ts";
import { HotPath } from "../dispatch/testing/hot-path.ts";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import { DatabaseUnavailableError, Refusal } from "../domain/errors.ts";
import type { Schedule } from "../domain/schedules/schedule.ts";
import type { WantedSchedule } from "../domain/schedules/schedule-changes.ts";
import { newTask } from "../store/testing/made-rows.ts";
import { Schedules } from "./schedules.ts";

const MINUTE = 60_000;

describe("the service of schedules", () => {
  let hot: HotPath;
  let service: Schedules;
  let runner: TickRunner;
  let woken: number[];
  let events: string[];
  /** What the task of a template is refused with; undefined when it is valid. */
  let refusal: Error | undefined;

  beforeEach(() => {
    hot = new HotPath();
    woken = [];
    refusal = undefined;
    const recorded = recordedLog();
    events = recorded.events;
    const store = hot.faults.wrap(hot.store.schedules);
    runner = new TickRunner({
      store,
      submitter: hot.dispatch.submitter,
      toTask: () => {
        if (refusal) throw refusal;
        return newTask();
      },
      counters: hot.dispatch.counters,
      log: recorded.log,
    });
    service = new Schedules({ store, runner, wakeIn: (delayMs) => woken.push(delayMs) });
  });

  /** Ticks at whole minutes from now on. */
  async function set(name: string, fields: Partial<WantedSchedule> = {}): Promise<Schedule> {
    const wanted: WantedSchedule = {
      ...{ name, queue: "default", type: "echo", timing: { kind: "interval", everyMs: MINUTE } },
      ...{ jitterMs: 0, catchUp: "last", catchUpLimit: 100, overlap: "allow" },
      ...fields,
    };
    return hot.store.schedules.setSchedule(wanted, Uint8Array.of(1));
  }

  const scheduleOf = async (name: string) => (await hot.store.schedules.getSchedule(name))?.schedule;
  const tasks = () => [...hot.tables.open.values()].map(({ task }) => task);
  const ticks = () => hot.dispatch.counters.scheduleTicks;

  it("asks once and does not ask again while there is no schedule", async () => {
    await service.runOnce();
    assert.deepEqual([woken, hot.faults.methods], [[], ["dueSchedules"]]);
  });

  it("sleeps until the next tick, submits it with its tick, and sleeps until the one after", async () => {
    await set("m");
    await service.runOnce();
    const [delay = 0] = woken;
    assert.ok(delay > 0 && delay <= MINUTE);
    await hot.clock.pass(delay);
    const now = hot.clock.now();
    await service.runOnce();
    const [task] = tasks();
    assert.deepEqual(task?.options, {
      tick: { schedule: "m", tickMs: now },
      unique: { while: "recorded" },
    });
    assert.equal(task?.uniqueKey, `schedule:m:${new Date(now).toISOString()}`);
    assert.deepEqual([tasks().length, woken, ticks().submitted], [1, [delay, MINUTE], 1]);
    assert.equal(hot.dispatch.counters.scheduleDelay.count, 1);
  });

  it("runs every due schedule, each of them once when two schedulers do", async () => {
    for (const name of ["a", "b", "c", "d", "e", "f"]) await set(name);
    await hot.clock.pass(MINUTE);
    const other = new Schedules({ store: hot.store.schedules, runner, wakeIn: () => undefined });
    await Promise.all([service.runOnce(), other.runOnce()]);
    assert.deepEqual(
      tasks()
        .map(({ options }) => options?.tick?.schedule)
        .sort(),
      ["a", "b", "c", "d", "e", "f"],
    );
  });

  it("keeps a tick that is refused, tries again after a growing wait, and goes on when it is accepted", async () => {
    await set("refused");
    await hot.clock.pass(MINUTE);
    refusal = new Refusal("exhausted", "QUEUE_FULL", "queue default is full");
    for (const [count, wait] of [
      [1, 1_000],
      [2, 2_000],
      [3, 4_000],
    ] as const) {
      await service.runOnce();
      assert.deepEqual([(await scheduleOf("refused"))?.failure?.count, woken.at(-1)], [count, wait]);
      await hot.clock.pass(wait);
    }
    assert.deepEqual(
      [events, ticks().failed, tasks().length],
      [["schedule.failed", "schedule.failed"], 3, 0],
    );
    refusal = undefined;
    await service.runOnce();
    const schedule = await scheduleOf("refused");
    assert.deepEqual(
      [tasks().length, schedule?.failure, events.at(-1)],
      [1, undefined, "schedule.recovered"],
    );
  });

  it("does not let a schedule that fails keep the others", async () => {
    await set("a-broken");
    await set("b-sound");
    await hot.clock.pass(MINUTE);
    const toTask = () => {
      refusal = refusal ? undefined : new TypeError("a bug");
      if (refusal) throw refusal;
      return newTask();
    };
    const { log } = recordedLog();
    const store = hot.store.schedules;
    const { counters, submitter } = hot.dispatch;
    const odd = new TickRunner({ store, submitter, toTask, counters, log });
    await new Schedules({ store, runner: odd, wakeIn: () => undefined }).runOnce();
    const failing = (await store.listSchedules({ limit: 10 })).filter(({ failure }) => failure);
    assert.deepEqual([tasks().length, failing.map(({ failure }) => failure?.code)], [1, ["INTERNAL"]]);
  });

  it("tries again soon when the database is away, and loses no tick", async () => {
    await set("kept");
    await hot.clock.pass(MINUTE);
    hot.faults.away = true;
    await assert.rejects(service.runOnce(), DatabaseUnavailableError);
    assert.deepEqual(woken, [1_000]);
    hot.faults.away = false;
    await service.runOnce();
    assert.equal(tasks().length, 1);
  });

  it("counts what was missed, and what was skipped for an open task", async () => {
    await set("skips", { overlap: "skip", catchUp: "all" });
    await set("last");
    await hot.clock.pass(3 * MINUTE);
    await service.runOnce();
    assert.deepEqual([ticks().submitted, ticks().skipped, ticks().missed], [2, 2, 2]);
    assert.deepEqual(events.sort(), ["schedule.missed", "schedule.skipped", "schedule.skipped"]);
  });

  it("runs on request beside the ticks, and not while a task of a schedule that skips is open", async () => {
    const before = await set("asked", { overlap: "skip" });
    const { inserted, schedule } = await runner.runNow("asked", undefined);
    assert.deepEqual([schedule.nextMs, ticks().manual], [before.nextMs, 1]);
    const task = hot.tables.open.get(inserted.id)?.task;
    assert.deepEqual(task?.options?.tick, { schedule: "asked", tickMs: hot.clock.now(), manual: true });
    assert.equal(task?.uniqueKey, undefined);
    await assert.rejects(runner.runNow("asked", undefined), { reason: "SCHEDULE_OVERLAPS" });
    await assert.rejects(runner.runNow("unknown", undefined), { reason: "SCHEDULE_NOT_FOUND" });
  });

  it("lets the tasks of a schedule that queues, or cancels, share a concurrency key", async () => {
    await set("queues", { overlap: "queue" });
    await set("cancels", { overlap: "cancel_running" });
    await hot.clock.pass(MINUTE);
    await service.runOnce();
    const keys = Object.fromEntries(
      tasks().map(({ options, concurrency }) => [options?.tick?.schedule, concurrency]),
    );
    assert.deepEqual(keys, {
      queues: [{ key: "schedule:queues", limit: 1 }],
      cancels: [{ key: "schedule:cancels", limit: 1, onLimit: "cancel_running" }],
    });
  });
});
