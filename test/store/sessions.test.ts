import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  BEAT,
  commitRequest,
  decideLost,
  expireLease,
  LONG_MS,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
  sessionOpen,
} from "./fixture.ts";

describe("store: sessions", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("registers a process once and gives a returning one what it held", async () => {
    const { store } = fixture;
    const uuid = randomUUID();
    const sessionId = await fixture.session("comes-back", { uuid });
    const [mine, done, foreign] = await fixture.submit("reconnect", 3);
    const held = await fixture.claimOne(mine ?? 0, sessionId);
    await store.commitResults([commitRequest(await fixture.claimOne(done ?? 0, sessionId), SUCCEEDED)]);
    await fixture.claimOne(foreign ?? 0, await fixture.session());
    await store.disconnect(sessionId, "a");
    const [again] = await fixture
      .another()
      .openSessions([sessionOpen("comes-back", uuid.toUpperCase())], "b", LONG_MS);
    assert.equal(again?.sessionId, sessionId);
    assert.deepEqual(
      again?.attempts.map(({ taskId, epoch }) => [taskId, epoch]),
      [[held.taskId, held.epoch]],
    );
    assert.deepEqual(again?.superseded, []);
    assert.equal((await store.leaseHolders([sessionId])).get(sessionId), "b");
    const record = await store.getWorker("comes-back");
    assert.equal(record?.disconnected, false);
    assert.equal(record?.schedulerId, "b");
  });

  it("keeps the settings of a worker, as it last registered with them", async () => {
    const { store } = fixture;
    const setting = { name: "scheduler", value: "127.0.0.1:7070", source: "default", variable: "ADDR" };
    const open = { ...sessionOpen("has-settings"), settings: [setting] };
    await store.openSessions([open], "a", LONG_MS);
    assert.deepEqual((await store.getWorker("has-settings"))?.settings, [setting]);
    const { count, workers } = await store.defaultAddressed(1);
    assert.deepEqual(
      [count, workers.map(({ workerId, address }) => [workerId, address])],
      [1, [["has-settings", "127.0.0.1:7070"]]],
    );
    const listed = await store.listWorkers({
      pool: undefined,
      living: true,
      beforeId: undefined,
      limit: 100,
    });
    assert.equal(listed.find(({ workerId }) => workerId === "has-settings")?.settings, undefined);
    await store.openSessions(
      [{ ...open, settings: [{ ...setting, source: "option" }] }, sessionOpen("says-none")],
      "a",
      LONG_MS,
    );
    assert.equal((await store.getWorker("has-settings"))?.settings?.[0]?.source, "option");
    assert.equal((await store.getWorker("says-none"))?.settings, undefined);
    assert.equal((await store.defaultAddressed(1)).count, 0);
  });

  it("names every older living session of the same worker id, not the newest and not the gone", async () => {
    const { store } = fixture;
    const [old, older] = [
      await fixture.session("twin", { schedulerId: "x" }),
      await fixture.session("gone-twin"),
    ];
    await store.endSessions([{ sessionId: older, reason: "finished", fatal: undefined }], decideLost);
    const [opened] = await store.openSessions([sessionOpen("twin")], "a", LONG_MS);
    assert.deepEqual(opened?.superseded, [{ sessionId: old, schedulerId: "x" }]);
    const [fresh] = await store.openSessions([sessionOpen("gone-twin")], "a", LONG_MS);
    assert.deepEqual(fresh?.superseded, []);
  });

  it("leaves one of several processes that register with one worker id at the same moment", async () => {
    const { store } = fixture;
    const other = fixture.another();
    for (let round = 0; round < 10; round++) {
      const workerId = `same-${round}`;
      const answers = await Promise.all([
        store.openSessions([sessionOpen(workerId), sessionOpen(workerId)], "a", LONG_MS),
        other.openSessions([sessionOpen(workerId)], "b", LONG_MS),
        other.openSessions([sessionOpen(workerId)], "b", LONG_MS),
      ]);
      const ends = new Set(
        answers.flat().flatMap(({ superseded }) => superseded.map(({ sessionId }) => sessionId)),
      );
      await store.endSessions(
        [...ends].map((sessionId) => ({ sessionId, reason: "superseded", fatal: undefined })),
        decideLost,
      );
      const filter = { pool: undefined, living: true, beforeId: undefined, limit: 1_000 };
      const living = (await store.listWorkers(filter)).filter((worker) => worker.workerId === workerId);
      assert.equal(living.length, 1, `round ${round}: ${living.length} sessions of ${workerId} live`);
    }
  });

  it("renews only leases that are this scheduler's and names the others", async () => {
    const { store, db } = fixture;
    const mine = await fixture.session("renew-mine", { leaseMs: 1_000 });
    const foreign = await fixture.session("renew-foreign", { schedulerId: "b", leaseMs: 1_000 });
    const ended = await fixture.session("renew-ended");
    await store.endSessions([{ sessionId: ended, reason: "lost", fatal: undefined }], decideLost);
    const lease = async (id: number) =>
      (
        await db.query<{ until: Date }>(
          "select lease_until as until from session_lease where session_id = $1",
          [id],
        )
      )[0]?.until;
    const before = await lease(foreign);
    const { at, lost } = await store.renewLeases(
      [mine, foreign, ended].map((sessionId) => ({ sessionId, beat: { ...BEAT, sequence: 42 } })),
      "a",
      LONG_MS,
    );
    assert.deepEqual(
      [...lost].sort((a, b) => a - b),
      [foreign, ended],
    );
    const taken = await fixture.session("renew-taken");
    await store.endSessions(
      [{ sessionId: taken, by: mine, reason: "superseded", fatal: undefined }],
      decideLost,
    );
    assert.deepEqual([...(await store.supersededOf([mine, ended, taken]))], [taken]);
    // By the database's clock, which is this machine's here.
    assert.ok(Math.abs(at.getTime() - Date.now()) < 5_000);
    assert.deepEqual(await lease(foreign), before);
    assert.ok(((await lease(mine))?.getTime() ?? 0) > Date.now() + LONG_MS / 2);
    assert.equal((await store.getWorker("renew-mine"))?.heartbeat?.sequence, 42);
    assert.equal((await store.getWorker("renew-foreign"))?.heartbeat, undefined);
  });

  it("ends a lease at its stream's drop, never lengthens it, and not from another scheduler", async () => {
    const { store, db } = fixture;
    const [dropped, silent, foreign] = [
      await fixture.session("dropped"),
      await fixture.session("silent"),
      await fixture.session("foreign", { schedulerId: "b" }),
    ];
    await expireLease(db, silent, 5_000);
    for (const sessionId of [dropped, silent, foreign]) await store.disconnect(sessionId, "a");
    const ages = await db.query<{ session_id: string; ms: number; disconnected: boolean }>(
      `select session_id, extract(epoch from now() - lease_until)::float8 * 1000 as ms, disconnected from session_lease
        where session_id = any($1) order by session_id`,
      [[dropped, silent, foreign]],
    );
    assert.ok((ages[0]?.ms ?? -1) >= 0 && ages[0]?.disconnected);
    assert.ok((ages[1]?.ms ?? 0) >= 5_000 && ages[1]?.disconnected);
    assert.ok((ages[2]?.ms ?? 0) < 0 && !ages[2]?.disconnected);
  });

  it("records startup and finds workers by name, uuid, pool and life", async () => {
    const { store } = fixture;
    const uuid = randomUUID();
    const open = sessionOpen("finder", uuid);
    const pool = "the-pool";
    const [opened] = await store.openSessions(
      [{ ...open, hello: { ...open.hello, pool }, ready: false }],
      "a",
      LONG_MS,
    );
    const phase = { phase: "boot", outcome: "", elapsedMs: 1, detail: "", attributes: {} };
    await store.recordStartup(opened?.sessionId ?? 0, [phase], true, false);
    const found = await store.getWorker(uuid.toUpperCase());
    assert.equal(found?.workerId, "finder");
    assert.equal(found?.ready, true);
    assert.deepEqual(found?.phases, [phase]);
    const filter = { pool, living: undefined, beforeId: undefined, limit: 10 };
    assert.equal((await store.listWorkers(filter)).length, 1);
    assert.equal((await store.listWorkers({ ...filter, living: false })).length, 0);
    assert.equal(await store.getWorker("unknown-worker"), undefined);
  });
});
