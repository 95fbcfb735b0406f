import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { decideLost, LONG_MS, openFixture, type StoreFixture, sessionOpen } from "./fixture.ts";

describe("store: workers that operators have paused", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("pauses a worker id once, keeps its time with a new reason, and records both", async () => {
    const { store } = fixture;
    await fixture.session("gpu-1");
    await store.pauseWorker("gpu-1", "first");
    const [first] = await store.pausedWorkers();
    await store.pauseWorker("gpu-1", "second");
    const [second] = await store.pausedWorkers();
    assert.deepEqual(second, { workerId: "gpu-1", reason: "second", since: first?.since });
    const record = await store.getWorker("gpu-1");
    assert.deepEqual(record?.operatorPause, { reason: "second", since: first?.since });
    assert.equal(await store.resumeWorker("gpu-1", "done"), true);
    assert.equal(await store.resumeWorker("gpu-1", "done"), false);
    assert.deepEqual(await store.pausedWorkers(), []);
    assert.equal((await store.getWorker("gpu-1"))?.operatorPause, undefined);
    const events = await store.workerEvents("gpu-1", 0, 10);
    assert.deepEqual(events.map(({ name, attributes }) => [name, attributes?.reason]).slice(1), [
      ["worker.paused", "first"],
      ["worker.paused", "second"],
      ["worker.resumed", "done"],
    ]);
    assert.equal(events.at(-1)?.attributes?.paused_for, "second");
  });

  it("gives the pause to every session of the id that registers, and to no other", async () => {
    const { store } = fixture;
    const first = await fixture.session("gpu-2");
    await store.pauseWorker("gpu-2", "kept");
    await store.endSessions([{ sessionId: first, reason: "finished", fatal: undefined }], decideLost);
    assert.equal(
      (await store.getWorker("gpu-2"))?.operatorPause,
      undefined,
      "an ended process is not paused",
    );
    const [next, other] = await store.openSessions(
      [sessionOpen("gpu-2"), sessionOpen("gpu-20")],
      "b",
      LONG_MS,
    );
    assert.equal(next?.pause?.reason, "kept");
    assert.equal(other?.pause, undefined);
    await store.resumeWorker("gpu-2", "done");
  });

  it("forgets the pause of a worker id that has no process on record", async () => {
    const { db, store } = fixture;
    await fixture.session("gpu-3");
    await store.pauseWorker("gpu-3", "old");
    await store.pauseWorker("long-gone", "old");
    await db.query("update worker_pause set pause_time = now() - interval '90 days'");
    await store.dropOld(30);
    assert.deepEqual(
      (await store.pausedWorkers()).map(({ workerId }) => workerId),
      ["gpu-3"],
    );
    await store.resumeWorker("gpu-3", "done");
  });

  it("shows paused workers to the overview with both reasons", async () => {
    const { store } = fixture;
    await fixture.session("gpu-4");
    await store.pauseWorker("gpu-4", "new driver");
    const report = await store.fleetReport(10);
    const line = report.workers.find(({ workerId }) => workerId === "gpu-4");
    assert.equal(line?.pauseReason, "by an operator: new driver");
    await store.resumeWorker("gpu-4", "done");
  });
});
