import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ConcurrencyKey } from "../../scheduler/src/domain/tasks/limits/concurrency.ts";
import type { InsertedTask, Store } from "../../scheduler/src/store/store.ts";
import { commitRequest, NO_REQUIREMENTS, newTask, openFixture, type StoreFixture } from "./fixture.ts";

describe("store: policies of concurrency keys", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("holder", { schedulerId: "a" });
  });
  after(() => fixture.close());

  async function submit(keys: readonly ConcurrencyKey[], store: Store = fixture.store, fields = {}) {
    const wanted = { queue: "default", type: "deploy", requirements: NO_REQUIREMENTS, concurrency: keys };
    const [made] = await store.resolveClasses([wanted]);
    const [row] = await store.insertTasks([
      { task: newTask({ ...wanted, ...fields }), classId: made?.id ?? 0, assignTo: undefined },
    ]);
    assert.ok(row);
    return row;
  }

  const openOf = async (key: string) => {
    const [row] = await fixture.db.query<{ count: number }>(
      "select count(*)::int as count from task join class_key using (class_id) where key = $1",
      [key],
    );
    return row?.count;
  };

  it("never has more open tasks than the limit, however many submits of two schedulers race", async () => {
    const other = fixture.another();
    const keys = (limit: number): ConcurrencyKey[] => [{ key: "race", limit, onLimit: "cancel_newest" }];
    for (let round = 0; round < 10; round++) {
      const rows: InsertedTask[] = await Promise.all(
        Array.from({ length: 12 }, (_, index) =>
          submit(
            keys(3),
            index % 2 === 0 ? other : fixture.store,
            index % 3 === 0 ? { uniqueKey: `u-${round}-${index}` } : {},
          ),
        ),
      );
      const accepted = rows.filter(({ limits }) => limits === undefined);
      assert.equal(accepted.length, 3);
      assert.equal(await openOf("race"), 3);
      for (const { id } of accepted) await fixture.store.cancelTask(id, "next round");
    }
  });

  it("leaves the newest ones of a race with cancel_running, and deadlocks with no claim or end", async () => {
    const other = fixture.another();
    const keys: ConcurrencyKey[] = [{ key: "latest", limit: 2, onLimit: "cancel_running" }];
    const rows: InsertedTask[] = [];
    let submitting = true;
    const claiming = (async () => {
      while (submitting) {
        const waiting = rows
          .filter(({ limits }) => !limits?.reached)
          .map(({ id }) => ({ taskId: id, sessionId }));
        const { claimed } = await other.claimKeyed(waiting.slice(-3), "a");
        await other.commitResults(
          claimed.map((attempt) => commitRequest(attempt, { kind: "released", reason: "drain" })),
        );
      }
    })();
    try {
      for (let round = 0; round < 10; round++)
        rows.push(
          ...(await Promise.all([0, 1, 2].map((n) => submit(keys, n === 0 ? other : fixture.store)))),
        );
    } finally {
      submitting = false;
      await claiming;
    }
    const left = await fixture.db.query<{ id: number; cancelling: boolean }>(
      `select id::int, cancel_time is not null as cancelling from task join class_key using (class_id)
        where key = 'latest' order by id`,
    );
    const newest = rows
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .slice(-2);
    assert.deepEqual(
      left.filter(({ cancelling }) => !cancelling).map(({ id }) => id),
      newest,
    );
  });

  it("records why, and leaves a command for the scheduler that holds the worker", async () => {
    const keys: ConcurrencyKey[] = [{ key: "site-4", limit: 1, onLimit: "cancel_running" }];
    const first = await submit(keys);
    await fixture.store.claimKeyed([{ taskId: first.id, sessionId }], "a");
    await fixture.store.takeCommands("a");
    const second = await submit(keys);
    const third = await submit(keys);
    const reason = (by: InsertedTask) =>
      `the newer task t-${by.id} took its place for the concurrency key "site-4"`;
    assert.deepEqual(await fixture.store.takeCommands("a"), [
      { sessionId, kind: "cancel", body: { task_id: String(first.id), epoch: "1", reason: reason(second) } },
    ]);
    const active = await fixture.store.getTask(first.id);
    assert.deepEqual([active?.state, active?.cancelReason], ["assigned", reason(second)]);
    const ended = await fixture.store.getTask(second.id);
    assert.deepEqual(
      [ended?.state, ended?.detail, ended?.cancelReason, ended?.options?.limited],
      ["cancelled", "SUPERSEDED", reason(third), { kind: "superseded", key: "site-4", by: third.id }],
    );
    const events = await fixture.db.query<{ name: string; attributes: object }>(
      "select name, attributes from event where task_id = any($1::bigint[]) order by id",
      [[first.id, second.id]],
    );
    assert.deepEqual(events, [
      { name: "cancel_requested", attributes: { code: "SUPERSEDED", reason: reason(second) } },
      { name: "cancelled", attributes: { code: "SUPERSEDED", reason: reason(third) } },
    ]);
  });
});
