import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TaskFilter } from "../../scheduler/src/store/store.ts";
import { commitRequest, EVERY_TASK, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const HOUR_MS = 3_600_000;

/** Ended tasks, one a second, the last a minute ago. */
const MANY = 60_000;

describe("store: lists of tasks by time and failure", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const list = async (filter: Partial<TaskFilter>) =>
    (await fixture.store.listTasks({ ...EVERY_TASK, ...filter })).tasks.map(({ id }) => id);

  it("find the text of an error and its code, of ended tasks and of those that wait for a retry", async () => {
    const { store } = fixture;
    const [first = 0, second = 0, third = 0] = await fixture.submit("erring", 4);
    const sessionId = await fixture.session();
    const end = async (id: number, outcome: Parameters<typeof commitRequest>[1]) =>
      store.commitResults([commitRequest(await fixture.claimOne(id, sessionId), outcome)]);
    const fails = (code: string) => {
      const message = "Cannot reach 10.0.0.1 (50% done)";
      return { kind: "failed", failure: { failureClass: "non_retryable", code, message } } as const;
    };
    await end(first, fails("BROKE"));
    await end(second, fails("OTHER"));
    await end(third, SUCCEEDED);
    await fixture.db.query("update muster.task set failure = $2 where id = $1", [
      (await list({ types: ["erring"], states: ["queued"] }))[0],
      JSON.stringify({ class: "retryable", code: "REFUSED", message: "cannot reach it" }),
    ]);
    const all = { types: ["erring"] };
    const [open] = await list({ ...all, states: ["queued"] });
    assert.deepEqual(await list({ ...all, errorText: "CANNOT reach" }), [open, second, first]);
    assert.deepEqual(
      await list({ ...all, errorText: "0% d" }),
      [second, first],
      "nothing in it is a pattern",
    );
    assert.deepEqual(await list({ ...all, errorText: "refus" }), [open], "codes, too");
    assert.deepEqual(await list({ ...all, failureCodes: ["OTHER", "REFUSED"] }), [open, second]);
    assert.deepEqual(await list({ ...all, failureCodes: ["OTHER"], states: ["queued"] }), []);
    assert.deepEqual(await list({ ...all, errorText: "reach", states: ["failed"] }), [second, first]);
    const scope = {
      taskIds: [],
      batchId: undefined,
      uniqueKey: undefined,
      minAgeMs: undefined,
      maxAgeMs: undefined,
    };
    const changed = await store.changeScope(
      { kind: "retry" },
      {
        ...EVERY_TASK,
        ...scope,
        minEndedAgeMs: undefined,
        maxEndedAgeMs: undefined,
        errorText: "cannot reach",
      },
      undefined,
    );
    const found = await store.tasksToChange(changed, { source: "ended", id: 0 }, 100);
    assert.deepEqual(
      found.tasks.map(({ id }) => id),
      [first, second],
      "a change of many finds the same",
    );
  });

  it("find a time among many tasks by their ids, without reading the others", async () => {
    const { db, store } = fixture;
    const classId = await fixture.classOf("timed");
    await db.query(
      `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, finish_time, payload)
       select 1000000 + n, $1, 0, 3, 'succeeded', 1, 0, 1, now() - make_interval(secs => 60 + $2 - n),
              now() - make_interval(secs => 59 + $2 - n), '' from generate_series(1, $2::int) n`,
      [classId, MANY],
    );
    await db.query("select setval(pg_get_serial_sequence('muster.task', 'id'), 2000000)");
    await db.query("analyze muster.task_finished");
    const [row] = await db.query<{ now: Date }>("select now()");
    const now = row?.now.getTime() ?? 0;
    const types = ["timed"];
    const [newest] = await fixture.submit("timed");
    const secondsAgo = (id: number) => 60 + MANY - (id - 1_000_000);
    const hour = await list({ types, created: { fromMs: now - 10 * HOUR_MS, toMs: now - 9 * HOUR_MS } });
    assert.equal(hour.length, EVERY_TASK.limit);
    assert.ok(
      Math.abs(secondsAgo(hour[0] ?? 0) - (9 * HOUR_MS) / 1_000) <= 30,
      "the newest of that hour first",
    );
    assert.deepEqual(await list({ types, created: { fromMs: now - HOUR_MS }, limit: 1 }), [newest]);
    assert.deepEqual(await list({ types, created: { toMs: now - 17 * HOUR_MS } }), []);
    assert.equal((await list({ types, ended: { fromMs: now - 70_000 } })).length, 11, "ended ones only");
    const [ended] = await list({ types, ended: { toMs: now - 5 * HOUR_MS }, limit: 1 });
    assert.ok(Math.abs(secondsAgo(ended ?? 0) - (5 * HOUR_MS) / 1_000) <= 30);
    const page = await store.listTasks({
      ...EVERY_TASK,
      ...{ types, created: { fromMs: now - 2 * HOUR_MS, toMs: now - 2 * HOUR_MS + 5_000 } },
    });
    assert.ok(page.tasks.length >= 5 && page.tasks.length <= 6, `${page.tasks.length}`);
    assert.equal(page.beforeId, undefined, "all of it was looked at");
  });

  it("look at a bounded number of tasks for a page, and go on after them", async () => {
    const types = ["rare"];
    const { db, store } = fixture;
    const classId = await fixture.classOf("rare");
    const code = JSON.stringify({ class: "non_retryable", code: "DULL", message: "m" });
    await db.query(
      `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, finish_time, payload, failure)
       select 3000000 + n, $1, 0, 4, 'DULL', 1, 0, 1, now(), now(), '',
              case n when 1 then '{"class":"non_retryable","code":"RARE","message":"m"}'::jsonb else $2::jsonb end
         from generate_series(1, 20010) n`,
      [classId, code],
    );
    const first = await store.listTasks({ ...EVERY_TASK, types, failureCodes: ["RARE"] });
    assert.deepEqual([first.tasks.length, first.beforeId], [0, 3_000_011]);
    const second = await store.listTasks({
      ...EVERY_TASK,
      types,
      failureCodes: ["RARE"],
      beforeId: first.beforeId,
    });
    assert.deepEqual([second.tasks.map(({ id }) => id), second.beforeId], [[3_000_001], undefined]);
  });
});
