import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TaskHandle } from "@muster/worker/client";
import { Client } from "@muster/worker/client";
import { type Locker, openTransaction } from "../support/database/locker.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** More than one look of an operation reads. */
const MANY = 2_500;

describe("T60: bulk operations with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  async function submit(queue: string, count: number): Promise<TaskHandle[]> {
    return pair.atTwo.submitMany(Array.from({ length: count }, () => ({ type: "echo", payload: 1, queue })));
  }

  /** How many of the tasks have ended, and how many are whole: in one table, with one event for their end. */
  async function endsOf(queue: string): Promise<{ ended: number; whole: number; all: number }> {
    const [row] = await pair.fleet.db.query<{ ended: string; whole: string; all: string }>(
      `with t as (
         select id, class_id, false as ended from task union all select id, class_id, true from task_finished),
       own as (
         select t.id, bool_or(t.ended) as ended, count(*) as rows,
                (select count(*) from event e where e.task_id = t.id and e.name = 'cancelled') as events
           from t join task_class c on c.id = t.class_id where c.queue = $1 and c.type = 'echo' group by t.id)
       select count(*) filter (where ended) as ended,
              count(*) filter (where rows = 1 and events = ended::int) as whole, count(*) as all from own`,
      [queue],
    );
    return { ended: Number(row?.ended), whole: Number(row?.whole), all: Number(row?.all) };
  }

  async function summaries(): Promise<{ outcome: string; done: string; reason: string }[]> {
    return pair.fleet.db.query(
      `select attributes ->> 'outcome' as outcome, attributes ->> 'done' as done, attributes ->> 'reason' as reason
         from event where name = 'tasks.changed' order by id`,
    );
  }

  function lockTask(task: TaskHandle | undefined): Promise<Locker> {
    return openTransaction(pair.fleet.db.url, `select from task where id = ${task?.id.slice(2)} for update`);
  }

  /** A step of an operation at the first scheduler waits for a locked task. */
  async function waitingForLock(): Promise<boolean> {
    const rows = await pair.fleet.db.query<{ name: string }>(
      `select application_name as name from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%cross join lateral%'`,
    );
    return rows.some(({ name }) => name.startsWith(`muster ${pair.one.id} `));
  }

  it("a caller that leaves in the middle stops it; called again it finishes, at workers of both schedulers", async () => {
    const queue = "left";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("holder", { queue, slots: 1, scheduler: pair.two.grpc });
    const running = await pair.atTwo.submit("gate", { gate: gate.path, deaf: true }, { queue });
    await pair.fleet.eventually(running.id, "started");
    const handles = await submit(queue, MANY);
    const filter = { queues: [queue] };
    for await (const { done, matched } of pair.atOne.changeTasks("cancel", filter, { dryRun: true }))
      assert.equal(done, matched);
    // A step in the middle waits: the caller leaves before it ends.
    const locker = await lockTask(handles[1_200]);
    for await (const { done } of pair.atOne.changeTasks("cancel", filter, { reason: "the first try" })) {
      assert.ok(done > 0 && done < MANY, `${done} in the first step`);
      await until("a step waits for the locked task", async () => (await waitingForLock()) || undefined);
      break;
    }
    await locker.release();
    const first = await until("the summary of the stopped operation", async () => (await summaries())[0]);
    assert.deepEqual([first.outcome, first.reason], ["stopped", "the first try"]);
    const before = await endsOf(queue);
    assert.deepEqual([before.whole, before.all], [MANY, MANY]);
    assert.ok(
      before.ended === Number(first.done) - 1 && before.ended < MANY,
      JSON.stringify([before, first]),
    );
    let last: { done: number; requested: number } | undefined;
    for await (const progress of pair.atOne.changeTasks("cancel", filter, { reason: "again" }))
      last = progress;
    // The running one is asked again: its handler ignores the cancellation.
    assert.deepEqual([last?.done, last?.requested], [MANY + 1 - before.ended, 1]);
    await pair.fleet.taskReason(running.id, "CANCELLING", 1_000);
    assert.equal((await running.get()).cancelReason, "the first try");
    gate.open();
    await assert.rejects(running.result({ timeoutS: 60 }), { name: "TaskCancelledError" });
    assert.deepEqual(await endsOf(queue), { ended: MANY, whole: MANY, all: MANY });
  });

  it("moved tasks run at workers of their new queue alone, also while another scheduler has them in memory", async () => {
    const [from, to] = ["from", "to"];
    const gate = pair.fleet.gate();
    await pair.fleet.worker("old", { queue: from, slots: 1, scheduler: pair.two.grpc });
    const running = await pair.atTwo.submit("gate", { gate: gate.path }, { queue: from });
    await pair.fleet.eventually(running.id, "started");
    const handles = await submit(from, 50);
    await pair.fleet.taskReason(handles[0]?.id ?? "", "ALL_SLOTS_BUSY", 1_000);
    await pair.fleet.worker("new", { queue: to, slots: 4, scheduler: pair.one.grpc });
    let moved = 0;
    const change = { moveTo: to, createQueue: true };
    for await (const { done } of pair.atOne.changeTasks(change, { queues: [from] })) moved = done;
    gate.open();
    assert.equal(moved, 50);
    await Promise.all(handles.map((handle) => handle.result({ timeoutS: 60 })));
    const workers = handles.flatMap(({ id }) => pair.fleet.runs(id).map(({ workerId }) => workerId));
    assert.deepEqual(
      workers,
      handles.map(() => "new"),
    );
  });

  it("a scheduler killed in the middle of a step leaves no task half-changed, and the call goes on at the other", async () => {
    const queue = "killed";
    const handles = await submit(queue, MANY);
    const locker = await lockTask(handles.at(-10));
    using client = new Client({ scheduler: `${pair.one.grpc},${pair.two.grpc}` });
    let last: { done: number; matched: number; finished: boolean } | undefined;
    const called = (async () => {
      for await (const progress of client.changeTasks("cancel", { queues: [queue] }, { reason: "killed" }))
        last = progress;
    })();
    await until("a step waits for the locked task", async () => (await waitingForLock()) || undefined);
    await pair.one.program.end("SIGKILL");
    const { ended, whole } = await endsOf(queue);
    assert.equal(whole, MANY);
    assert.ok(ended >= 2_000 && ended < MANY, `${ended} in the steps before`);
    await locker.release();
    await called;
    assert.deepEqual([last?.finished, last?.done], [true, MANY]);
    assert.deepEqual(await endsOf(queue), { ended: MANY, whole: MANY, all: MANY });
  });
});
