/** What only PostgreSQL has of dependencies: concurrent transactions, the trigger on every end, plans, retention. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { SubmittedAfter } from "../../scheduler/src/domain/tasks/dependencies/dependencies.ts";
import type { NewTask } from "../../scheduler/src/domain/tasks/task.ts";
import { assertDependencies } from "../support/database/dependencies.ts";
import { until } from "../support/waits.ts";
import {
  commitRequest,
  decideLost,
  failed,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const BROKEN = failed("non_retryable");

const on = (taskId: number, condition: "succeeded" | "ended" = "succeeded"): SubmittedAfter => ({
  taskId,
  condition,
});

const previous = (entry: number): SubmittedAfter => ({ entry, condition: "succeeded" });

/** Four at a time: a store has a bounded number of connections. */
async function inLanes<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const left = items.entries();
  const lane = async () => {
    for (const [index, item] of left) await work(item, index);
  };
  await Promise.all(Array.from({ length: 4 }, lane));
}

describe("store: dependencies", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session();
  });
  after(() => fixture.close());

  async function insert(...tasks: readonly Partial<NewTask>[]): Promise<number[]> {
    const classId = await fixture.classOf("linked");
    const rows = await fixture.store.insertTasks(
      tasks.map((task) => ({ task: newTask({ type: "linked", ...task }), classId, assignTo: undefined })),
    );
    return rows.map(({ id }) => id);
  }

  async function submit(fields: Partial<NewTask> = {}): Promise<number> {
    const [id] = await insert(fields);
    assert.ok(id);
    return id;
  }

  async function run(
    taskId: number,
    outcome: Parameters<typeof commitRequest>[1] = SUCCEEDED,
  ): Promise<void> {
    const attempt = await fixture.claimOne(taskId, sessionId);
    await fixture.store.commitResults([commitRequest(attempt, outcome)]);
  }

  async function release(): Promise<{ released: number[]; ended: number[] }> {
    const [released, ended]: [number[], number[]] = [[], []];
    for (;;) {
      const step = await fixture.store.releaseDependents(20, 500);
      if (step.ends === 0) return { released, ended };
      released.push(...step.released.map(({ task }) => task.id));
      ended.push(...step.ended.map(({ id }) => id));
    }
  }

  /** State and detail of a task that must exist. */
  async function stateOf(id: number): Promise<string> {
    const task = await fixture.store.getTask(id);
    return `${task?.state}${task?.detail ? ` ${task.detail}` : ""}${task?.waitsForTasks ? " waits" : ""}`;
  }

  /** Every way in which a task ends; what it was submitted with, and what ends it. */
  const ENDS: Readonly<Record<string, { fields?: Partial<NewTask>; end: (id: number) => Promise<unknown> }>> =
    {
      "a success": { end: (id) => run(id) },
      "a failure": { end: (id) => run(id, BROKEN) },
      "the last retry": {
        fields: { options: { retry: { maxRetries: 0, backoff: { kind: "fixed", delaysMs: [0] } } as never } },
        end: (id) => run(id, failed("retryable")),
      },
      "a cancel in the queue": { end: (id) => fixture.store.cancelTask(id, "by hand") },
      "a cancel of a delayed task": {
        fields: { delayMs: 3_600_000 },
        end: (id) => fixture.store.cancelTask(id, "by hand"),
      },
      "a cancelled handler": {
        end: async (id) => {
          const attempt = await fixture.claimOne(id, sessionId);
          await fixture.store.cancelTask(id, "by hand");
          await fixture.store.commitResults([
            commitRequest({ ...attempt, cancelReason: "by hand" }, { kind: "cancelled" } as never),
          ]);
        },
      },
      "a deadline in the queue": {
        fields: { options: { timeouts: { queueWaitMs: 1 } } },
        end: async (id) => {
          await fixture.db.query("update task set start_deadline = now() - interval '1 s' where id = $1", [
            id,
          ]);
          await fixture.store.failOverdue(100);
        },
      },
      "the loss of its worker after a cancel": {
        end: async (id) => {
          const lost = await fixture.session();
          await fixture.claimOne(id, lost);
          await fixture.store.cancelTask(id, "by hand");
          await fixture.store.endSessions(
            [{ sessionId: lost, reason: "lost", fatal: undefined }],
            decideLost,
          );
        },
      },
      "the loss of its worker with its last retry": {
        fields: { options: { retry: { maxRetries: 0 } as never } },
        end: async (id) => {
          const lost = await fixture.session();
          await fixture.claimOne(id, lost);
          await fixture.store.endSessions(
            [{ sessionId: lost, reason: "lost", fatal: undefined }],
            decideLost,
          );
        },
      },
      "a newer task of its concurrency key": {
        fields: { concurrency: [{ key: "newest", limit: 1, onLimit: "cancel_running" }] },
        end: async () => {
          const concurrency = [{ key: "newest", limit: 1, onLimit: "cancel_running" as const }];
          const [made] = await fixture.store.resolveClasses([
            { queue: "default", type: "linked", requirements: { labels: {}, resources: [] }, concurrency },
          ]);
          await fixture.store.insertTasks([
            { task: newTask({ type: "linked", concurrency }), classId: made?.id ?? 0, assignTo: undefined },
          ]);
        },
      },
      "a row that was deleted by hand": {
        end: (id) => fixture.db.query("delete from task where id = $1", [id]),
      },
    };

  for (const [name, { fields = {}, end }] of Object.entries(ENDS))
    it(`counts ${name}`, async () => {
      const { concurrency } = fields;
      const [made] = await fixture.store.resolveClasses([
        { queue: "default", type: "linked", requirements: { labels: {}, resources: [] }, concurrency },
      ]);
      const [row] = await fixture.store.insertTasks([
        { task: newTask({ type: "linked", ...fields }), classId: made?.id ?? 0, assignTo: undefined },
      ]);
      const id = row?.id ?? 0;
      const [any = 0, success = 0] = await insert({ after: [on(id, "ended")] }, { after: [on(id)] });
      await end(id);
      const state = (await fixture.store.getTask(id))?.state ?? "cancelled";
      const { released, ended } = await release();
      if (state === "succeeded") assert.deepEqual([released, ended], [[any, success], []]);
      else assert.deepEqual([released, ended], [[any], [success]]);
      assert.equal(await stateOf(success), state === "succeeded" ? "queued" : `${state} DEPENDENCY_FAILED`);
      await assertDependencies(fixture.db);
    });

  it("does not release a task whose predecessor only waits for its retry", async () => {
    const id = await submit();
    const next = await submit({ after: [on(id)] });
    await run(id, failed("retryable"));
    assert.deepEqual(await release(), { released: [], ended: [] });
    assert.equal(await stateOf(next), "queued waits");
  });

  it("is exact while predecessors end and dependents are submitted at two schedulers", async () => {
    const other = fixture.another();
    const roots = await insert(...Array.from({ length: 100 }, () => ({})));
    const classId = await fixture.classOf("linked");
    const dependents: number[] = [];
    const claimed = await fixture.store.claim(roots.map((taskId) => ({ taskId, sessionId })));
    const submits = inLanes(roots, async (root, index) => {
      const rows = await (index % 2 ? other : fixture.store).insertTasks([
        { task: newTask({ type: "linked", after: [on(root)] }), classId, assignTo: undefined },
        {
          task: newTask({ type: "linked", after: [on(root, "ended"), previous(0)] }),
          classId,
          assignTo: undefined,
        },
      ]);
      dependents.push(...rows.map(({ id }) => id));
    });
    const commits = inLanes(claimed, async (attempt, index) => {
      await (index % 3 ? other : fixture.store).commitResults([
        commitRequest(attempt, index % 5 === 0 ? BROKEN : SUCCEEDED),
      ]);
    });
    const counted = new Map<number, number>();
    let over = false;
    const steps = [fixture.store, other].map(async (store) => {
      for (;;) {
        const last = over;
        const { ends, released, ended } = await store.releaseDependents(7, 3);
        for (const id of [...released.map(({ task }) => task.id), ...ended.map((each) => each.id)])
          counted.set(id, (counted.get(id) ?? 0) + 1);
        if (ends === 0 && last) return;
      }
    });
    await Promise.all([submits, commits]);
    over = true;
    await Promise.all(steps);
    assert.ok([...counted.values()].every((times) => times === 1));
    for (const id of dependents) {
      const task = await fixture.store.getTask(id);
      const [first] = await fixture.store.predecessors(id);
      assert.ok(first?.state, `task ${id}`);
      if (task?.waitsForTasks) {
        const open = (await fixture.store.predecessors(id)).filter(({ counted: end }) => !end);
        assert.ok(
          open.every(({ state }) => state === "queued"),
          `task ${id} waits for ${JSON.stringify(open)}`,
        );
      }
    }
    await assertDependencies(fixture.db);
  });

  it("ends a chain of 300 tasks one step at a time", async () => {
    const [root = 0, ...chain] = await insert(
      ...Array.from({ length: 300 }, (_, index) => (index === 0 ? {} : { after: [previous(index - 1)] })),
    );
    await run(root, BROKEN);
    const { ended } = await release();
    assert.deepEqual(ended, chain);
    const last = await fixture.store.getTask(chain.at(-1) ?? 0);
    assert.match(
      last?.failure?.message ?? "",
      new RegExp(
        `^t-${chain.at(-2)}, which it waited for, failed with DEPENDENCY_FAILED; the first of the chain was t-${root}, which failed with BROKE: it broke$`,
      ),
    );
    await assertDependencies(fixture.db);
  });

  describe("a retry by hand", () => {
    it("of a waiting task is refused, so that none starts early", async () => {
      const id = await submit();
      const next = await submit({ after: [on(id)] });
      assert.deepEqual(await fixture.store.retryTask(next), { outcome: "waits_for_tasks" });
      assert.equal(await stateOf(next), "queued waits");
    });

    it("of a dependent needs its predecessor to be open or to have succeeded", async () => {
      const id = await submit();
      const next = await submit({ after: [on(id)] });
      await run(id, BROKEN);
      await release();
      assert.deepEqual(await fixture.store.retryTask(next), {
        outcome: "dependency_failed",
        predecessorId: id,
        state: "failed",
      });
      assert.equal(await stateOf(next), "failed DEPENDENCY_FAILED");
      assert.equal((await fixture.store.retryTask(id))?.outcome, "queued");
      const again = await fixture.store.retryTask(next);
      assert.deepEqual(
        [again?.outcome, again?.outcome === "queued" && again.waitsForTasks],
        ["queued", true],
      );
      await run(id);
      assert.deepEqual((await release()).released, [next]);
      await run(next);
      assert.equal(await stateOf(next), "succeeded succeeded");
      await assertDependencies(fixture.db);
    });

    it("of a predecessor changes nothing for an end that was counted, and the new end is another one", async () => {
      const id = await submit();
      const [waits = 0] = await insert({ after: [on(id), on(await submit())] });
      await run(id);
      // The end is recorded and not counted yet when the task is open again and gets another dependent.
      assert.equal((await fixture.store.retryTask(id))?.outcome, "queued");
      const later = await submit({ after: [on(id)] });
      assert.deepEqual(await release(), { released: [], ended: [] });
      assert.equal(await stateOf(later), "queued waits");
      await run(id, BROKEN);
      assert.deepEqual((await release()).ended, [later]);
      assert.equal(await stateOf(waits), "queued waits");
    });

    it("of a task without dependencies is one statement as before", async () => {
      const id = await submit();
      await run(id);
      assert.equal((await fixture.store.retryTask(id))?.outcome, "queued");
      await run(id);
    });
  });

  it("a replaced task waits for the tasks that it waited for, then for the new delay", async () => {
    const id = await submit();
    const next = await submit({ after: [on(id)], uniqueKey: "replaced" });
    const [row] = await fixture.store.insertTasks([
      {
        task: newTask({ type: "linked", uniqueKey: "replaced", onConflict: "replace", delayMs: 3_600_000 }),
        classId: await fixture.classOf("linked"),
        assignTo: undefined,
      },
    ]);
    assert.equal(row?.id, next);
    assert.equal(await stateOf(next), "queued waits");
    await run(id);
    const step = await fixture.store.releaseDependents(10, 10);
    assert.ok((step.released[0]?.waitMs ?? 0) > 3_000_000);
  });

  it("a cancelled dependent ends for good, and its own dependents with it", async () => {
    const id = await submit();
    const [next = 0, last = 0] = await insert({ after: [on(id)] }, { after: [previous(0)] });
    await fixture.store.cancelTask(next, "by hand");
    assert.deepEqual((await release()).ended, [last]);
    await run(id);
    assert.deepEqual(await release(), { released: [], ended: [] });
    assert.equal(await stateOf(last), "cancelled DEPENDENCY_FAILED");
    assert.match((await fixture.store.getTask(last))?.cancelReason ?? "", /was cancelled: by hand/);
    await assertDependencies(fixture.db);
  });

  it("drops dependencies with the record of the dependent, and not before", async () => {
    const id = await submit();
    const [done = 0, open = 0] = await insert({ after: [on(id)] }, { after: [on(id), on(await submit())] });
    await run(id);
    await release();
    await run(done);
    await fixture.db.query(
      "update task_dependency set end_time = now() - interval '40 days' where end_time is not null",
    );
    await fixture.db.query("delete from task_finished where id = $1", [done]);
    await fixture.store.dropOld(30);
    const rows = await fixture.db.query<{ task_id: number }>(
      "select task_id from task_dependency where predecessor_id = $1",
      [id],
    );
    assert.deepEqual(
      rows.map(({ task_id }) => Number(task_id)),
      [open],
    );
  });
});

describe("store: plans of dependencies", () => {
  it("look up every row by an index, whatever the statistics are", async () => {
    const fixture = await openFixture();
    try {
      const { store, db } = fixture;
      for (const table of ["task", "task_dependency", "task_wait"])
        await db.query(`alter table ${table} set (autovacuum_enabled = off)`);
      const classId = await fixture.classOf("plans");
      const insert = (after?: readonly SubmittedAfter[]) =>
        Array.from({ length: 1_000 }, () => ({
          task: newTask({ type: "plans", ...(after ? { after } : {}) }),
          classId,
          assignTo: undefined,
        }));
      const roots = (await store.insertTasks(insert())).map(({ id }) => id);
      for (const root of roots.slice(0, 3)) await store.insertTasks(insert([on(root), on(roots[999] ?? 0)]));
      const sessionId = await fixture.session();
      for (const taskId of [...roots.slice(0, 3), roots[999] ?? 0]) {
        const attempt = await fixture.claimOne(taskId, sessionId);
        await store.commitResults([commitRequest(attempt, taskId === roots[0] ? BROKEN : SUCCEEDED)]);
        while ((await store.releaseDependents(20, 100)).ends > 0);
      }
      await store.predecessors(roots[0] ?? 0);
      await fixture.closeStores();
      const stats = await until("the statistics are there", async () => {
        const rows = await db.query<{ relname: string; ins: number; read: number }>(
          `select relname, n_tup_ins::int as ins, seq_tup_read::int as read from pg_stat_user_tables
            where relname in ('task', 'task_dependency', 'task_wait') order by relname`,
        );
        return rows.some(({ relname, ins }) => relname === "task_wait" && ins === 3_000) ? rows : undefined;
      });
      assert.deepEqual(
        stats.map(({ relname, read }) => [relname, read]),
        [
          ["task", 0],
          ["task_dependency", 0],
          ["task_wait", 0],
        ],
      );
    } finally {
      await fixture.close();
    }
  });
});
