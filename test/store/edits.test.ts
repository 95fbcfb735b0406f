import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  commitRequest,
  failed,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const HOUR_MS = 3_600_000;

describe("store: edits", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const task = async (id: number) =>
    (await fixture.store.getTask(id)) ?? assert.fail(`there is no task ${id}`);
  const edited = async (id: number, edit: Parameters<typeof fixture.store.editTask>[1]) => {
    const result = await fixture.store.editTask(id, edit, "why (by ada)");
    return result?.outcome === "edited" ? result : assert.fail(`${result?.outcome}`);
  };

  it("change priority, run timeout and retries of a waiting task, and record what they were", async () => {
    const { store } = fixture;
    const [id = 0, other = 0] = await fixture.submit("edit", 2);
    const classId = await fixture.classOf("edit");
    const edit = { priority: 7, runTimeoutMs: 90_000, maxRetries: 9 };
    const { changes, task: waits, attempt, startsIn } = await edited(id, edit);
    assert.deepEqual([waits, attempt, startsIn], [{ id, classId, priority: 7 }, undefined, undefined]);
    assert.deepEqual(
      changes.map(({ field, before, after }) => [field, before, after]),
      [
        ["priority", "0", "7"],
        ["run_timeout_ms", "", "90000"],
        ["max_retry_count", "", "9"],
      ],
    );
    const found = await task(id);
    assert.deepEqual(
      [found.priority, found.options?.timeouts?.runMs, found.options?.retry?.maxRetries],
      [7, 90_000, 9],
    );
    const [event] = (await store.latestTaskEvents(id, 10)).filter(({ name }) => name === "edited");
    assert.deepEqual(event?.attributes, {
      ...{
        priority_before: "0",
        priority_after: "7",
        run_timeout_ms_before: "",
        run_timeout_ms_after: "90000",
      },
      ...{ max_retry_count_before: "", max_retry_count_after: "9", reason: "why (by ada)" },
    });
    assert.deepEqual(await store.editTask(id, edit, "again"), { outcome: "unchanged" });
    assert.deepEqual(
      (await store.waitingTasks([classId], 10)).map((each) => each.id),
      [id, other],
      "a claim takes them in the new order",
    );
    const [claimed] = await store.claim([{ taskId: id, sessionId: await fixture.session() }]);
    assert.equal(claimed?.options?.timeouts?.runMs, 90_000);
    const during = await edited(id, { priority: 1, maxRetries: 0 });
    assert.deepEqual(during.attempt, { key: { taskId: id, epoch: 1 }, sessionId: claimed?.sessionId });
    assert.deepEqual(await store.editTask(id, { start: { delayMs: 0 } }, "late"), {
      ...{ outcome: "refused", why: "started" },
    });
    if (claimed) await store.commitResults([commitRequest(claimed, SUCCEEDED)]);
    assert.deepEqual(await store.editTask(id, { priority: 2 }, "late"), { outcome: "refused", why: "ended" });
    assert.equal((await task(id)).priority, 1);
    assert.equal(await store.editTask(2 ** 40, { priority: 2 }, "nothing there"), undefined);
    assert.equal((await task(other)).priority, 0);
  });

  it("give a task with a strict order the class of its priority while it waits", async () => {
    const { store } = fixture;
    const concurrency = (priority: number) => [{ key: "order", limit: 1, strict: { priority } }];
    const submit = async (priority: number, count: number) => {
      const wanted = {
        ...{ queue: "default", type: "strict", requirements: NO_REQUIREMENTS },
        concurrency: concurrency(priority),
      };
      const [made] = await store.resolveClasses([wanted]);
      const insert = {
        task: newTask({ ...wanted, priority }),
        classId: made?.id ?? 0,
        assignTo: undefined,
      };
      return (await store.insertTasks(Array.from({ length: count }, () => insert))).map(({ id }) => id);
    };
    const [first = 0, second = 0] = await submit(0, 2);
    const before = await task(first);
    const done = await edited(first, { priority: 4, maxRetries: 2 });
    const after = await task(first);
    assert.deepEqual([after.priority, after.options?.retry?.maxRetries], [4, 2]);
    assert.deepEqual([done.classBefore, done.task.classId], [before.classId, after.classId]);
    assert.notEqual(after.classId, before.classId);
    assert.deepEqual(after.concurrency, concurrency(4));
    assert.deepEqual((await task(second)).classId, before.classId);
    assert.equal((await store.editTask(first, { priority: 4 }, "again"))?.outcome, "unchanged");
    // The same class as of one that was submitted so.
    const [third = 0] = await submit(4, 1);
    assert.equal((await task(third)).classId, after.classId);
    const claims = [{ taskId: first, sessionId: await fixture.session() }];
    const [claimed] = (await store.claimKeyed(claims)).claimed;
    assert.ok(claimed);
    assert.deepEqual(await store.editTask(first, { priority: 5 }, "late"), {
      ...{ outcome: "refused", why: "strict_order" },
    });
    await store.commitResults([commitRequest(claimed, SUCCEEDED)]);
  });

  it("move the start of a task that waits for a worker, its time or a retry, with its queue timeout", async () => {
    const { store } = fixture;
    const options = { timeouts: { queueWaitMs: HOUR_MS } };
    const [id = 0] = await fixture.submit("start", 1, { options });
    const later = await edited(id, { start: { delayMs: HOUR_MS } });
    assert.ok(Math.abs((later.startsIn ?? 0) - HOUR_MS) < 60_000);
    assert.equal(later.changes[0]?.before, "");
    const { runTime } = await task(id);
    assert.equal(new Date(later.changes[0]?.after ?? "").getTime(), runTime?.getTime());
    const deadline = async () => {
      const [row] = await fixture.db.query<{ ms: string }>(
        "select extract(epoch from start_deadline - create_time)::float8 * 1000 as ms from muster.task where id = $1",
        [id],
      );
      return Number(row?.ms ?? Number.NaN);
    };
    assert.ok(Math.abs((await deadline()) - 2 * HOUR_MS) < 60_000, "it begins with the start");
    const now = await edited(id, { start: { runAtMs: 1_000 } });
    assert.equal(now.startsIn, 0);
    assert.equal(now.changes[0]?.after, "");
    assert.ok(Math.abs((await deadline()) - HOUR_MS) < 60_000);
    const sessionId = await fixture.session();
    await store.commitResults([commitRequest(await fixture.claimOne(id, sessionId), failed())]);
    assert.ok((await task(id)).runTime, "it waits for its retry");
    assert.equal((await edited(id, { start: { delayMs: 0 } })).startsIn, 0);
    assert.equal((await fixture.claimOne(id, sessionId)).epoch, 2);
  });

  it("keep a held task held, and leave one that waits for others its start", async () => {
    const { store } = fixture;
    const [held = 0, first = 0] = await fixture.submit("kept", 2);
    const [next = 0] = await fixture.submit("kept", 1, { after: [{ taskId: first, condition: "ended" }] });
    await store.holdTask(held, "why");
    assert.equal((await edited(held, { start: { delayMs: HOUR_MS }, priority: 3 })).startsIn, undefined);
    const { hold, runTime, priority } = await task(held);
    assert.deepEqual([hold?.reason, priority], ["why", 3]);
    const released = await store.releaseTask(held, "over");
    assert.ok(released?.outcome === "released" && (released.waitMs ?? 0) > HOUR_MS - 60_000);
    assert.deepEqual((await task(held)).runTime, runTime);
    assert.deepEqual(await store.editTask(next, { start: { delayMs: 0 } }, "no"), {
      ...{ outcome: "refused", why: "waits_for_tasks" },
    });
    assert.equal((await edited(next, { priority: 4 })).startsIn, undefined);
    assert.equal((await task(next)).waitsForTasks, true);
  });

  it("are lost by none of ten that race each other and a claim", async () => {
    const other = fixture.another();
    const sessionId = await fixture.session();
    const [id = 0] = await fixture.submit("race");
    const values = Array.from({ length: 10 }, (_, n) => n + 1);
    const claim = other.claim([{ taskId: id, sessionId }]);
    const results = await Promise.all(
      values.map((maxRetries, index) =>
        (index % 2 === 0 ? other : fixture.store).editTask(
          id,
          { priority: maxRetries, maxRetries: 50 + maxRetries },
          "race",
        ),
      ),
    );
    assert.equal((await claim).length, 1);
    assert.ok(results.every((result) => result?.outcome === "edited"));
    const { priority, options, state } = await task(id);
    assert.equal(options?.retry?.maxRetries, 50 + priority, "one of them whole");
    assert.equal(state, "assigned");
    const chain = (await fixture.store.latestTaskEvents(id, 20)).filter(({ name }) => name === "edited");
    assert.equal(chain.length, 10);
    const before = new Set(chain.map(({ attributes }) => attributes?.priority_before));
    assert.equal(before.size, 10, "each began where another one ended");
  });
});
