import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Facts } from "@muster/common/facts";
import type { AttemptKey } from "../../scheduler/src/domain/ids.ts";
import type { MetricSums } from "../../scheduler/src/domain/tasks/attempts/handler-report.ts";
import type { ClaimedAttempt, MetricFilter } from "../../scheduler/src/store/store.ts";
import { Random } from "../support/random.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: what handlers measured", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  async function held(type: string, queue = "default"): Promise<ClaimedAttempt> {
    const [taskId = 0] = await fixture.submit(type, 1, { queue });
    return fixture.claimOne(taskId, await fixture.session());
  }

  const add = (key: AttemptKey, sums: MetricSums, facts: Facts = {}) =>
    fixture.store.addMetrics([{ key: { taskId: key.taskId, epoch: key.epoch }, sums, facts }]);

  const hour = { windowMs: 3_600_000, queue: undefined, type: undefined, name: undefined };

  const totals = async (filter: Partial<MetricFilter>) =>
    (await fixture.store.metricStatistics({ ...hour, ...filter })).totals.map(
      ({ name, sum, attemptCount }) => [name, sum, attemptCount] as const,
    );

  const measured = async (taskId: number) => {
    const { kept, lastMeasured } = await fixture.store.countedAttempts(taskId);
    return { kept: kept.map((attempt) => attempt.measured), last: lastMeasured?.sums };
  };

  it("is kept with each attempt, failed ones too, and summed by queue, type and name", async () => {
    const { store } = fixture;
    const first = await held("summed", "gpu");
    const growth = await add(first, { tokens_in: 100, cost: 0.25 });
    assert.deepEqual(growth.map(({ name, growth: by }) => [name, by]).sort(), [
      ["cost", 0.25],
      ["tokens_in", 100],
    ]);
    await add(first, { tokens_in: 150, cost: 0.25 });
    await store.commitResults([commitRequest(first, failed())]);
    await store.retryTask(first.taskId);
    const second = await fixture.claimOne(first.taskId, await fixture.session());
    await add(second, { tokens_in: 30 });
    assert.deepEqual(await measured(first.taskId), {
      kept: [{ tokens_in: 150, cost: 0.25 }],
      last: { tokens_in: 30 },
    });
    const expected = [
      ["cost", 0.25, 1],
      ["tokens_in", 180, 2],
    ];
    assert.deepEqual(await totals({ type: "summed" }), expected);
    assert.deepEqual(await totals({ queue: "gpu" }), expected);
    assert.deepEqual(await totals({ type: "summed", name: "cost" }), [expected[0]]);
    assert.deepEqual(await totals({ queue: "gpu", type: "other" }), []);
    await store.commitResults([commitRequest(second, SUCCEEDED)]);
    assert.deepEqual((await measured(first.taskId)).last, { tokens_in: 30 });
  });

  it("grows by nothing when a report is repeated, is lower, or is of an attempt that is not current", async () => {
    const { store } = fixture;
    const first = await held("fenced");
    await add(first, { pages: 3 });
    assert.deepEqual(await add(first, { pages: 3 }), []);
    assert.deepEqual(await add(first, { pages: 2 }), []);
    assert.deepEqual(await add({ taskId: first.taskId, epoch: first.epoch + 1 }, { pages: 9 }), []);
    assert.deepEqual(await add({ taskId: 999_999_999, epoch: 1 }, { pages: 9 }), []);
    await store.commitResults([commitRequest(first, failed())]);
    assert.deepEqual(await add(first, { pages: 9 }), []);
    assert.deepEqual(await totals({ type: "fenced" }), [["pages", 3, 1]]);
    assert.deepEqual((await measured(first.taskId)).last, { pages: 3 });
  });

  it("is exact when schedulers write the same attempts at once, in any order", async () => {
    const random = new Random(7);
    const attempts = await Promise.all(Array.from({ length: 4 }, () => held("at_once")));
    const stores = [fixture.store, fixture.another(), fixture.another()];
    let grown = 0;
    const writes: Promise<unknown>[] = [];
    for (let round = 1; round <= 20; round++)
      for (const store of stores) {
        const batch = attempts
          .filter(() => random.chance(0.8))
          .map(({ taskId, epoch }) => ({
            key: { taskId, epoch },
            sums: { a: random.int(1, round), b: round },
            facts: {},
          }));
        if (batch.length === 0) continue;
        const write = store.addMetrics(batch).then((growth) => {
          for (const { growth: by } of growth) grown += by;
        });
        writes.push(write);
      }
    await Promise.all(writes);
    const sums = await Promise.all(attempts.map(async ({ taskId }) => (await measured(taskId)).last ?? {}));
    const sumOf = (name: string) => sums.reduce((sum, each) => sum + (each[name] ?? 0), 0);
    assert.deepEqual(await totals({ type: "at_once" }), [
      ["a", sumOf("a"), 4],
      ["b", sumOf("b"), 4],
    ]);
    assert.equal(sumOf("b"), 80, "the last round of every attempt was written");
    assert.equal(grown, sumOf("a") + sumOf("b"), "the metrics of the schedulers have the same sums");
  });

  it("has fewer than 64 names an attempt, whatever is sent", async () => {
    const first = await held("many");
    const names = (from: number) =>
      Object.fromEntries(Array.from({ length: 32 }, (_, n) => [`m${from + n}`, 1]));
    for (const from of [0, 16, 32, 64, 96]) await add(first, names(from));
    const { last = {} } = await measured(first.taskId);
    assert.ok(Object.keys(last).length < 64, `${Object.keys(last).length} names`);
    await add(first, { m0: 5 });
    assert.equal((await measured(first.taskId)).last?.m0, 5, "a name that is there goes on");
  });

  it("has facts that whoever ends the session of a lost worker finds, the last ones of each attempt", async () => {
    const [taskId = 0] = await fixture.submit("noted");
    const [plain = 0] = await fixture.submit("noted");
    const sessionId = await fixture.session();
    const attempt = await fixture.claimOne(taskId, sessionId);
    await fixture.claimOne(plain, sessionId);
    await add(attempt, { pages: 1 }, { page: 1, kind: "scan" });
    await add(attempt, { pages: 1 }, { page: 2 });
    await add(attempt, { pages: 2 });
    const seen = new Map<number, Facts | undefined>();
    await fixture.another().endSessions([{ sessionId, reason: "lost", fatal: undefined }], (row) => {
      seen.set(row.taskId, row.facts);
      return { kind: "requeue", reason: "stale", delayMs: 0, costsAttempt: false, outOfMemory: false };
    });
    assert.deepEqual([seen.get(taskId), seen.has(plain), seen.get(plain)], [{ page: 2 }, true, undefined]);
  });

  it("is dropped by age, but not while the attempt runs", async () => {
    const { store, db } = fixture;
    const [running, ended, gone] = [await held("old"), await held("old"), await held("old")];
    for (const key of [running, ended, gone]) await add(key, { pages: 1 });
    await store.commitResults([commitRequest(ended, SUCCEEDED), commitRequest(gone, failed())]);
    await db.query(
      "update attempt_metric set create_time = now() - interval '9 days' where task_id = any($1)",
      [[running.taskId, ended.taskId]],
    );
    await db.query("update metric_total set time = time - interval '9 days' where type = 'old'");
    await store.dropOld(7);
    const rows = await db.query<{ task_id: string }>(
      "select task_id from attempt_metric where task_id = any($1) order by task_id",
      [[running.taskId, ended.taskId, gone.taskId]],
    );
    assert.deepEqual(
      rows.map(({ task_id }) => Number(task_id)),
      [running.taskId, gone.taskId],
    );
    assert.deepEqual(await totals({ type: "old", windowMs: 20 * 86_400_000 }), []);
  });
});
