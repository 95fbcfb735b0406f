import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { commitRequest, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const LEASE_MS = 150_000;

describe("store: the history of the fleet", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());
  beforeEach(() =>
    fixture.db.query("truncate history, leader, completion_count, task, task_finished, task_attempt"),
  );

  const points = async (stepMs = MINUTE_MS) => (await fixture.store.readHistory(HOUR_MS, stepMs)).points;

  it("has a row a minute of what was done and of what waits", async () => {
    const { store, db, submit, session, claimOne } = fixture;
    const [failed = 0] = await submit("t", 3);
    const attempt = await claimOne(failed, await session("w1"));
    const failure = { failureClass: "non_retryable", code: "NEVER", message: "" } as const;
    await store.commitResults([commitRequest(attempt, { kind: "failed", failure })]);
    await store.addCompletions("a", 1, [{ queue: "q", type: "t", count: 7 }], [0, 3, 1]);
    await store.addCompletions("b", 1, [], [0, 0, 2]);
    await store.writeHistory("a", LEASE_MS);
    const [row] = await points();
    assert.ok(row);
    const { succeeded, ready, active, stuck, waits, oldestReadyMs } = row;
    assert.deepEqual(
      { succeeded, failed: row.failed, ready, active, stuck, waits },
      { succeeded: 7, failed: 1, ready: 2, active: 0, stuck: 0, waits: [0, 3, 3] },
    );
    assert.ok(oldestReadyMs !== null && oldestReadyMs < MINUTE_MS);
    assert.equal(row.countedMs, MINUTE_MS);
    // What was counted is not counted again.
    await db.query("update history set time = now() - interval '50 seconds'");
    await db.query("update completion_count set time = now() - interval '55 seconds'");
    await store.writeHistory("a", LEASE_MS);
    // Steps of a second: two rows that are less than a minute apart may be in one step of a minute.
    const [, second] = await points(1_000);
    assert.deepEqual([second?.succeeded, second?.waits], [0, null]);
    assert.ok(second && second.countedMs > 49_000 && second.countedMs < MINUTE_MS);
  });

  it("is written by one scheduler, and by another when that one is gone", async () => {
    const { store, db } = fixture;
    await Promise.all([store.writeHistory("a", LEASE_MS), fixture.another().writeHistory("b", LEASE_MS)]);
    assert.equal((await points()).length, 1);
    await db.query("update history set time = now() - interval '60 seconds'");
    const [{ scheduler_id: leader } = { scheduler_id: "" }] = await db.query<{ scheduler_id: string }>(
      "select scheduler_id from leader where name = 'history'",
    );
    const other = leader === "a" ? "b" : "a";
    await store.writeHistory(other, LEASE_MS);
    assert.equal((await points()).length, 1, "another one leads");
    await db.query("update leader set lease_until = now() - interval '1 second'");
    await store.writeHistory(other, LEASE_MS);
    await store.writeHistory(other, LEASE_MS);
    assert.equal((await points()).length, 2, "and no row comes before its time");
  });

  it("is bounded: what is older than seven days goes with the next row", async () => {
    const { store, db } = fixture;
    await db.query(`insert into history
      select now() - n * interval '1 minute', 60000, 1, 0, 0, n, 0, 0, 0, null, 0, 0, '{1,2}' from generate_series(1, 12000) n`);
    await store.writeHistory("a", LEASE_MS);
    const [{ count } = { count: 0 }] = await db.query<{ count: number }>(
      "select count(*)::int as count from history",
    );
    assert.ok(count > 10_000 && count <= 10_081, `${count} rows`);
    const week = await store.readHistory(7 * 24 * HOUR_MS, 28 * MINUTE_MS);
    assert.ok(week.points.length <= 362, `${week.points.length} points`);
    const whole = week.points[1];
    assert.deepEqual([whole?.succeeded, whole?.waits], [28, [28, 56]]);
  });

  it("counts a task's success once, whoever reports it", async () => {
    const { store, submit, session, claimOne } = fixture;
    const [id = 0] = await submit("t");
    await store.commitResults([commitRequest(await claimOne(id, await session("w2")), SUCCEEDED)]);
    await store.writeHistory("a", LEASE_MS);
    const [row] = await points();
    assert.deepEqual([row?.failed, row?.failedAttempts, row?.ready], [0, 0, 0]);
  });
});
