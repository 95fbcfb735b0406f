/** Cases that every implementation of the role of schedules passes. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Overlap, Schedule } from "../../../domain/schedules/schedule.ts";
import { tickKey } from "../../../domain/schedules/schedule.ts";
import type { WantedSchedule } from "../../../domain/schedules/schedule-changes.ts";
import type { TickPlan } from "../../../domain/schedules/tick-plan.ts";
import { manualTask } from "../../../domain/schedules/tick-task.ts";
import type { TaskInsert, TickRun } from "../../store.ts";
import { newTask } from "../made-rows.ts";
import { makeClass } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const HOUR_MS = 3_600_000;

function wanted(name: string, fields: Partial<WantedSchedule> = {}): WantedSchedule {
  return {
    ...{ name, queue: "default", type: "echo" },
    ...{ timing: { kind: "interval", everyMs: HOUR_MS }, jitterMs: 0 },
    ...{ catchUp: "last", catchUpLimit: 100, overlap: "allow" },
    ...fields,
  };
}

export function testSchedules(opened: () => StoreUnderTest): void {
  async function inserts(name: string, ticks: readonly number[]): Promise<TaskInsert[]> {
    const classId = await makeClass(opened(), "echo");
    return ticks.map((tickMs) => ({
      task: newTask({ uniqueKey: tickKey(name, tickMs) }),
      ...{ classId, assignTo: undefined },
    }));
  }

  /** The run that submits these ticks, the next one being an hour after the last. */
  async function run({ name, version, positionMs }: Schedule, ticks: readonly number[]): Promise<TickRun> {
    const position = ticks.at(-1) ?? positionMs;
    const nextMs = position + HOUR_MS;
    const plan: TickPlan = { submit: ticks, missed: undefined, positionMs: position, nextMs, dueMs: nextMs };
    return { name, version, plan, inserts: await inserts(name, ticks) };
  }

  const set = (name: string, overlap: Overlap = "allow") =>
    opened().schedules.setSchedule(wanted(name, { overlap }), Uint8Array.of(1, 2), "a test");

  it("schedules: keeps what was set, and lists by name", async () => {
    const { schedules } = opened();
    const made = await schedules.setSchedule(
      wanted("kept-b", { timing: { kind: "cron", expression: "30 2 * * *", timezone: "Europe/Berlin" } }),
      Uint8Array.of(1, 2),
      "a test",
    );
    await set("kept-a");
    assert.deepEqual([made.version, made.nextMs, made.positionMs], [1, made.dueMs, made.createdMs]);
    assert.deepEqual(Buffer.from((await schedules.getSchedule("kept-b"))?.template ?? []), Buffer.of(1, 2));
    assert.deepEqual((await schedules.getSchedule("kept-b"))?.schedule, made);
    const listed = await schedules.listSchedules({ afterName: "kept", limit: 2 });
    assert.deepEqual(
      listed.map(({ name }) => name),
      ["kept-a", "kept-b"],
    );
    const again = await set("kept-a");
    assert.deepEqual([again.version, again.createdMs], [2, listed[0]?.createdMs]);
    assert.equal(await schedules.getSchedule("kept-c"), undefined);
  });

  it("schedules: submits the task of a tick once, whoever asks for it again", async () => {
    const { schedules } = opened();
    const made = await set("once");
    const tick = made.nextMs ?? 0;
    const first = await run(made, [tick]);
    const [one, other] = await Promise.all([schedules.runTicks(first), schedules.runTicks(first)]);
    const done = one ?? other;
    assert.ok(done && (one === undefined) !== (other === undefined), "one of two at the same moment");
    const taskId = done.inserted[0]?.id;
    assert.ok(taskId !== undefined && (await opened().task(taskId)) !== undefined);
    assert.deepEqual((await schedules.getSchedule("once"))?.schedule, done.schedule);
    assert.deepEqual(
      done.schedule.ticks.map((record) => [record.tickMs, record.outcome, record.taskId]),
      [[tick, "submitted", taskId]],
    );
    assert.deepEqual([done.schedule.positionMs, done.schedule.nextMs], [tick, tick + HOUR_MS]);
    assert.equal(await schedules.runTicks(first), undefined, "of an old version");
  });

  it("schedules: a tick that was submitted for a deleted schedule of the name is a duplicate", async () => {
    const { schedules } = opened();
    const made = await set("reborn");
    const tick = made.nextMs ?? 0;
    const before = await schedules.runTicks(await run(made, [tick]));
    assert.equal(await schedules.deleteSchedule("reborn", "a test"), true);
    assert.equal(await schedules.deleteSchedule("reborn", "a test"), false);
    assert.equal(await schedules.runTicks(await run(made, [tick])), undefined, "it is gone");
    const after = await schedules.runTicks(await run(await set("reborn"), [tick]));
    assert.deepEqual(
      after?.records.map(({ outcome, taskId }) => [outcome, taskId]),
      [["duplicate", before?.inserted[0]?.id]],
    );
  });

  it("schedules: with skip there is one open task", async () => {
    const { schedules } = opened();
    const made = await set("skips", "skip");
    const tick = made.nextMs ?? 0;
    const first = await schedules.runTicks(await run(made, [tick, tick + HOUR_MS]));
    const taskId = first?.inserted[0]?.id ?? 0;
    assert.deepEqual(
      first?.records.map((record) => [record.outcome, record.taskId]),
      [
        ["submitted", taskId],
        ["skipped", taskId],
      ],
    );
    assert.deepEqual(await schedules.openTasks([taskId, 987_654_321]), [taskId]);
    const classId = await makeClass(opened(), "echo");
    const insert = () => ({ task: newTask(), classId, assignTo: undefined });
    assert.deepEqual(await schedules.runSchedule("skips", insert), { kind: "overlaps", taskId });
    const next = (await schedules.getSchedule("skips"))?.schedule;
    assert.ok(next);
    const second = await schedules.runTicks(await run(next, [tick + 2 * HOUR_MS]));
    assert.deepEqual([second?.records[0]?.outcome, second?.inserted], ["skipped", [undefined]]);
  });

  it("schedules: a run on request leaves the ticks as they are", async () => {
    const { schedules } = opened();
    const made = await set("asked");
    const classId = await makeClass(opened(), "echo");
    const ran = await schedules.runSchedule("asked", (nowMs) => {
      assert.ok(nowMs >= made.createdMs);
      return { task: newTask(), classId, assignTo: undefined };
    });
    assert.ok(ran?.kind === "submitted");
    const { ticks, nextMs, dueMs, positionMs } = ran.schedule;
    assert.deepEqual([nextMs, dueMs, positionMs], [made.nextMs, made.dueMs, made.positionMs]);
    assert.deepEqual([ticks[0]?.manual, ticks[0]?.taskId], [true, ran.inserted.id]);
    const none = await schedules.runSchedule("unknown", () => {
      throw new Error("there is nothing to insert");
    });
    assert.equal(none, undefined);
  });

  it("schedules: a repeated run on request answers with the first task, also while that is open", async () => {
    const { schedules } = opened();
    const made = await set("repeated", "skip");
    const classId = await makeClass(opened(), "echo");
    const run = (requestId: string) =>
      schedules.runSchedule("repeated", (nowMs) => ({
        task: manualTask(newTask(), made, nowMs, requestId),
        classId,
        assignTo: undefined,
      }));
    const first = await run("one");
    assert.ok(first?.kind === "submitted" && !first.inserted.duplicate);
    const again = await run("one");
    assert.ok(again?.kind === "submitted");
    assert.deepEqual([again.inserted.id, again.inserted.duplicate], [first.inserted.id, true]);
    assert.deepEqual(again.schedule.ticks, first.schedule.ticks);
    assert.deepEqual(await run("two"), { kind: "overlaps", taskId: first.inserted.id });
  });

  it("schedules: is due when its time has come, and not while it is paused", async () => {
    const { schedules, passTick } = opened();
    await set("due");
    assert.ok(((await schedules.dueSchedules(100)).nextDueInMs ?? 0) > 0);
    await passTick("due");
    const isDue = async () =>
      (await schedules.dueSchedules(100)).schedules.some(({ schedule }) => schedule.name === "due");
    assert.equal(await isDue(), true);
    const paused = await schedules.pauseSchedule("due", "a test");
    assert.deepEqual([paused?.pause?.reason, paused?.dueMs], ["a test", undefined]);
    assert.equal(await isDue(), false);
    const late = await schedules.troubledSchedules(60_000, 100);
    assert.ok(late.schedules.some(({ name }) => name === "due"));
    const resumed = await schedules.resumeSchedule("due", "a test");
    assert.ok(
      resumed?.dueMs !== undefined && resumed.dueMs > late.nowMs,
      "those of the pause are not made up for",
    );
    assert.equal(await isDue(), false);
    assert.equal(await schedules.pauseSchedule("unknown", "a test"), undefined);
    assert.equal(await schedules.resumeSchedule("unknown", "a test"), undefined);
  });

  it("schedules: a failure keeps the tick, and is forgotten with the next submit", async () => {
    const { schedules } = opened();
    const made = await set("fails");
    const failure = { code: "QUEUE_FULL", message: "full" };
    const failing = await schedules.failTicks("fails", made.version, failure);
    assert.deepEqual(
      [failing?.failure?.count, failing?.nextMs, failing?.positionMs],
      [1, made.nextMs, made.positionMs],
    );
    assert.equal(await schedules.failTicks("fails", made.version, failure), undefined);
    assert.ok(failing);
    const again = await schedules.failTicks("fails", failing.version, failure);
    assert.deepEqual([again?.failure?.count, again?.failure?.sinceMs], [2, failing.failure?.sinceMs]);
    assert.ok(again);
    const done = await schedules.runTicks(await run(again, [again.nextMs ?? 0]));
    assert.equal(done?.schedule.failure, undefined);
  });
}
