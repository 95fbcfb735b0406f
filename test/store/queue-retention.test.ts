import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { PurgeCursor } from "../../scheduler/src/store/store.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

/** The retention of the other queues, days. */
const KEEP_DAYS = 30;

describe("store: the retention of queues", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const set = (queue: string, keepDays: number | undefined) =>
    fixture.store.configureQueue(queue, {
      ...{ reason: "by ada", attributes: {} },
      ...(keepDays === undefined ? { set: {}, clear: ["keepDays"] } : { set: { keepDays }, clear: [] }),
    });

  /** A task of the queue that ended so many days ago, after a failed attempt, with an event and output. */
  async function ended(queue: string, daysAgo: number): Promise<number> {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    const [id = 0] = await fixture.submit("kept", 1, { queue });
    await store.commitResults([commitRequest(await fixture.claimOne(id, sessionId), failed())]);
    await store.retryTask(id);
    const attempt = await fixture.claimOne(id, sessionId);
    await store.appendOutput([{ taskId: id, epoch: attempt.epoch, sequence: 1, data: Buffer.from("a") }]);
    await store.appendLogs([
      { taskId: id, epoch: attempt.epoch, unverifiedSessionId: undefined, endSequence: 1, lines: [] },
    ]);
    await store.commitResults([commitRequest(attempt, SUCCEEDED)]);
    const then = `now() - ${daysAgo} * interval '1 day'`;
    for (const [table, time, own] of [
      ["task_finished", "finish_time", "id"],
      ["task_attempt", "end_time", "task_id"],
      ["task_output", "time", "task_id"],
      ["task_log", "time", "task_id"],
      ["event", "time", "task_id"],
    ] as const) {
      await db.query(
        `select muster.make_partition('${table}', d) from (select ((${then}) at time zone 'utc')::date as d) x
          where to_regclass('muster.${table}_' || to_char(d, 'YYYYMMDD')) is null`,
      );
      await db.query(`update muster.${table} set ${time} = ${then} where ${own} = $1`, [id]);
    }
    return id;
  }

  async function rows(id: number): Promise<number[]> {
    const [row] = await fixture.db.query<{ counts: number[] }>(
      `select array[(select count(*) from muster.task_finished where id = $1), (select count(*) from muster.task_attempt where task_id = $1),
              (select count(*) from muster.task_output where task_id = $1), (select count(*) from muster.task_log where task_id = $1), (select count(*) from muster.event where task_id = $1)]::int[] as counts`,
      [id],
    );
    return row?.counts ?? [];
  }

  /** Deletes until nothing is left to delete; returns the days with the tasks that were deleted. */
  async function purge(): Promise<string[]> {
    const deleted: string[] = [];
    let cursor: PurgeCursor | undefined;
    for (;;) {
      const step = await fixture.store.purgeStep(KEEP_DAYS, cursor);
      if (!step) return deleted;
      ({ cursor } = step);
      if (step.deleted > 0) deleted.push(`${cursor.queue} ${step.deleted}`);
    }
  }

  it("deletes ended tasks of the queue with all that belongs to them, and those of no other", async () => {
    const [old, young, other] = [
      await ended("previews", 10),
      await ended("previews", 1),
      await ended("orders", 10),
    ];
    const [open = 0] = await fixture.submit("kept", 1, { queue: "previews" });
    assert.deepEqual(await purge(), [], "no queue has a retention of its own");
    await set("previews", 2);
    assert.deepEqual(await purge(), ["previews 1"]);
    assert.deepEqual(await rows(old), [0, 0, 0, 0, 0]);
    for (const id of [young, other]) {
      const [finished, attempts, chunks, lines, events = 0] = await rows(id);
      assert.deepEqual([finished, attempts, chunks, lines], [1, 1, 1, 1]);
      assert.ok(events > 0);
    }
    assert.equal((await fixture.store.getTask(open))?.state, "queued");
    assert.deepEqual(await purge(), [], "a day is deleted once");
  });

  it("goes on where it is shortened, and stops where it is taken back", async () => {
    const [five, nine] = [await ended("reports", 5), await ended("reports", 9)];
    await set("reports", 7);
    assert.deepEqual(await purge(), ["reports 1"]);
    assert.equal((await rows(nine))[0], 0);
    await set("reports", undefined);
    assert.deepEqual(await purge(), []);
    assert.equal((await rows(five))[0], 1);
    await set("reports", 1);
    assert.deepEqual(await purge(), ["reports 1"]);
    assert.equal((await rows(five))[0], 0);
  });

  it("deletes a day in steps of which each can be repeated", async () => {
    const { db, store } = fixture;
    await ended("steps", 12);
    const classId = await fixture.classOf("kept", "steps");
    await db.query(
      `insert into muster.task_finished (id, finish_time, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload)
       select 50000000 + n, now() - interval '12 days', $1, 0, 3, 'succeeded', 1, 0, 1, now() - interval '12 days', repeat('x', 1500)::bytea
         from generate_series(1, 3000) n`,
      [classId],
    );
    await set("steps", 3);
    let first = await store.purgeStep(KEEP_DAYS, undefined);
    // Days without a partition come before.
    while (first?.deleted === 0) first = await store.purgeStep(KEEP_DAYS, first.cursor);
    assert.ok(
      (first?.deleted ?? 0) > 0 && (first?.deleted ?? 0) < 3_001,
      `${first?.deleted} in the first step`,
    );
    const again = await store.purgeStep(KEEP_DAYS, undefined);
    assert.deepEqual([again?.cursor.day, again?.deleted], [first?.cursor.day, 0]);
    const rest = await purge();
    const total = rest.reduce((sum, line) => sum + Number(line.split(" ")[1]), first?.deleted ?? 0);
    assert.equal(total, 3_001);
  });
});
