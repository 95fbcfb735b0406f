import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import type { Client } from "@muster/worker/client";
import { H } from "../support/fleet/fleet.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

const HTTP = { WORKER_HTTP_ADDR: "127.0.0.1:0" };

describe("F47: a worker adapts its concurrency, with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Of these tasks, how many run and how many wait at no worker. */
  async function counts(ids: readonly string[]): Promise<[running: number, queued: number]> {
    const states = (await Promise.all(ids.map((id) => pair.fleet.task(id)))).map(({ state }) => state);
    const of = (state: TaskState) => states.filter((each) => each === state).length;
    return [of(TaskState.RUNNING), of(TaskState.QUEUED)];
  }

  /** The limit of the worker's type, as a scheduler has it. */
  async function limitAt(client: Client): Promise<number | undefined> {
    const { worker } = await client.fleet.getWorker({ workerId: "adapts" });
    return worker?.taskTypes.find(({ taskType }) => taskType === "work")?.adaptive?.limit;
  }

  it("no task waits at it beyond the limit, which is explained at every scheduler and outlasts a reconnect", async () => {
    const queue = "adapts";
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    const worker = await pair.fleet.worker("adapts", { queue, file: "adaptive.ts", scheduler, env: HTTP });
    // Failures until the limit has fallen: 4, then 2.
    const failing = { queue, retry: { maxRetries: 0 } };
    const failed: string[] = [];
    await until("the limit has fallen", async () => {
      if (worker.lines.some(({ event }) => event === "worker.concurrency.changed")) return true;
      const { id } = await pair.atOne.submit("work", { fail: true }, failing);
      failed.push(id);
      return undefined;
    });
    const changed = await worker.line("worker.concurrency.changed");
    assert.deepEqual([changed.task_type, changed.limit, changed.previous_limit], ["work", 2, 4]);
    assert.match(String(changed.reason), /^\d+ of \d+ attempts failed, more than 10 %$/);
    await pair.two.program.line("worker.concurrency_changed", ({ worker_id }) => worker_id === "adapts");
    for (const id of failed) await pair.fleet.eventually(id, "failed", 20 * H);

    const gate = pair.fleet.gate();
    const handles = await pair.atOne.submitMany(
      Array.from({ length: 5 }, () => ({ type: "work", payload: { gate: gate.path }, queue })),
    );
    const ids = handles.map(({ id }) => id);
    const twoRun = () =>
      until("two of five tasks run", async () => {
        const [running] = await counts(ids);
        assert.ok(running <= 2, `${running} run`);
        return running === 2 || undefined;
      });
    await twoRun();
    assert.deepEqual(await counts(ids), [2, 3]);
    // Another type of the worker has the other slots.
    assert.equal(await (await pair.atOne.submit("other", null, { queue })).result(), "adapts");
    const waiting = await until("a task waits", async () => {
      for (const id of ids) if ((await pair.fleet.task(id)).state === TaskState.QUEUED) return id;
      return undefined;
    });
    for (const client of [pair.atOne, pair.atTwo]) {
      const summary = await until("the wait is explained by the limit", async () => {
        const { explanation } = await client.tasks.explainTask({ taskId: waiting });
        const found = explanation?.reasons.find(({ code }) => code === "ALL_SLOTS_BUSY");
        return found?.summary.includes("adaptive") ? found.summary : undefined;
      });
      assert.match(
        summary,
        /as its concurrency allows \(2\); the limit is adaptive, at adapts: 2 of 1 to 6, lowered .+ ago from 4: /,
      );
    }
    const shown = await pair.musterAt(pair.two, "worker", "adapts");
    assert.match(shown, /^adaptive limit\s+work 2 of 1 to 6, lowered .* from 4: .*attempts failed/m);
    const { http_addr: address } = await worker.line("worker.http.serving");
    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    assert.match(metrics, /^worker_concurrency_limit\{type="work"\} 2$/m);
    assert.match(metrics, /^worker_concurrency_changes_total\{type="work"\} 1$/m);
    const { events } = await pair.atTwo.fleet.listEvents({ workerId: "adapts", pageSize: 1_000 });
    const event = events.find(({ name }) => name === "worker.concurrency_changed");
    assert.deepEqual(
      ["task_type", "limit", "previous_limit", "reason"].map((key) => event?.attributes[key]),
      ["work", "2", "4", changed.reason],
    );

    await pair.two.program.end("SIGKILL");
    await until("the other scheduler has the limit", async () => {
      const { schedulerId } = await pair.fleet.workerState("adapts");
      return (schedulerId === pair.one.id && (await limitAt(pair.atOne)) === 2) || undefined;
    });
    await twoRun();
    gate.open();
    for (const handle of handles) assert.deepEqual(await handle.result(), { worker: "adapts" });
    await pair.fleet.restart(pair.two, KEEPING);
  });
});
