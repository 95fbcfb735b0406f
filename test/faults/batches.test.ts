import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { assertDependencies } from "../support/database/dependencies.ts";
import { openTransaction } from "../support/database/locker.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

describe("T55: batches with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("a batch ends with its last member: counts, explanation and the completion task at the other scheduler", async () => {
    const queue = "members";
    const gate = pair.fleet.gate();
    await Promise.all([
      pair.fleet.worker("member", { queue, slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("merger", { queue: "merges", slots: 1, scheduler: pair.two.grpc }),
    ]);
    const batch = await pair.atOne.batch({
      title: "three pages",
      completion: { type: "echo", payload: "merged", queue: "merges" },
    });
    const completion = batch.completion;
    assert.ok(completion);
    const [first] = await batch.submitMany([
      { type: "echo", payload: 1, queue },
      { type: "fail", payload: { code: "BROKE" }, queue, retry: { maxRetries: 0 } },
    ]);
    const other = await pair.atTwo.batchHandle(batch.id);
    await other.submitMany([{ type: "gate", payload: { gate: gate.path }, queue }]);
    await first?.result();
    const found = await pair.fleet.taskReason(completion.id, "WAITING_FOR_TASKS", BOUND_MS, {
      evidence: { batch: new RegExp(`^${batch.id}$`), batch_state: /^open$/ },
      commands: [`muster batch close ${batch.id}`, `muster batch ${batch.id}`],
    });
    assert.match(found.reason.summary, /which is open: \d of 3 members have not ended/);
    assert.match(await pair.muster("batch", "close", batch.id), /is closed: \d of 3 tasks are open/);
    await assert.rejects(other.submitMany([{ type: "echo", payload: 4, queue }]), { reason: "BATCH_CLOSED" });
    assert.equal(pair.fleet.runs(completion.id).length, 0);
    gate.open();
    assert.equal(await completion.result(), "merged");
    const { counts } = await other.wait({ timeoutS: 30 });
    assert.deepEqual([counts?.totalCount, counts?.succeededCount, counts?.failedCount], [3, 2, 1]);
    assert.match(await pair.muster("batch", batch.id), /progress\t3\/3/);
    assert.match(await pair.muster("batch", "tasks", batch.id), /\tfailed\t/);
    assert.equal(pair.fleet.runs(completion.id).length, 1);
    await assertDependencies(pair.fleet.db);
  });

  it("a cancel ends the members that wait and those that run, and the completion task does not start", async () => {
    const queue = "cancelled";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("cancelled", { queue, slots: 1, scheduler: pair.two.grpc });
    const batch = await pair.atOne.batch({ completion: { type: "echo", payload: 1, queue } });
    const handles = await batch.submitMany(
      Array.from({ length: 30 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    await pair.fleet.eventually(handles[0]?.id ?? "", "started");
    await pair.muster("batch", "cancel", batch.id, "--reason", "wrong input");
    const { counts, cancelReason } = await batch.wait({ timeoutS: 60 });
    assert.deepEqual([counts?.totalCount, counts?.cancelledCount, cancelReason], [30, 30, "wrong input"]);
    assert.equal((await batch.completion?.get())?.cancelReason, "wrong input");
    assert.equal(pair.fleet.runs(batch.completion?.id ?? "").length, 0);
    await assertDependencies(pair.fleet.db);
  });

  it("a scheduler killed in the middle of a cancel: the other one goes on, and each member ends once", async () => {
    const batch = await pair.atOne.batch({ title: "many" });
    const members = await batch.submitMany(
      Array.from({ length: 2_300 }, (_, payload) => ({ type: "echo", payload, queue: "unserved" })),
    );
    const last = Number(members.at(-1)?.id.replace("t-", ""));
    const locker = await openTransaction(pair.fleet.db.url, `select from task where id = ${last} for update`);
    await batch.cancel("an example");
    const leader = await until(
      "the first members are cancelled, and the last one is waited for",
      async () => {
        const [row] = await pair.fleet.db.query<{ leader: string }>(
          `select l.scheduler_id as leader from batch b, leader l, pg_stat_activity a
          where b.cancel_done_id > 0 and l.name = 'batches' and a.wait_event_type = 'Lock'
            and a.application_name like 'muster ' || l.scheduler_id || ' %'`,
        );
        return row?.leader;
      },
    );
    const killed = pair.fleet.schedulers.find(({ id }) => id === leader);
    assert.ok(killed);
    await killed.program.end("SIGKILL");
    await locker.release();
    const other = killed === pair.one ? pair.atTwo : pair.atOne;
    const { counts } = await (await other.batchHandle(batch.id)).wait({ timeoutS: 30 });
    assert.deepEqual([counts?.totalCount, counts?.cancelledCount], [2_300, 2_300]);
    const [events] = await pair.fleet.db.query<{ count: number; tasks: number }>(
      `select count(*)::int as count, count(distinct task_id)::int as tasks from event
        where name = 'cancelled' and attributes ->> 'reason' = 'an example'`,
    );
    assert.deepEqual(events, { count: 2_300, tasks: 2_300 });
    await pair.fleet.restart(killed, KEEPING);
  });

  it("a scheduler killed between the end of the last member and the start of the completion task", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("mover", { queue, slots: 4, scheduler: `${pair.two.grpc},${pair.one.grpc}` });
    const batch = await pair.atOne.batch({ completion: { type: "echo", payload: "done", queue } });
    const completion = batch.completion;
    assert.ok(completion);
    const [last] = await batch.submitMany([{ type: "gate", payload: { gate: gate.path }, queue }]);
    await batch.close();
    await pair.fleet.eventually(last?.id ?? "", "started");
    // The second scheduler takes the end, and stops at the row of the completion task.
    const locker = await openTransaction(
      pair.fleet.db.url,
      `select from task where id = ${completion.id.slice(2)} for update`,
    );
    pair.one.program.kill("SIGSTOP");
    gate.open();
    await until("the second scheduler has taken the end", async () => {
      const [row] = await pair.fleet.db.query<{ name: string }>(
        `select application_name as name from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%dependency_end%'`,
      );
      return row?.name.startsWith(`muster ${pair.two.id} `) || undefined;
    });
    await pair.two.program.end("SIGKILL");
    pair.one.program.kill("SIGCONT");
    assert.equal(pair.fleet.runs(completion.id).length, 0);
    await locker.release();
    assert.equal(await pair.atOne.handle(completion.id).result(), "done");
    assert.equal(pair.fleet.runs(completion.id).length, 1);
    await assertDependencies(pair.fleet.db);
  });
});
