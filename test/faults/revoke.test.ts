import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { MusterError } from "@muster/worker/client";
import { openTransaction } from "../support/database/locker.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 3_000;

describe("T61: tasks that are taken from their workers, with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(async () => {
    cutAll();
    await pair.stop();
  });

  it("through the scheduler that does not hold the stream: a late result is stale, and the task runs once elsewhere", async () => {
    const queue = "late";
    const first = await RawWorker.connect(pair.one.grpc, { workerId: "first", hello: { queues: [queue] } });
    const task = await pair.atOne.submit("echo", 1, { queue });
    const { attemptId } = await first.assignment(task.id);
    await pair.fleet.eventually(task.id, "accepted");
    await pair.muster("worker", "pause", "first");
    await first.next("pause");
    await assert.rejects(
      pair.atTwo.tasks.revokeTask({ taskId: task.id, delay: { seconds: -1n } }),
      (error: MusterError) => error.reason === "INVALID_REQUEST" && /^delay -1 s is not/.test(error.message),
    );
    await assert.rejects(pair.atTwo.handle("t-9999999").revoke(), { reason: "TASK_NOT_FOUND" });
    assert.match(
      await pair.musterAt(pair.two, "revoke", task.id, "--reason", "it hangs"),
      new RegExp(`^${attemptId} was taken from first; ${task.id} waits for a worker\n$`),
    );
    const { reason } = await first.next("revokeAttempt", (revoke) => revoke.attemptId === attemptId);
    assert.match(reason, /^it hangs \(by .+\)$/);
    first.succeed(attemptId, "7");
    const { acks } = await first.next("resultAcks");
    assert.deepEqual([acks[0]?.attemptId, acks[0]?.stale], [attemptId, true]);
    await assert.rejects(pair.atOne.handle(task.id).revoke(), { reason: "TASK_NOT_REVOCABLE" });
    await pair.fleet.worker("second", { queue, scheduler: pair.two.grpc });
    assert.equal(await task.result(), 1);
    assert.deepEqual(
      pair.fleet.runs(task.id).map(({ workerId }) => workerId),
      ["second"],
    );
    const { attemptCount, attempts } = await pair.fleet.task(task.id);
    assert.equal(attemptCount, 1);
    assert.deepEqual(
      attempts.map(({ outcome, workerId }) => [outcome, workerId]),
      [["requeued:revoked", "first"]],
    );
    const events = await pair.fleet.events(task.id);
    assert.deepEqual(
      events.filter((name) => name.includes("revoked")),
      ["revoked", "requeued:revoked"],
    );
    await assert.rejects(task.revoke(), { reason: "TASK_ALREADY_ENDED" });
  });

  it("while the handler goes on: it keeps its slot, and both sides name it", async () => {
    const queue = "deaf";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("deaf", { queue, slots: 1, scheduler: pair.two.grpc });
    const task = await pair.atOne.submit("gate", { gate: gate.path, deaf: true }, { queue });
    await pair.fleet.started(task.id);
    await pair.fleet.worker("free", { queue, slots: 1, scheduler: pair.one.grpc });
    await task.revoke("it hangs");
    const [, run] = await pair.fleet.ran(task.id, 2);
    assert.equal(run?.workerId, "free");
    await pair.fleet.workerReason("deaf", "REVOKED_RUNNING", BOUND_MS, {
      evidence: { revoked: new RegExp(`^${task.id}\\.1 `) },
    });
    gate.open();
    assert.deepEqual(await task.result(), { worker: "free", attempt: 1 });
    assert.equal(pair.fleet.runs(task.id).length, 2);
    // The scheduler that does not hold the stream has it from the next heartbeat that is written.
    await until("both schedulers have its slot as free", async () => {
      const seen = [pair.atOne, pair.atTwo].map(({ fleet }) => fleet.getWorker({ workerId: "deaf" }));
      return (await Promise.all(seen)).every(({ worker }) => worker?.activeCount === 0) || undefined;
    });
  });

  it("with a delay: it waits that long, and why names the worker", async () => {
    const queue = "delay";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("delayed", { queue, slots: 1, scheduler: pair.one.grpc });
    const task = await pair.atTwo.submit("gate", { gate: gate.path }, { queue });
    await pair.fleet.started(task.id);
    await task.revoke("later", { delayS: 3_600 });
    const { reason } = await pair.fleet.taskReason(task.id, "SCHEDULED_FOR_LATER", BOUND_MS, {
      evidence: { worker: /^delayed$/, revoked_attempt: /^1$/ },
      commands: [`muster retry ${task.id}`, `muster events ${task.id}`],
    });
    assert.match(reason.summary, /^attempt 1 was taken from worker delayed by request /);
    gate.open();
    await pair.atOne.handle(task.id).retry();
    assert.deepEqual(await task.result(), { worker: "delayed", attempt: 1 });
  });

  it("by a scheduler that is killed while it waits for the row: nothing is taken", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("holder", { queue, slots: 1, scheduler: pair.one.grpc });
    const task = await pair.atOne.submit("gate", { gate: gate.path }, { queue });
    await pair.fleet.started(task.id);
    const row = `select from task where id = ${task.id.slice(2)} for update`;
    const locker = await openTransaction(pair.fleet.db.url, row);
    const unanswered = assert.rejects(pair.atTwo.handle(task.id).revoke("at the killed one"));
    await until("the revocation waits for the row", async () => {
      const rows = await pair.fleet.db.query<{ name: string }>(
        `select application_name as name from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%for update of t%'`,
      );
      return rows.some(({ name }) => name.startsWith(`muster ${pair.two.id} `)) || undefined;
    });
    await pair.two.program.end("SIGKILL");
    await unanswered;
    await locker.release();
    gate.open();
    assert.deepEqual(await task.result(), { worker: "holder", attempt: 1 });
    assert.equal(pair.fleet.runs(task.id).length, 1);
    assert.ok(!(await pair.fleet.events(task.id)).includes("revoked"));
    await pair.fleet.restart(pair.two, KEEPING);
  });

  it("while the scheduler that holds the stream is killed: the worker is asked to stop where it reconnects", async () => {
    const queue = "moved";
    const gate = pair.fleet.gate();
    const schedulers = `${pair.one.grpc},${pair.two.grpc}`;
    const mover = await pair.fleet.worker("mover", { queue, slots: 1, scheduler: schedulers });
    const task = await pair.fleet.client.submit("gate", { gate: gate.path, deaf: true }, { queue });
    await pair.fleet.started(task.id);
    const { schedulerId } = await pair.fleet.workerState("mover");
    const [holder, other] = schedulerId === pair.one.id ? [pair.one, pair.two] : [pair.two, pair.one];
    await pair.fleet.worker("taker", { queue, slots: 1, scheduler: other.grpc });
    const revoked = pair.musterAt(other, "revoke", task.id);
    await holder.program.end("SIGKILL");
    await revoked;
    await mover.line("task.revoked", ({ attempt_id }) => attempt_id === `${task.id}.1`);
    const [, run] = await pair.fleet.ran(task.id, 2);
    assert.equal(run?.workerId, "taker");
    gate.open();
    assert.deepEqual(await pair.fleet.client.handle(task.id).result(), { worker: "taker", attempt: 1 });
    assert.equal(pair.fleet.runs(task.id).length, 2);
  });
});

describe("T61: a task whose worker has no lease, while no worker is given up", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ args: ["--modes", "recovery=off"] });
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("is taken at once, and runs at another worker", async () => {
    const queue = "away";
    const away = await RawWorker.connect(fleet.scheduler.grpc, {
      workerId: "away",
      hello: { queues: [queue] },
    });
    const task = await fleet.client.submit("echo", 1, { queue });
    await away.assignment(task.id);
    await fleet.eventually(task.id, "accepted");
    away.cut();
    await fleet.taskReason(task.id, "MECHANISM_NOT_ACTING", G + L + H, {
      evidence: { worker: /^away$/ },
      commands: [`muster revoke ${task.id}`],
    });
    await fleet.worker("there", { queue });
    await task.revoke("its machine is gone");
    assert.equal(await task.result(), 1);
    assert.deepEqual(
      fleet.runs(task.id).map(({ workerId }) => workerId),
      ["there"],
    );
  });
});
