import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MusterError, type TaskHandle } from "@muster/worker/client";
import { openTransaction } from "../support/database/locker.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

const TASKS = 60;

describe("T57: holds with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("a held task does not start, and it and its dependents name who holds it", async () => {
    const queue = "named";
    const task = await pair.atOne.submit("echo", 1, { queue, timeouts: { queueWaitS: 3_600 } });
    const next = await pair.atTwo.submit("echo", 2, { queue, after: [{ task }] });
    assert.match(
      await pair.muster("hold", task.id, "--reason", "checked again"),
      new RegExp(`^${task.id} is held \\(checked again \\(by .+\\)\\); \`muster release ${task.id}\``),
    );
    await pair.fleet.worker("named", { queue, slots: 4, scheduler: pair.two.grpc });
    const { reason } = await pair.fleet.taskReason(task.id, "TASK_HELD", BOUND_MS, {
      evidence: { hold_reason: /^checked again \(by .+\)$/ },
      commands: [`muster release ${task.id}`, `muster cancel ${task.id}`],
    });
    assert.match(reason.summary, /^the task has been held for .+; its queue timeout of 60 min goes on/);
    const { reason: waits } = await pair.fleet.taskReason(next.id, "WAITING_FOR_TASKS", BOUND_MS, {
      evidence: { open_predecessors: /^1$/ },
      commands: [`muster release ${task.id}`],
    });
    assert.match(waits.summary, new RegExp(`the success of ${task.id} \\(echo\\), which is queued and held`));
    await assert.rejects(task.retry(), { reason: "TASK_HELD" });
    assert.match(
      await pair.muster("tasks", "--detail", "held"),
      new RegExp(`^${task.id}\\tqueued\\theld\\t`),
    );
    assert.match(await pair.muster("doctor"), new RegExp(`1 task is held: ${task.id} \\(checked again`));
    // What is submitted later runs.
    assert.equal(await (await pair.atOne.submit("echo", 3, { queue })).result(), 3);
    assert.deepEqual(pair.fleet.runs(task.id), []);
    assert.equal(await pair.muster("release", task.id), `${task.id} is not held and may start\n`);
    assert.deepEqual([await task.result(), await next.result()], [1, 2]);
    await assert.rejects(task.hold(), { reason: "TASK_ALREADY_ENDED" });
    assert.deepEqual(
      (await pair.fleet.events(task.id)).filter((name) => name.includes("h")),
      ["held", "hold_released"],
    );
  });

  it("holds that race the claims of the other scheduler: each task is held, or runs and the hold is refused", async () => {
    const queue = "race";
    await pair.fleet.worker("racer", { queue, slots: 8, scheduler: pair.two.grpc });
    const tasks = await pair.atOne.submitMany(
      Array.from({ length: TASKS }, (_, n) => ({ type: "echo", payload: n, queue })),
    );
    const answers = await Promise.all(tasks.map((task) => isHeld(task)));
    const [held, started] = [
      tasks.filter((_, index) => answers[index]),
      tasks.filter((_, index) => !answers[index]),
    ];
    await Promise.all(started.map((task) => task.result()));
    assert.deepEqual(
      held.flatMap(({ id }) => pair.fleet.runs(id)),
      [],
    );
    await Promise.all(held.map((task) => pair.atTwo.handle(task.id).release("over")));
    await Promise.all(held.map((task) => task.result()));
    for (const { id } of tasks) assert.equal(pair.fleet.runs(id).length, 1, id);
  });

  it("a scheduler killed while its hold and a claim of the other one wait for the same row", async () => {
    const queue = "killed";
    await pair.fleet.worker("claimer", { queue, slots: 4, scheduler: pair.one.grpc });
    const gate = pair.fleet.gate();
    const busy = await pair.atOne.submitMany(
      Array.from({ length: 4 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    for (const { id } of busy) await pair.fleet.eventually(id, "started");
    const task = await pair.atOne.submit("echo", 1, { queue });
    const locker = await openTransaction(
      pair.fleet.db.url,
      `select from task where id = ${task.id.slice(2)} for update`,
    );
    const unanswered = assert.rejects(pair.atTwo.handle(task.id).hold("at the killed one"));
    const waiting = (query: string, scheduler: string) =>
      until(`${query} waits for the row`, async () => {
        const [row] = await pair.fleet.db.query<{ name: string }>(
          `select application_name as name from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like $1`,
          [query],
        );
        return row?.name.startsWith(`muster ${scheduler} `) || undefined;
      });
    await waiting("%jsonb_build_object('reason'%", pair.two.id);
    gate.open();
    await waiting("%epoch = t.epoch + 1%", pair.one.id);
    await pair.two.program.end("SIGKILL");
    await unanswered;
    await locker.release();
    const isEndedOrHeld = await until("the task ended or is held", async () => {
      const { detail } = await pair.atOne.get(task.id);
      return detail === "held" || detail === "succeeded" ? detail : undefined;
    });
    if (isEndedOrHeld === "held") {
      assert.deepEqual(pair.fleet.runs(task.id), []);
      await pair.atOne.handle(task.id).release();
    }
    assert.equal(await pair.atOne.handle(task.id).result(), 1);
    assert.equal(pair.fleet.runs(task.id).length, 1);
  });

  /** False when the task had started or ended. */
  async function isHeld(task: TaskHandle): Promise<boolean> {
    try {
      return (await task.hold("race")).hold !== undefined;
    } catch (error) {
      assert.ok(error instanceof MusterError, String(error));
      assert.ok(["TASK_NOT_HOLDABLE", "TASK_ALREADY_ENDED"].includes(error.reason), error.message);
      return false;
    }
  }
});
