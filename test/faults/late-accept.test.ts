import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openTransaction } from "../support/database/locker.ts";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";

describe("T25: an acceptance that comes too late", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  function silent(workerId: string, queue: string): Promise<RawWorker> {
    return RawWorker.connect(fleet.scheduler.grpc, {
      workerId,
      autoAccept: false,
      hello: { queues: [queue] },
    });
  }

  it("T25: is taken while the task is not assigned to another worker, and its result counts", async () => {
    const worker = await silent("late", "late");
    const handle = await fleet.client.submit("echo", 1, { queue: "late" });
    const { attemptId } = await worker.assignment(handle.id);
    await fleet.eventually(handle.id, "requeued:unaccepted");
    await fleet.taskReason(handle.id, "ACCEPT_TIMED_OUT", H, {
      evidence: { unaccepted: /^1$/, worker: /^late$/ },
      commands: ["muster why late"],
    });
    worker.accept(attemptId);
    await fleet.taskReason(handle.id, "AWAITING_START", H);
    worker.succeed(attemptId, "7");
    assert.equal(await handle.result(), 7);
    const { acks } = await worker.next("resultAcks");
    assert.deepEqual([acks[0]?.attemptId, acks[0]?.stale], [attemptId, false]);
    const { attemptCount, attempts } = await fleet.task(handle.id);
    assert.deepEqual([attemptCount, attempts.length], [1, 0]);
    await fleet.scheduler.program.line("task.accepted_late", ({ attempt_id }) => attempt_id === attemptId);
    assert.deepEqual(worker.all("revokeAttempt"), []);
  });

  it("T25: is taken while the requeue is being written, and so is its result", async () => {
    const worker = await silent("writing", "writing");
    const handle = await fleet.client.submit("echo", 1, { queue: "writing" });
    const { attemptId } = await worker.assignment(handle.id);
    const row = `select from task where id = ${handle.id.replace("t-", "")} for update`;
    const locker = await openTransaction(fleet.db.url, row);
    await fleet.scheduler.program.line("task.unaccepted", ({ attempt_id }) => attempt_id === attemptId);
    worker.accept(attemptId);
    worker.succeed(attemptId, "7");
    const sequence = worker.beat();
    await worker.next("heartbeatAck", (ack) => ack.sequence === sequence);
    await locker.release();
    const { acks } = await worker.next("resultAcks");
    assert.deepEqual([acks[0]?.attemptId, acks[0]?.stale], [attemptId, false]);
    assert.equal(await handle.result(), 7);
    const { attemptCount, attempts } = await fleet.task(handle.id);
    assert.deepEqual([attemptCount, attempts.length], [1, 0]);
    assert.deepEqual(worker.all("revokeAttempt"), []);
  });

  it("T25: is counted, waits longer each time, and a late result counts once", async () => {
    const one = await silent("one", "turns");
    const handle = await fleet.client.submit("echo", 1, { queue: "turns" });
    const first = (await one.assignment(handle.id)).attemptId;
    await fleet.eventually(handle.id, "requeued:unaccepted");
    const two = await silent("two", "turns");
    const second = (await two.assignment(handle.id)).attemptId;
    await one.next("revokeAttempt", (revoke) => revoke.attemptId === first);
    await fleet.taskReason(handle.id, "AWAITING_ACCEPT", H, { evidence: { unaccepted_before: /^1$/ } });
    one.succeed(first, "1");
    const refused = await one.next("resultAcks");
    assert.equal(refused.acks[0]?.stale, true);
    await fleet.taskReason(handle.id, "ACCEPT_TIMED_OUT", 10 * H, {
      evidence: { unaccepted: /^2$/, worker: /^two$/ },
    });
    const line = await fleet.scheduler.program.line(
      "task.requeued",
      ({ attempt_id, reason: why }) => attempt_id === second && why === "unaccepted",
    );
    assert.deepEqual([line.delay_ms, line.costs_attempt], [1_000, false]);
    two.succeed(second, "2");
    assert.equal(await handle.result(), 2);
    const taken = await two.next("resultAcks");
    assert.equal(taken.acks[0]?.stale, false);
    assert.equal((await fleet.task(handle.id)).attemptCount, 1);
  });
});
