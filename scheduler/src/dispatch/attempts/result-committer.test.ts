import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { StatementRefusedError, UnstorableError } from "../../domain/errors.ts";
import type { CommitRequest } from "../../store/store.ts";
import { failed, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import type { Session } from "../sessions/session.ts";
import { HotPath } from "../testing/hot-path.ts";

const RELEASED = { kind: "released", reason: "drain" } as const;

describe("result committer", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  /** A worker that holds `count` attempts. */
  async function busy(
    count: number,
    plan: { slots?: number } = {},
  ): Promise<{ worker: Session; ids: number[] }> {
    const ids = await hot.waiting(count);
    await hot.poll();
    const worker = hot.worker({ slots: plan.slots ?? count });
    await settled();
    assert.equal(worker.attempts.size, count);
    hot.takeSent();
    return { worker, ids };
  }

  it("frees the place with the result, and acknowledges it after the commit", async () => {
    const { worker, ids } = await busy(1);
    const commit = hot.faults.hold("commitResults");
    hot.report(worker, ids, SUCCEEDED);
    assert.equal(worker.credit, 1, "before the commit");
    await hot.clock.pass(60_000);
    assert.deepEqual(hot.takeSent(), []);
    commit();
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1"]);
    assert.equal(worker.attempts.size, 0);
    assert.equal(hot.tables.ended.get(1)?.state, "succeeded");
  });

  it("commits a frame at once, and what arrives meanwhile together", async () => {
    const { worker, ids } = await busy(6);
    const commit = hot.faults.hold("commitResults");
    hot.report(worker, ids.slice(0, 1), SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1]);
    for (const id of ids.slice(1)) hot.report(worker, [id], SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1]);
    commit();
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1, 5]);
    assert.deepEqual(
      hot.takeSent(),
      ids.map((id) => `w-1 ack t-${id}.1`),
    );
  });

  it("has a second commit under way when half a batch waits, and never a third", async () => {
    const { worker, ids } = await busy(2_000);
    const commit = hot.faults.hold("commitResults");
    hot.report(worker, ids.slice(0, 1), SUCCEEDED);
    await settled();
    hot.report(worker, ids.slice(1, 500), SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1], "499 wait");
    hot.report(worker, ids.slice(500, 501), SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1, 500]);
    hot.report(worker, ids.slice(501), SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1, 500]);
    commit();
    await settled();
    assert.equal(hot.tables.ended.size, 2_000);
  });

  it("writes at most 1,000 ends in a statement, however large a frame is", async () => {
    const { worker, ids } = await busy(2_000);
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), [1_000, 1_000]);
    assert.equal(hot.takeSent().length, 2_000);
  });

  it("tries again after 100 ms and twice as long each time, up to 2 s, while the database is away", async () => {
    const { worker, ids } = await busy(2);
    hot.faults.away = true;
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    let tries = 1;
    for (const wait of [100, 200, 400, 800, 1_600, 2_000, 2_000]) {
      await hot.clock.pass(wait - 1);
      assert.equal(hot.batchSizes("commitResults").length, tries, `after ${wait - 1} ms`);
      await hot.clock.pass(1);
      assert.equal(hot.batchSizes("commitResults").length, ++tries, `after ${wait} ms`);
    }
    assert.deepEqual(hot.takeSent(), []);
    hot.faults.away = false;
    await hot.clock.pass(2_000);
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1", "w-1 ack t-2.1"]);
    assert.equal(
      hot.logged.filter((event) => event === "results.waiting_for_database").length,
      4,
      "1, 2, 4, 8",
    );
  });

  it("tries at once when the database is back", async () => {
    const { worker, ids } = await busy(1);
    hot.faults.away = true;
    hot.report(worker, ids, SUCCEEDED);
    await hot.clock.pass(10_000);
    hot.faults.away = false;
    hot.dispatch.committer.tryNow();
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1"]);
  });

  it("does not assign the places of results that the database has not taken", async () => {
    const { worker, ids } = await busy(1);
    await hot.waiting(1);
    hot.faults.away = true;
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    assert.equal(worker.credit, 0);
    hot.faults.away = false;
    await hot.clock.pass(100);
    await hot.poll();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1", "w-1 assign t-2.1"]);
  });

  it("takes up others while a row is refused, and retries that one for as long as it takes", async () => {
    const { worker, ids } = await busy(4);
    let refusing = true;
    hot.faults.refuseRows("commitResults", ({ key }: CommitRequest) =>
      refusing && key.taskId === 2 ? new StatementRefusedError("refused", false, undefined) : undefined,
    );
    hot.report(worker, ids.slice(0, 3), SUCCEEDED);
    await hot.clock.pass(0);
    assert.deepEqual(hot.takeSent().sort(), ["w-1 ack t-1.1", "w-1 ack t-3.1"]);
    hot.report(worker, ids.slice(3), SUCCEEDED);
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-4.1"]);
    await hot.clock.pass(600_000);
    assert.deepEqual(hot.takeSent(), []);
    assert.equal(worker.credit, 3, "the place of the refused one is taken");
    refusing = false;
    await hot.clock.pass(5_000);
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-2.1"]);
    assert.deepEqual(hot.tables.ended.get(2)?.state, "succeeded", "with its own result");
  });

  it("assigns the place of a refused result when it is stored, without a poll", async () => {
    const { worker, ids } = await busy(1);
    let refusing = true;
    hot.faults.refuseRows("commitResults", () =>
      refusing ? new StatementRefusedError("refused", false, undefined) : undefined,
    );
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    await hot.waiting(1);
    await hot.poll();
    refusing = false;
    await hot.clock.pass(5_000);
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1", "w-1 assign t-2.1"]);
  });

  it("fails a task whose result cannot be stored, and only that one", async () => {
    const { worker, ids } = await busy(3);
    hot.faults.refuseRows("commitResults", ({ key, decision }: CommitRequest) =>
      key.taskId === 2 && decision.kind === "finish" && decision.state === "succeeded"
        ? new UnstorableError("\\u0000 cannot be converted to text")
        : undefined,
    );
    hot.report(worker, ids, SUCCEEDED);
    await hot.clock.pass(10_000);
    assert.deepEqual(hot.takeSent().sort(), ids.map((id) => `w-1 ack t-${id}.1`).sort());
    assert.deepEqual(
      ids.map((id) => hot.tables.ended.get(id)?.detail),
      ["succeeded", "INVALID_RESULT", "succeeded"],
    );
  });

  it("acknowledges what was committed although the answer was lost", async () => {
    const { worker, ids } = await busy(2);
    hot.faults.loseAnswerOnce("commitResults", (requests: readonly CommitRequest[]) =>
      hot.store.attempts.loseAnswer(requests),
    );
    hot.report(worker, ids, SUCCEEDED);
    await hot.clock.pass(100);
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1", "w-1 ack t-2.1"]);
    const [first, second] = hot.faults
      .callsOf("commitResults")
      .map(([requests]) => requests as CommitRequest[]);
    assert.ok(
      first && second && first.every((request, index) => request === second[index]),
      "the same requests",
    );
  });

  it("answers a result of an attempt that is not the session's as stale, without a commit", async () => {
    const { worker, ids } = await busy(1);
    const late = { key: { taskId: 1, epoch: 7 }, outcome: SUCCEEDED, metrics: undefined };
    const unknown = { key: { taskId: 99, epoch: 1 }, outcome: SUCCEEDED, metrics: undefined };
    hot.dispatch.committer.commitResults(worker, [late, unknown]);
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 stale t-1.7", "w-1 stale t-99.1"]);
    assert.deepEqual(hot.batchSizes("commitResults"), []);
    assert.equal(worker.attempts.size, ids.length);
  });

  it("answers a result as stale whose attempt another scheduler has ended", async () => {
    const { worker, ids } = await busy(2);
    const decision = {
      kind: "requeue",
      reason: "stale",
      delayMs: 0,
      costsAttempt: false,
      outOfMemory: false,
    } as const;
    await hot.store.attempts.commitResults([
      { key: { taskId: 1, epoch: 1 }, decision, acceptAgeMs: undefined, startAgeMs: undefined },
    ]);
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    assert.deepEqual(hot.takeSent().slice(0, 2), ["w-1 stale t-1.1", "w-1 ack t-2.1"]);
    assert.equal(hot.tables.open.get(1)?.state, "queued", "the late result changed nothing");
  });

  it("answers two copies of a result with one acknowledgement", async () => {
    const { worker, ids } = await busy(1);
    const commit = hot.faults.hold("commitResults");
    hot.report(worker, ids, SUCCEEDED);
    hot.report(worker, ids, SUCCEEDED);
    commit();
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1"]);
    assert.deepEqual(hot.batchSizes("commitResults"), [1]);
  });

  it("acknowledges a second copy once more when the acknowledgement was lost with the stream", async () => {
    const { worker } = await busy(1);
    worker.noteCommitted({ taskId: 9, epoch: 1 });
    const copy = { key: { taskId: 9, epoch: 1 }, outcome: SUCCEEDED, metrics: undefined };
    hot.dispatch.committer.commitResults(worker, [copy]);
    hot.dispatch.committer.commitResults(worker, [copy]);
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-9.1", "w-1 stale t-9.1"]);
  });

  it("does not acknowledge an end that the scheduler concluded", async () => {
    const { worker, ids } = await busy(1);
    const attempt = worker.attempts.get(ids[0] ?? 0);
    assert.ok(attempt);
    assert.deepEqual(
      await hot.dispatch.committer.endAttempt(worker, attempt, { kind: "cancelled", message: "" }),
      {
        applied: true,
      },
    );
    assert.deepEqual(hot.takeSent(), []);
    assert.equal(hot.tables.ended.get(1)?.state, "cancelled");
  });

  it("assigns a task again that was given back, and waits for the time of one that failed", async () => {
    const { worker, ids } = await busy(2, { slots: 2 });
    hot.report(worker, ids.slice(0, 1), RELEASED);
    hot.report(worker, ids.slice(1), failed());
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1", "w-1 ack t-2.1", "w-1 assign t-1.2"]);
    const [delayMs = 0] = hot.scheduled;
    assert.equal(hot.scheduled.length, 1);
    const task = hot.tables.open.get(2);
    assert.equal(task?.wakeAt, hot.clock.now() + delayMs);
  });

  it("hints other schedulers at a task that can run again", async () => {
    const { worker, ids } = await busy(1);
    hot.dispatch.peers.count = 1;
    worker.drain();
    hot.report(worker, ids, RELEASED);
    await hot.clock.pass(20);
    assert.deepEqual(hot.hints, [[1]]);
  });

  it("writes the events of a task before its end", async () => {
    const { worker, ids } = await busy(1);
    const append = hot.faults.hold("appendEvents");
    hot.dispatch.eventWriter.appendEvent({ name: "custom", taskId: 1, epoch: 1 });
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    assert.deepEqual(hot.batchSizes("commitResults"), []);
    append();
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1"]);
    const { methods } = hot.faults;
    assert.ok(methods.indexOf("appendEvents") < methods.indexOf("commitResults"));
  });

  it("gives up a commit without an acknowledgement when the scheduler stops while the database is away", async () => {
    const { worker, ids } = await busy(1);
    hot.faults.away = true;
    hot.report(worker, ids, SUCCEEDED);
    await settled();
    hot.dispatch.committer.stop();
    await settled();
    await hot.dispatch.committer.idle();
    hot.faults.away = false;
    await hot.clock.pass(60_000);
    assert.deepEqual(hot.takeSent(), []);
    assert.ok(hot.logged.includes("result.not_committed"));
    assert.equal(hot.tables.open.get(1)?.state, "assigned");
  });
});
