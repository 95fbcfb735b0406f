import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Step, StepCondition, StepState } from "../../scheduler/src/domain/tasks/attempts/step.ts";
import { STEP_STATES } from "../../scheduler/src/domain/tasks/attempts/step.ts";
import type { TaskFilter } from "../../scheduler/src/store/store.ts";
import { until } from "../support/waits.ts";
import { commitRequest, EVERY_TASK, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

/** Tasks without a step that a list must not read. */
const OTHERS = 10_000;

const FILTER: TaskFilter = { ...EVERY_TASK, limit: 10 };

describe("store: tasks by their steps", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  /** A task whose attempt has reported these steps; it ends unless its outcome is undefined. */
  async function stepped(
    type: string,
    states: Readonly<Record<string, StepState>>,
    outcome: Parameters<typeof commitRequest>[1] | undefined = SUCCEEDED,
  ): Promise<number> {
    const { store } = fixture;
    const [taskId = 0] = await fixture.submit(type);
    const attempt = await fixture.claimOne(taskId, await fixture.session());
    const steps = Object.fromEntries(
      Object.entries(states).map(([name, state], index): [string, Step] => [
        name,
        { state, place: index + 1, epoch: attempt.epoch, atMs: 1_000, code: "A", message: "b" },
      ]),
    );
    if (outcome === undefined)
      await store.touch([
        {
          key: { taskId, epoch: attempt.epoch },
          ...{ acceptAgeMs: 1, startAgeMs: 1, phase: undefined, phaseAgeMs: undefined, progress: undefined },
          steps,
        },
      ]);
    else await store.commitResults([{ ...commitRequest(attempt, outcome), steps }]);
    return taskId;
  }

  const list = async (step: StepCondition, filter: Partial<TaskFilter> = {}) => {
    const { tasks, beforeId } = await fixture.store.listTasks({ ...FILTER, ...filter, step });
    return { ids: tasks.map(({ id }) => id), beforeId };
  };

  it("are listed newest first, open and ended ones, by name and state and with other conditions", async () => {
    const type = "listed";
    const failing = await stepped(type, { work: "done", create_pr: "failed" });
    const running = await stepped(type, { create_pr: "pending" }, undefined);
    const done = await stepped(type, { create_pr: "done", notify: "failed" });
    const broken = await stepped(type, { create_pr: "failed" }, failed());
    await stepped("another", { create_pr: "failed" });
    await fixture.submit(type);
    const named = (...states: StepState[]) => ({ name: "create_pr", states });
    const of = async (step: StepCondition, filter: Partial<TaskFilter> = {}) =>
      (await list(step, { types: [type], ...filter })).ids;
    assert.deepEqual(await of(named(...STEP_STATES)), [broken, done, running, failing]);
    assert.deepEqual(await of(named("failed")), [broken, failing]);
    assert.deepEqual(await of(named("pending")), [running]);
    assert.deepEqual(await of(named("done")), [done]);
    assert.deepEqual(await of(named("failed"), { states: ["succeeded"] }), [failing]);
    assert.deepEqual(await of(named("failed"), { beforeId: broken }), [failing]);
    assert.deepEqual(await of(named("failed"), { details: ["held"] }), []);
    assert.deepEqual(await of(named("failed"), { tags: ["none"] }), []);
    assert.deepEqual(await of({ name: "deploy", states: STEP_STATES }), []);
    assert.deepEqual(await list(named("failed"), { types: [type], limit: 1 }), {
      ids: [broken],
      beforeId: undefined,
    });
  });

  it("are found without reading the tasks that have none, or none that failed", async () => {
    const { db } = fixture;
    const classId = await fixture.classOf("many");
    await db.query(
      `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload, options)
       select 20000000 + n, $1, 0, 3, 'succeeded', 1, 0, 1, now(), '', case when n % 2 = 0
         then '{"steps": {"work": {"state": "done", "place": 1, "epoch": 1, "atMs": 1}}}'::jsonb end from generate_series(1, $2::int) n`,
      [classId, OTHERS],
    );
    await db.query("vacuum analyze muster.task_finished");
    const rare = await stepped("many", { rare: "failed" });
    const before = await rowsRead(fixture);
    for (let n = 0; n < 8; n++) {
      assert.deepEqual((await list({ name: "rare", states: ["failed"] })).ids, [rare]);
      assert.equal((await list({ name: "work", states: ["done"] })).ids.length, FILTER.limit);
    }
    await fixture.closeStores();
    const read = await until("the statistics of the reads", async () => {
      const now = await rowsRead(fixture);
      return now > before ? now - before : undefined;
    });
    assert.ok(read < 8 * 200, `${read} rows were read by 16 lists`);
  });
});

describe("store: a list by a step that few of many tasks have", () => {
  it("is read in pages, each of a bounded look", async () => {
    const fixture = await openFixture();
    try {
      const { db, store } = fixture;
      const classId = await fixture.classOf("deep");
      // 20,000 newer ones hide the one that is looked for.
      await db.query(
        `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload, options)
         select 30000000 + n, $1, 0, 3, 'succeeded', 1, 0, 1, now(), '', jsonb_build_object('steps', jsonb_build_object(
           case n when 1 then 'rare' else 'work' end, '{"state": "done", "place": 1, "epoch": 1, "atMs": 1}'::jsonb))
           from generate_series(1, 20010) n`,
        [classId],
      );
      const step = { name: "rare", states: ["done"] } as const;
      const first = await store.listTasks({ ...FILTER, step });
      assert.deepEqual([first.tasks.length, first.beforeId], [0, 30_000_011]);
      const second = await store.listTasks({ ...FILTER, beforeId: first.beforeId, step });
      assert.deepEqual([second.tasks.map(({ id }) => id), second.beforeId], [[30_000_001], undefined]);
    } finally {
      await fixture.close();
    }
  });
});

/** Rows of ended tasks that scans came by, of the table and of indexes. */
async function rowsRead({ db }: StoreFixture): Promise<number> {
  const [row] = await db.query<{ read: string }>(
    `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as read from pg_stat_user_tables
      where relname like 'task_finished%'`,
  );
  return Number(row?.read ?? 0);
}
