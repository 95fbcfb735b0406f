import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { NewTask, TaskState } from "../../scheduler/src/domain/tasks/task.ts";
import { UniqueKeyHeldError } from "../../scheduler/src/domain/tasks/unique-keys/key-plan.ts";
import type { UniqueRule } from "../../scheduler/src/domain/tasks/unique-keys/unique-rule.ts";
import type { InsertedTask } from "../../scheduler/src/store/store.ts";
import { commitRequest, failed, newTask, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const STATES: readonly TaskState[] = ["queued", "assigned", "running", "succeeded", "failed", "cancelled"];

describe("store: unique keys", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session();
  });
  after(() => fixture.close());

  async function submit(uniqueKey: string, fields: Partial<NewTask> = {}, rule?: UniqueRule) {
    const type = fields.type ?? "keyed";
    const [row] = await fixture.store.insertTasks([
      {
        task: newTask({
          type,
          uniqueKey,
          ...fields,
          options: rule ? { ...fields.options, unique: rule } : fields.options,
        }),
        classId: await fixture.classOf(type),
        assignTo: undefined,
      },
    ]);
    assert.ok(row);
    return row;
  }

  /** Brings a queued task into a state. */
  async function bring(taskId: number, state: TaskState): Promise<void> {
    const { store } = fixture;
    if (state === "queued") return;
    if (state === "cancelled") return void (await store.cancelTask(taskId, "test"));
    const attempt = await fixture.claimOne(taskId, sessionId);
    if (state === "assigned") return;
    if (state === "running") {
      await store.touch([
        {
          key: attempt,
          acceptAgeMs: 1,
          startAgeMs: 1,
          phase: undefined,
          phaseAgeMs: undefined,
          progress: undefined,
        },
      ]);
      return;
    }
    await store.commitResults([
      commitRequest(attempt, state === "succeeded" ? SUCCEEDED : failed("non_retryable")),
    ]);
  }

  const HOLDING: readonly [UniqueRule | undefined, readonly TaskState[]][] = [
    [undefined, ["queued", "assigned", "running", "succeeded"]],
    [{ while: "queued" }, ["queued"]],
    [{ while: "active" }, ["assigned", "running"]],
    [{ while: "open" }, ["queued", "assigned", "running"]],
    [{ while: "recorded" }, STATES],
    [{ while: "queued", windowMs: 600_000 }, STATES],
  ];

  for (const [rule, holding] of HOLDING) {
    const name = rule === undefined ? "default" : Object.values(rule).join(" and ");
    it(`holds a key in its states, and frees it in the others (${name})`, async () => {
      for (const state of STATES) {
        const key = `states ${name} ${state}`;
        const first = await submit(key, {}, rule);
        await bring(first.id, state);
        const second = await submit(key, {}, rule);
        if (holding.includes(state)) {
          assert.deepEqual([second.id, second.conflict], [first.id, { outcome: "returned", state }], key);
        } else {
          assert.ok(second.id !== first.id && !second.duplicate && !second.conflict, key);
          assert.equal((await fixture.store.keyOwner("default", key))?.id, second.id);
        }
      }
    });
  }

  it("frees a key when its window is over, and when the record of its task is gone", async () => {
    const { db } = fixture;
    const rule: UniqueRule = { while: "queued", windowMs: 60_000 };
    const first = await submit("window", {}, rule);
    await bring(first.id, "failed");
    assert.equal((await submit("window", {}, rule)).id, first.id);
    await db.query("update task_finished set create_time = now() - interval '61 s' where id = $1", [
      first.id,
    ]);
    const second = await submit("window", {}, rule);
    assert.notEqual(second.id, first.id);
    const recorded = await submit("record", {}, { while: "recorded" });
    await bring(recorded.id, "succeeded");
    await db.query("delete from task_finished where id = $1", [recorded.id]);
    assert.equal(await fixture.store.keyOwner("default", "record"), undefined);
    assert.notEqual((await submit("record")).id, recorded.id);
  });

  it("gives a freed key to one of fifty submits at once", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const classId = await fixture.classOf("freed");
    for (let round = 0; round < 5; round++) {
      const key = `freed ${round}`;
      const first = await submit(key, { type: "freed" });
      await bring(first.id, round % 2 === 0 ? "failed" : "cancelled");
      const rows = (
        await Promise.all(
          Array.from({ length: 50 }, (_, n) =>
            (n % 2 === 0 ? store : other).insertTasks([
              { task: newTask({ type: "freed", uniqueKey: key }), classId, assignTo: undefined },
            ]),
          ),
        )
      ).flat();
      assert.equal(rows.filter(({ duplicate }) => !duplicate).length, 1);
      assert.equal(new Set(rows.map(({ id }) => id)).size, 1);
      assert.notEqual(rows[0]?.id, first.id);
    }
    assert.equal((await db.query("select 1 from task where class_id = $1", [classId])).length, 5);
  });

  it("refuses the retry of a task whose key another one holds, and gives it the key when that is free", async () => {
    const { store } = fixture;
    const first = await submit("retried");
    await bring(first.id, "failed");
    const second = await submit("retried");
    assert.deepEqual(await store.retryTask(first.id), {
      ...{ outcome: "key_held", key: "retried", holderId: second.id, holderState: "queued" },
    });
    assert.equal((await store.getTask(first.id))?.state, "failed", "it is not changed");
    await bring(second.id, "cancelled");
    assert.equal((await store.retryTask(first.id))?.outcome, "queued");
    assert.equal((await submit("retried")).id, first.id);
    assert.equal((await store.retryTask(second.id))?.outcome, "key_held");
  });

  it("lets one of two retries and a submit at once have the key", async () => {
    const { store } = fixture;
    const other = fixture.another();
    for (let round = 0; round < 20; round++) {
      const key = `raced ${round}`;
      const first = await submit(key);
      await bring(first.id, "failed");
      const second = await submit(key);
      await bring(second.id, "cancelled");
      const [one, two] = await Promise.all([
        store.retryTask(first.id),
        other.retryTask(second.id),
        submit(key),
      ]);
      const open = [];
      for (const id of [first.id, second.id])
        if ((await store.getTask(id))?.state === "queued") open.push(id);
      const owner = await store.keyOwner("default", key);
      assert.ok(owner);
      assert.equal(open.length, open.includes(owner.id) ? 1 : 0, JSON.stringify({ one, two, owner }));
    }
  });

  it("lets a task run on without its key when it is requeued after another one took it", async () => {
    const { store } = fixture;
    const rule: UniqueRule = { while: "queued" };
    const first = await submit("requeued", {}, rule);
    const attempt = await fixture.claimOne(first.id, sessionId);
    const second = await submit("requeued", {}, rule);
    assert.notEqual(second.id, first.id);
    await store.commitResults([commitRequest(attempt, failed())]);
    assert.equal((await store.getTask(first.id))?.state, "queued");
    assert.equal((await submit("requeued", {}, rule)).id, second.id);
    assert.equal(
      (await store.retryTask(first.id))?.outcome,
      "queued",
      "one that waits has its retry at once",
    );
  });

  it("replaces everything that a submit gives, and nothing else", async () => {
    const { store, db } = fixture;
    const before = await submit(
      "whole",
      { payload: Buffer.from("old"), headers: { a: "1" }, priority: 1, delayMs: 60_000 },
      { while: "open" },
    );
    const old = await store.getTask(before.id);
    const after = await submit(
      "whole",
      {
        ...{ payload: Buffer.from("new"), contentType: "text/plain", headers: { b: "2" }, priority: 7 },
        options: { timeouts: { queueWaitMs: 5_000 } },
        onConflict: "replace",
      },
      { while: "queued" },
    );
    assert.deepEqual(after, {
      ...{ id: before.id, duplicate: false, assigned: false },
      conflict: { outcome: "replaced", state: "queued" },
    });
    const task = await store.getTask(before.id);
    assert.deepEqual(
      [String(task?.payload), task?.contentType, task?.headers, task?.priority, task?.runTime, task?.options],
      [
        ...["new", "text/plain", { b: "2" }, 7, undefined],
        { timeouts: { queueWaitMs: 5_000 }, unique: { while: "queued" } },
      ],
    );
    assert.deepEqual([task?.createTime, task?.uniqueKey, task?.epoch], [old?.createTime, "whole", 0]);
    const events = await db.query<{ name: string; attributes: object }>(
      "select name, attributes from event where task_id = $1",
      [before.id],
    );
    assert.deepEqual(events, [{ name: "replaced", attributes: { unique_key: "whole", payload_bytes: "3" } }]);
  });

  it("refuses to replace a task that runs, and one of another type", async () => {
    const running = await submit("running", {}, { while: "open" });
    await bring(running.id, "running");
    await submit("typed", { type: "keyed" });
    const refusal = async (key: string, type: string) => {
      const error = await submit(key, { type, onConflict: "replace" }).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof UniqueKeyHeldError);
      return error.conflicts[0];
    };
    assert.deepEqual(await refusal("running", "keyed"), {
      ...{
        index: 0,
        key: "running",
        holderId: running.id,
        holderState: "running",
        holderIndex: undefined,
        why: "not_queued",
      },
    });
    assert.equal((await refusal("typed", "other"))?.why, "other_class");
  });

  it("gives a claim at the same moment the old work whole, or the new", async () => {
    const { store } = fixture;
    const other = fixture.another();
    const rule: UniqueRule = { while: "queued" };
    const version = (n: number): Partial<NewTask> => ({
      payload: Buffer.from(String(n)),
      headers: { n: String(n) },
      options: { timeouts: { runMs: n } },
    });
    const outcomes = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const first = await submit(`claimed ${round}`, version(1), rule);
      const [claimed, answer] = await Promise.all([
        store.claim([{ taskId: first.id, sessionId }]),
        (async () => {
          const classId = await fixture.classOf("keyed");
          const task = newTask({
            ...{ type: "keyed", uniqueKey: `claimed ${round}`, onConflict: "replace" as const },
            ...version(2),
          });
          const unique = { ...task.options, unique: rule };
          return (
            await other.insertTasks([{ task: { ...task, options: unique }, classId, assignTo: undefined }])
          )[0];
        })(),
      ]);
      assert.ok(answer);
      const [attempt, ...more] = [...claimed, ...(await store.claim([{ taskId: first.id, sessionId }]))];
      assert.ok(attempt && more.length === 0);
      const n = answer.conflict?.outcome === "replaced" ? 2 : 1;
      outcomes.add(n === 2 ? "replaced" : "new task");
      assert.deepEqual(
        [String(attempt.payload), attempt.headers, attempt.options?.timeouts],
        [String(n), { n: String(n) }, { runMs: n }],
      );
      assert.equal(answer.id === first.id, n === 2);
    }
    assert.ok(outcomes.size > 0);
  });

  it("replaces and claims in batches of opposite orders without a deadlock", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const classId = await fixture.classOf("crossed");
    const keys = Array.from({ length: 200 }, (_, n) => `crossed ${n}`);
    const batch = (at: typeof store, order: readonly string[]): Promise<InsertedTask[]> =>
      at.insertTasks(
        order.map((uniqueKey) => ({
          task: newTask({
            ...{ type: "crossed", uniqueKey, onConflict: "replace" as const },
            options: { unique: { while: "queued" } },
          }),
          classId,
          assignTo: undefined,
        })),
      );
    const claims = async () => {
      for (let n = 0; n < 8; n++) {
        const waiting = await store.waitingTasks([classId], 100);
        await store.claim(waiting.toReversed().map(({ id }) => ({ taskId: id, sessionId })));
      }
    };
    const answers = await Promise.allSettled([
      ...Array.from({ length: 8 }, (_, n) =>
        batch(n % 2 === 0 ? store : other, n % 2 === 0 ? keys : keys.toReversed()),
      ),
      claims(),
    ]);
    assert.deepEqual(
      answers.flatMap((answer) => (answer.status === "rejected" ? [String(answer.reason)] : [])),
      [],
    );
    const [row] = await db.query<{ deadlocks: string }>(
      "select deadlocks::text from pg_stat_database where datname = current_database()",
    );
    assert.equal(row?.deadlocks, "0");
  });

  it("assigns tasks without a key in the statement of those with one", async () => {
    const classId = await fixture.classOf("mixed");
    const inserted = await fixture.store.insertTasks(
      [
        { task: newTask({ type: "mixed", uniqueKey: "mixed" }), classId, assignTo: undefined },
        { task: newTask({ type: "mixed" }), classId, assignTo: sessionId },
      ],
      "a",
    );
    assert.deepEqual(
      inserted.map(({ assigned }) => assigned),
      [false, true],
    );
  });

  it("drops the keys of records that are gone, but none that a submit holds", async () => {
    const { store, db } = fixture;
    const [gone, taken] = [await submit("gone"), await submit("taken")];
    for (const { id } of [gone, taken]) {
      await bring(id, "succeeded");
      await db.query("delete from task_finished where id = $1", [id]);
    }
    await db.query(
      "update task_key set create_time = now() - interval '30 days' where key in ('gone', 'taken')",
    );
    const next = await submit("taken");
    await store.dropOld(7);
    assert.equal((await db.query("select from task_key where key = 'gone'")).length, 0);
    assert.equal((await store.keyOwner("default", "taken"))?.id, next.id);
  });
});
