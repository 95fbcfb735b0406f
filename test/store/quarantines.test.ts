import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { openFixture, type StoreFixture, sessionOpen } from "./fixture.ts";

const QUARANTINE = {
  failed: 28,
  finished: 30,
  peerCount: 1,
  peersTogether: { failed: 0, finished: 60 },
  peers: [{ workerId: "w-2", failed: 0, finished: 60 }],
  windowMs: 300_000,
  errors: [{ attemptId: "t-1.1", code: "CUDA", message: "no device" }],
  failedProbes: 0,
};

describe("store: quarantined workers", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const events = async (sessionId: number) => {
    const rows = await fixture.db.query<{ name: string; attributes: Record<string, string> }>(
      "select name, attributes from event where session_id = $1 and name like 'worker.quarantine%' order by id",
      [sessionId],
    );
    return rows.map(({ name, attributes }) => [
      name,
      attributes.reason ?? attributes.failed,
      attributes.note,
    ]);
  };

  it("keeps a quarantine with its session across reconnects, for every scheduler", async () => {
    const { store } = fixture;
    const uuid = randomUUID();
    const sessionId = await fixture.session("w-1", { uuid, schedulerId: "a" });
    await store.beginQuarantine(sessionId, "b", QUARANTINE, 60_000);
    assert.deepEqual(await store.quarantinedSessions([sessionId]), [], "b does not hold it");
    await store.beginQuarantine(sessionId, "a", QUARANTINE, 60_000);
    await store.beginQuarantine(sessionId, "a", { ...QUARANTINE, failed: 99 }, 1);
    assert.deepEqual(await events(sessionId), [["worker.quarantined", "28", undefined]]);
    await store.extendQuarantine(sessionId, { failedProbes: 1, errors: [] }, 120_000);

    const [again] = await store.openSessions([sessionOpen("w-1", uuid)], "b", 60_000);
    const quarantined = again?.quarantined ?? assert.fail("it is not quarantined");
    assert.deepEqual(
      [again?.sessionId, quarantined.record.failed, quarantined.record.failedProbes],
      [sessionId, 28, 1],
    );
    assert.ok(quarantined.probeInMs > 100_000 && quarantined.probeInMs <= 120_000);
    const worker = await store.getWorker("w-1");
    assert.deepEqual(worker?.quarantine?.peers, QUARANTINE.peers);
    assert.ok(worker?.quarantine && worker.quarantine.probeTime > worker.quarantine.since);
    assert.deepEqual(
      (await store.quarantinedWorkers(10)).map(({ workerId }) => workerId),
      ["w-1"],
    );

    assert.deepEqual(await store.quarantinedSessionsOf("w-1"), [sessionId]);
    await store.endQuarantines([sessionId], "released", "repaired (by ada)");
    await store.endQuarantines([sessionId], "probe_succeeded");
    assert.deepEqual(await store.quarantinedSessionsOf("w-1"), []);
    assert.deepEqual((await events(sessionId)).slice(1), [
      ["worker.quarantine_ended", "released", "repaired (by ada)"],
    ]);
    assert.equal((await store.getWorker("w-1"))?.quarantine, undefined);
  });

  it("ends with the process: another one of the worker id begins without it", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("w-3");
    await store.beginQuarantine(sessionId, "a", QUARANTINE, 60_000);
    await store.endSessions([{ sessionId, reason: "finished", fatal: undefined }], () => assert.fail());
    const [next] = await store.openSessions([sessionOpen("w-3")], "a", 60_000);
    assert.equal(next?.quarantined, undefined);
    assert.deepEqual(await store.quarantinedSessionsOf("w-3"), []);
    assert.deepEqual(await store.quarantinedWorkers(10), []);
  });
});
