/** The state of a worker is derived twice from one table: in memory, and in SQL for `muster top`. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { workerState } from "../../scheduler/src/domain/workers/worker.ts";
import { openFixture, type StoreFixture } from "./fixture.ts";

const BOTH = [false, true] as const;
const FACTS = BOTH.flatMap((disconnected) =>
  BOTH.flatMap((leaseOver) =>
    BOTH.flatMap((draining) => BOTH.map((ready) => ({ disconnected, leaseOver, draining, ready }))),
  ),
);

describe("the state of a worker in the fleet's report", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });

  after(() => fixture.close());

  it("is that of its record, for every combination of facts and for ended workers", async () => {
    const { db, store } = fixture;
    for (const [index, facts] of FACTS.entries()) {
      const id = await fixture.session(`w-${index}`);
      await db.query("update muster.worker_session set draining = $2, ready = $3 where id = $1", [
        id,
        facts.draining,
        facts.ready,
      ]);
      await db.query(
        `update muster.session_lease set disconnected = $2, lease_until = now() + $3::interval where session_id = $1`,
        [id, facts.disconnected, facts.leaseOver ? "-1 hour" : "1 hour"],
      );
    }
    for (const reason of ["lost", "fatal"]) {
      const sessionId = await fixture.session(`w-${reason}`);
      await store.endSessions([{ sessionId, reason, fatal: undefined }], () =>
        assert.fail("it held nothing"),
      );
    }
    const { workers } = await store.fleetReport(100);
    assert.equal(workers.length, FACTS.length + 2);
    const now = await store.databaseTime();
    for (const { workerId, state } of workers) {
      const record = (await store.getWorker(workerId)) ?? assert.fail(`no worker ${workerId}`);
      assert.equal(state, workerState(record, now), workerId);
    }
    assert.equal(new Set(workers.map(({ state }) => state)).size, 6);
  });
});
