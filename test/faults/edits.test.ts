import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TaskHandle } from "@muster/worker/client";
import { openTransaction } from "../support/database/locker.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

describe("T58: edits with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** A worker at the second scheduler whose only slot is taken until the gate opens. */
  async function busyWorker(queue: string) {
    const gate = pair.fleet.gate();
    await pair.fleet.worker(queue, { queue, slots: 1, scheduler: pair.two.grpc });
    const task = await pair.atTwo.submit("gate", { gate: gate.path }, { queue });
    await pair.fleet.eventually(task.id, "started");
    return gate;
  }

  it("the other scheduler starts tasks in their new order, and the edits are recorded", async () => {
    const queue = "order";
    const gate = await busyWorker(queue);
    await pair.fleet.worker("marker", { queue: "marker", scheduler: pair.two.grpc });
    const [first, second, last] = (await pair.atOne.submitMany(
      [1, 2, 3].map((payload) => ({ type: "echo", payload, queue })),
    )) as [TaskHandle, TaskHandle, TaskHandle];
    assert.equal(
      await pair.muster("edit", last.id, "--priority", "5", "--run-timeout", "90s", "--reason", "urgent"),
      `${last.id} priority: 0 -> 5\n${last.id} run timeout: none -> 1 min 30 s\n`,
    );
    await first.edit({ priority: -5 });
    assert.equal(await pair.muster("edit", first.id, "--priority", "-5"), `${first.id} is so already\n`);
    // Its hint is sent after those of the edits.
    for (let n = 0; n < 2; n++) await (await pair.atOne.submit("echo", n, { queue: "marker" })).result();
    gate.open();
    await Promise.all([first, second, last].map((task) => task.result()));
    const started = [first, second, last].map(({ id }) => ({ id, at: pair.fleet.runs(id)[0]?.at ?? 0 }));
    assert.deepEqual(
      started.toSorted((a, b) => a.at - b.at).map(({ id }) => id),
      [last.id, second.id, first.id],
    );
    const { events } = await pair.atOne.fleet.listEvents({ taskId: last.id, pageSize: 100 });
    const edited = events.find(({ name }) => name === "edited");
    assert.match(edited?.attributes.reason ?? "", /^urgent \(by .+\)$/);
    assert.deepEqual([edited?.attributes.priority_before, edited?.attributes.priority_after], ["0", "5"]);
    await assert.rejects(last.edit({ priority: 1 }), { reason: "TASK_ALREADY_ENDED" });
  });

  it("a new start time, run timeout and number of retries hold for the next attempt", async () => {
    const queue = "next";
    await pair.fleet.worker("next", { queue, slots: 2, scheduler: pair.two.grpc });
    const task = await pair.atOne.submit("fail", {}, { queue, delayS: 3_600 });
    await task.edit({ maxRetries: 1, delayS: 0 });
    await pair.fleet.eventually(task.id, "requeued:retry");
    assert.equal((await task.get()).detail, "retry");
    await task.edit({ delayS: 0 });
    await assert.rejects(task.result(), { name: "TaskFailedError" });
    assert.equal((await task.get()).detail, "RETRIES_EXHAUSTED");
    assert.equal(pair.fleet.runs(task.id).length, 2);
  });

  it("a scheduler killed while its edit and a claim of the other one wait for the same row", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    await pair.fleet.worker(queue, { queue, slots: 1, scheduler: pair.one.grpc });
    const busy = await pair.atOne.submit("gate", { gate: gate.path }, { queue });
    await pair.fleet.eventually(busy.id, "started");
    const task = await pair.atOne.submit("echo", 1, { queue });
    const locker = await openTransaction(
      pair.fleet.db.url,
      `select from task where id = ${task.id.slice(2)} for update`,
    );
    const waits = (query: string, scheduler: string) =>
      until(`a statement with ${query} waits for the row`, async () => {
        const [row] = await pair.fleet.db.query<{ name: string }>(
          `select application_name as name from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like $1`,
          [`%${query}%`],
        );
        return row?.name.startsWith(`muster ${scheduler} `) || undefined;
      });
    const unanswered = assert.rejects(
      pair.atTwo.handle(task.id).edit({ priority: 5, maxRetries: 9 }, "at the killed one"),
    );
    await waits("::boolean as starts", pair.two.id);
    gate.open();
    await waits("epoch = t.epoch + 1", pair.one.id);
    await pair.two.program.end("SIGKILL");
    await unanswered;
    await locker.release();
    assert.equal(await pair.atOne.handle(task.id).result(), 1);
    assert.equal(pair.fleet.runs(task.id).length, 1);
    const { priority, retryPolicy } = await pair.atOne.get(task.id);
    const wasEdited = (await pair.fleet.events(task.id)).includes("edited");
    assert.deepEqual([priority, retryPolicy?.maxRetryCount], wasEdited ? [5, 9] : [0, 3]);
  });
});
