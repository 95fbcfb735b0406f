import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { NO_CLAIMS } from "../../scheduler/src/domain/workers/rejected-worker.ts";
import type { RejectedWorkerWrite, Store } from "../../scheduler/src/store/store.ts";
import { openFixture, type StoreFixture } from "./fixture.ts";

describe("refusals in the store", () => {
  let fixture: StoreFixture;
  let stores: readonly [Store, Store];

  before(async () => {
    fixture = await openFixture();
    stores = [fixture.store, fixture.another()];
  });
  beforeEach(() => fixture.db.query("delete from worker_refusal"));
  after(() => fixture.close());

  function row(workerId: string, fields: Partial<RejectedWorkerWrite> = {}): RejectedWorkerWrite {
    return {
      workerId,
      code: "BAD_TOKEN",
      message: "no",
      peer: "10.0.0.7:1",
      peerHost: "10.0.0.7",
      claims: { ...NO_CLAIMS, types: ["ocr"] },
      schedulerProtocolVersion: 1,
      count: 1,
      firstAgeMs: 0,
      lastAgeMs: 0,
      ...fields,
    };
  }

  it("two schedulers add to the same rows, in whatever order", async () => {
    const ids = Array.from({ length: 200 }, (_, n) => `w-${n}`);
    const rounds = Array.from({ length: 20 }, (_, n) => {
      const rows = ids.map((id) => row(id, { peer: `10.0.0.7:${n}` }));
      return stores[n % 2 === 0 ? 0 : 1].recordRejectedWorkers(
        n % 3 === 0 ? rows.toReversed() : rows,
        `s-${n % 2}`,
        1_000,
      );
    });
    await Promise.all(rounds);
    const found = await stores[0].listRejectedWorkers(undefined);
    assert.equal(found.length, 200);
    assert.ok(found.every(({ count }) => count === 20));
    assert.deepEqual(found[0]?.claims.types, ["ocr"]);
  });

  it("one machine with invented names displaces no rows of others", async () => {
    const [store] = stores;
    await store.recordRejectedWorkers([row("honest", { peerHost: "10.0.0.9", lastAgeMs: 60_000 })], "s", 50);
    for (let round = 0; round < 4; round++) {
      const rows = Array.from({ length: 100 }, (_, n) => row(`made-up-${round}-${n}`));
      assert.equal(await store.recordRejectedWorkers(rows, "s", 50), round === 0 ? 51 : 100);
    }
    const found = await store.listRejectedWorkers(undefined);
    assert.equal(found.length, 50);
    assert.ok(found.some(({ workerId }) => workerId === "honest"));
    assert.ok(found.every(({ workerId }) => workerId === "honest" || workerId.startsWith("made-up-3-")));
  });

  it("an admission clears what was held against the worker before it, and nothing else", async () => {
    const [store] = stores;
    await store.recordRejectedWorkers(
      [row("w", { lastAgeMs: 5_000 }), row("other", { lastAgeMs: 5_000 })],
      "s",
      50,
    );
    await store.recordRejectedWorkers([row("w", { code: "VERSION_MISMATCH" })], "s", 50);
    await store.forgetRejectedWorkers([{ workerId: "w", ageMs: 1_000 }]);
    assert.deepEqual(
      (await store.listRejectedWorkers(undefined)).map(({ workerId, code }) => `${workerId} ${code}`),
      ["w VERSION_MISMATCH", "other BAD_TOKEN"],
    );
    assert.deepEqual(await store.listRejectedWorkers("unknown-worker"), []);
    await fixture.db.query(
      "update worker_refusal set last_time = now() - interval '3 days' where worker_id = 'w'",
    );
    await store.dropOld(2);
    assert.deepEqual(
      (await store.listRejectedWorkers(undefined)).map(({ workerId }) => workerId),
      ["other"],
    );
  });
});
