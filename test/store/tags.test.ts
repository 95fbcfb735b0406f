import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "../support/waits.ts";
import { commitRequest, EVERY_TASK, newTask, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

/** Tasks without tags, open and ended, beside those that are looked for. */
const OTHERS = 20_000;

describe("store: tags", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const list = async (...tags: string[]) =>
    (await fixture.store.listTasks({ ...EVERY_TASK, tags })).tasks.map(({ id }) => id);

  it("find tasks that have all of them, open and ended, for as long as the tasks are kept", async () => {
    const { store } = fixture;
    const [first = 0, second = 0] = await fixture.submit("tagged", 2, { options: { tags: ["a", "b"] } });
    const [third = 0] = await fixture.submit("tagged", 1, { options: { tags: ["b"] } });
    await fixture.submit("tagged", 1, { options: { timeouts: { runMs: 1_000 } } });
    await fixture.submit("tagged");
    assert.deepEqual(await list("b"), [third, second, first]);
    assert.deepEqual(await list("b", "a"), [second, first]);
    assert.deepEqual(await list("b", "c"), []);
    const attempt = await fixture.claimOne(first, await fixture.session());
    assert.deepEqual(attempt.options?.tags, ["a", "b"]);
    await store.commitResults([commitRequest(attempt, SUCCEEDED)]);
    await store.cancelTask(third, "over");
    assert.deepEqual(await list("b"), [third, second, first], "ended ones, too");
    assert.deepEqual((await store.getTask(third))?.options?.tags, ["b"]);
    await store.retryTask(third);
    assert.equal((await store.getTask(third))?.state, "queued");
    assert.deepEqual(await list("b"), [third, second, first]);
  });

  it("are those of the submit that replaced the task", async () => {
    const { store } = fixture;
    const classId = await fixture.classOf("replaced");
    const submit = async (tags: string[]) => {
      const [made] = await store.insertTasks([
        {
          task: newTask({ type: "replaced", uniqueKey: "key", onConflict: "replace", options: { tags } }),
          classId,
          assignTo: undefined,
        },
      ]);
      return made?.id ?? 0;
    };
    const id = await submit(["old"]);
    assert.equal(await submit(["new"]), id);
    assert.deepEqual([await list("old"), await list("new")], [[], [id]]);
  });

  it("are found by their indexes, a common tag and a rare one, whatever was asked before", async () => {
    const { db } = fixture;
    const classId = await fixture.classOf("many");
    await db.query(
      `insert into muster.task (class_id, priority, state, payload, options)
       select $1, 0, 0, '', case when n % 2 = 0 then '{"tags": ["common"]}'::jsonb end from generate_series(1, $2::int) n`,
      [classId, OTHERS],
    );
    await db.query(
      `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload, options)
       select 10000000 + n, $1, 0, 3, 'succeeded', 1, 0, 1, now(), '',
              case when n % 2 = 0 then '{"tags": ["common"]}'::jsonb end from generate_series(1, $2::int) n`,
      [classId, OTHERS],
    );
    await db.query("analyze muster.task");
    const [day] = await db.query<{ child: string }>(
      "select tableoid::regclass::text as child from muster.task_finished limit 1",
    );
    await db.query(`analyze ${day?.child}`);
    const rare = await fixture.submit("many", 3, { options: { tags: ["rare", "common"] } });
    await fixture.submit("many", 1_000);
    const before = await rowsRead(fixture);
    for (let n = 0; n < 8; n++) {
      assert.deepEqual(await list("rare"), [...rare].reverse());
      assert.deepEqual(await list("none"), []);
      assert.equal((await list("common")).length, EVERY_TASK.limit);
    }
    await fixture.closeStores();
    const read = await until("the statistics of the reads", async () => {
      const now = await rowsRead(fixture);
      return now > before ? now - before : undefined;
    });
    assert.ok(read < 8 * 3_000, `${read} rows were read by 24 lists`);
  });
});

/** Rows of tasks that scans came by, of the table and of indexes. */
async function rowsRead({ db }: StoreFixture): Promise<number> {
  const [row] = await db.query<{ read: string }>(
    `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as read from pg_stat_user_tables
      where relname = 'task' or relname like 'task_finished%'`,
  );
  return Number(row?.read ?? 0);
}
