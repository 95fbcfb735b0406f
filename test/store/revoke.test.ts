import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { OutcomeDecision } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import type { AttemptRow } from "../../scheduler/src/store/store.ts";
import { openTransaction } from "../support/database/locker.ts";
import { until } from "../support/waits.ts";
import {
  commitRequest,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const BY_OTHER = { reason: "why", schedulerId: "b" };

function decide(attempt: AttemptRow, delayMs = 0): OutcomeDecision {
  return commitRequest(attempt, { kind: "released", reason: "revoked", delayMs }).decision;
}

describe("store: revocations", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.store.takeCommands("a"));
  after(() => fixture.close());

  const task = async (id: number) =>
    (await fixture.store.getTask(id)) ?? assert.fail(`there is no task ${id}`);
  const revoke = (id: number, request = BY_OTHER, delayMs = 0) =>
    fixture.store.revokeTask(id, request, (attempt) => decide(attempt, delayMs));
  async function claimed(type: string, fields: Parameters<StoreFixture["submit"]>[2] = {}) {
    const [id = 0] = await fixture.submit(type, 1, fields);
    const sessionId = await fixture.session(`w-${type}`);
    return { id, sessionId, attempt: await fixture.claimOne(id, sessionId) };
  }

  it("end an attempt without cost, record who asked, and fence its result", async () => {
    const { store } = fixture;
    const { id, sessionId, attempt } = await claimed("fenced");
    const result = await revoke(id);
    assert.equal(result?.outcome, "revoked");
    assert.deepEqual(
      [result.workerId, result.attempt.epoch, result.attempt.sessionId],
      ["w-fenced", 1, sessionId],
    );
    assert.deepEqual(await store.commitResults([commitRequest(attempt, SUCCEEDED)]), [{ applied: false }]);
    const { state, attemptCount, runTime } = await task(id);
    assert.deepEqual([state, attemptCount, runTime], ["queued", 0, undefined]);
    const events = (await store.latestTaskEvents(id, 10)).filter(({ name }) => name.includes("revoked"));
    assert.deepEqual(
      events.map(({ name, workerId, attributes }) => [name, workerId, attributes.reason]),
      [
        ["revoked", "w-fenced", "why"],
        ["requeued:revoked", undefined, undefined],
      ],
    );
    assert.deepEqual(
      (await store.getAttempts(id)).map(({ outcome }) => outcome),
      ["requeued:revoked"],
    );
    assert.equal((await fixture.claimOne(id, sessionId)).epoch, 2);
  });

  it("send the scheduler that holds the stream a command, and the one that asks none", async () => {
    const { store } = fixture;
    const one = await claimed("elsewhere");
    await revoke(one.id);
    assert.deepEqual(await store.takeCommands("a"), [
      {
        sessionId: one.sessionId,
        kind: "revoke",
        body: { task_id: String(one.id), epoch: "1", reason: "why" },
      },
    ]);
    const two = await claimed("here");
    await revoke(two.id, { reason: "why", schedulerId: "a" });
    assert.deepEqual(await store.takeCommands("a"), []);
  });

  it("keep the task from starting for the delay", async () => {
    const { id } = await claimed("delayed");
    await revoke(id, BY_OTHER, 3_600_000);
    const { runTime } = await task(id);
    assert.ok(runTime && runTime.getTime() > Date.now() + 3_000_000);
    assert.equal((await fixture.store.claim([{ taskId: id, sessionId: await fixture.session() }])).length, 0);
  });

  it("need no lease, and end a task whose cancellation was requested", async () => {
    const { store } = fixture;
    const { id, sessionId } = await claimed("cancelled");
    await store.cancelTask(id, "over");
    await fixture.db.query("delete from session_lease where session_id = $1", [sessionId]);
    const result = await revoke(id);
    assert.equal(result?.outcome, "revoked");
    assert.equal((await task(id)).state, "cancelled");
    assert.deepEqual(await store.takeCommands("a"), []);
  });

  it("free the concurrency keys of the attempt", async () => {
    const { store } = fixture;
    const concurrency = [{ key: "only", limit: 1 }];
    const [made] = await store.resolveClasses([
      { queue: "default", type: "keyed", requirements: NO_REQUIREMENTS, concurrency },
    ]);
    const classId = made?.id ?? assert.fail("no class");
    const tasks = [1, 2].map(() => ({
      task: newTask({ type: "keyed", concurrency }),
      ...{ classId, assignTo: undefined },
    }));
    const [id = 0, next = 0] = (await store.insertTasks(tasks)).map((row) => row.id);
    const sessionId = await fixture.session();
    const claim = async (taskId: number) =>
      (await store.claimKeyed([{ taskId, sessionId, classId, concurrency }], undefined)).claimed.length;
    assert.deepEqual([await claim(id), await claim(next)], [1, 0]);
    await revoke(id);
    assert.deepEqual([await claim(next), await claim(id)], [1, 0]);
  });

  it("are refused for what is at no worker", async () => {
    const { store } = fixture;
    const [id = 0] = await fixture.submit("waits");
    assert.deepEqual(await revoke(id), { outcome: "waits" });
    await store.holdTask(id, "why");
    assert.deepEqual(await revoke(id), { outcome: "waits" });
    await store.cancelTask(id, "over");
    assert.deepEqual(await revoke(id), { outcome: "ended" });
    assert.equal(await revoke(2 ** 40), undefined);
    assert.deepEqual(
      (await store.latestTaskEvents(id, 10)).filter(({ name }) => name === "revoked"),
      [],
    );
  });

  it("and a result at the same moment: one of them ends the attempt", async () => {
    const { store } = fixture;
    for (let round = 0; round < 20; round++) {
      const { id, attempt } = await claimed("race");
      const [revoked, [committed]] = await Promise.all([
        revoke(id),
        store.commitResults([commitRequest(attempt, SUCCEEDED)]),
      ]);
      const { state } = await task(id);
      if (committed?.applied) assert.deepEqual([revoked?.outcome, state], ["ended", "succeeded"]);
      else assert.deepEqual([revoked?.outcome, state], ["revoked", "queued"]);
    }
  });

  it("twice at the same moment end one attempt", async () => {
    const { id } = await claimed("twice");
    const outcomes = (await Promise.all([revoke(id), revoke(id)])).map((result) => result?.outcome);
    assert.deepEqual(outcomes.sort(), ["revoked", "waits"]);
    assert.equal((await fixture.store.getAttempts(id)).length, 1);
  });

  it("whose connection ends while they wait for the row run again, and end the attempt once", async () => {
    const { id } = await claimed("broken");
    const locker = await openTransaction(fixture.db.url, `select from task where id = ${id} for update`);
    const revoking = revoke(id);
    await until("the revocation waits", async () => {
      const rows = await fixture.db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%for update of t%'`,
      );
      return rows.length > 0 || undefined;
    });
    await locker.release();
    assert.equal((await revoking)?.outcome, "revoked");
    assert.equal((await fixture.store.getAttempts(id)).length, 1);
  });
});
