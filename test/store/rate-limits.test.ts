import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RateLimit } from "../../scheduler/src/domain/tasks/limits/rate-limit.ts";
import type { Store } from "../../scheduler/src/store/store.ts";
import { NO_REQUIREMENTS, newTask, openFixture, type StoreFixture } from "./fixture.ts";

const KEEP_DAYS = 7;
const HOUR = 3_600_000;

describe("store: rate limits with concurrent claims", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  /** Tasks that wait, one for each list of limits. */
  async function waiting(type: string, limits: readonly (readonly RateLimit[])[]): Promise<number[]> {
    const { store } = fixture;
    const classes = await store.resolveClasses(
      limits.map((rateLimits) => ({ queue: "default", type, requirements: NO_REQUIREMENTS, rateLimits })),
    );
    const inserted = await store.insertTasks(
      limits.map((rateLimits, index) => ({
        task: newTask({ type, rateLimits }),
        classId: classes[index]?.id ?? 0,
        assignTo: undefined,
      })),
    );
    return inserted.map(({ id }) => id);
  }

  async function claim(store: Store, sessionId: number, ids: readonly number[]): Promise<number[]> {
    const { claimed } = await store.claimRated(ids.map((taskId) => ({ taskId, sessionId })));
    return claimed.map(({ taskId }) => taskId);
  }

  it("takes each token once, whichever of several stores claims, and loses none", async () => {
    const [limit, burst] = [200, 20];
    const rate = { key: "shared", limit, periodMs: 1_000, burst };
    const ids = await waiting(
      "shared",
      Array.from({ length: 300 }, () => [rate]),
    );
    const sessionId = await fixture.session();
    const left = new Set(ids);
    const began = performance.now();
    const lane = async (store: Store, offset: number) => {
      while (left.size > 0) {
        const some = [...left]
          .slice(offset)
          .concat([...left].slice(0, offset))
          .slice(0, 40);
        for (const id of await claim(store, sessionId, some)) left.delete(id);
      }
    };
    await Promise.all(
      [fixture.store, fixture.another(), fixture.another()].map((store, n) => lane(store, n * 20)),
    );
    const ms = performance.now() - began;
    assert.ok(300 <= burst + (limit * ms) / 1_000, `300 starts in ${ms} ms`);
    const [row] = await fixture.db.query<{ epochs: number }>(
      "select sum(epoch)::int as epochs from task where id = any($1)",
      [ids],
    );
    assert.equal(row?.epochs, 300, "each was assigned once");
  });

  it("assigns nothing after a pause was stored, while others claim without an end", async () => {
    const rate = { key: "pausing", limit: 1_000_000, periodMs: 1_000, burst: 1_000_000 };
    const ids = await waiting(
      "pausing",
      Array.from({ length: 400 }, () => [rate]),
    );
    const sessionId = await fixture.session();
    const other = fixture.another();
    let paused = false;
    let answered = 0;
    const claims = (async () => {
      for (const id of ids) {
        // A claim that began before the pause was answered may be older than it.
        const began = paused;
        const claimed = await claim(other, sessionId, [id]);
        if (claimed.length > 0) answered++;
        assert.ok(!began || claimed.length === 0, `${id} was assigned after the pause`);
        if (began) return;
      }
    })();
    while (answered < 5) await new Promise(setImmediate);
    assert.deepEqual(await fixture.store.pauseKey({ key: "none", ms: 1, reason: "a test" }), "unknown_key");
    const result = await fixture.store.pauseKey({ key: "pausing", ms: HOUR, reason: "a test" });
    paused = true;
    await claims;
    assert.ok(typeof result === "object" && result.leftMs > HOUR - 60_000 && result.leftMs <= HOUR);
    const shorter = await fixture.store.pauseKey({ key: "pausing", ms: 1_000, reason: "another" });
    assert.ok(typeof shorter === "object" && shorter.leftMs > 1_000, "the one that ends last counts");
    const [row] = await fixture.store.listRateLimits({ key: "pausing", limit: 1 });
    assert.equal(row?.pause?.reason, "a test");
  });

  it("refuses the pause of a session that is not the scheduler's", async () => {
    await waiting("fenced", [[{ key: "fenced", limit: 1, periodMs: HOUR, burst: 1 }]]);
    const sessionId = await fixture.session(undefined, { schedulerId: "a" });
    const pause = (schedulerId: string) =>
      fixture.store.pauseKey({
        ...{ key: "fenced", ms: 1_000, reason: "a test" },
        by: { name: "t-1.1 on w", sessionId, schedulerId },
      });
    assert.equal(await pause("b"), "session_over");
    assert.equal(typeof (await pause("a")), "object");
  });

  it("claims of 10,000 keys read no more than their own buckets", async () => {
    const COUNT = 10_000;
    const rate = { limit: 1, periodMs: HOUR, burst: 1 };
    const ids = await waiting(
      "many",
      Array.from({ length: COUNT }, (_, n) => [{ key: `many-${n}`, ...rate }]),
    );
    await fixture.db.query("analyze");
    const sessionId = await fixture.session();
    for (let start = 0; start < COUNT; start += 1_000) {
      const part = ids.slice(start, start + 1_000);
      assert.equal((await claim(fixture.store, sessionId, part)).length, 1_000);
    }
    const plan = await fixture.db.query<{ "QUERY PLAN": string }>(
      "explain select key from rate_bucket where key = 'many-7' order by overrides, limit_count, period_ms, burst for no key update",
    );
    assert.match(JSON.stringify(plan), /Index/);
    const first = await fixture.store.listRateLimits({ limit: 3 });
    assert.equal(first.length, 3);
  });

  it("deletes classes and keys that no task uses, and keeps what is set or not full", async () => {
    const { store, db } = fixture;
    const limits = ["old", "set", "busy"].map((key) => [{ key, limit: 1, periodMs: HOUR, burst: 1 }]);
    const ids = await waiting("idle", limits);
    await store.setRateLimit("set", { rate: { limit: 1, periodMs: HOUR, burst: 1 }, reason: "a test" });
    for (const id of ids) await store.cancelTask(id, "a test");
    await store.dropOld(KEEP_DAYS);
    await db.query(
      "update task_class set idle_time = idle_time - interval '30 days' where idle_time is not null",
    );
    await db.query("update rate_bucket set full_time = now() + interval '1 hour' where key = 'busy'");
    await store.dropOld(KEEP_DAYS);
    const left = await db.query<{ key: string; classes: number; buckets: number }>(
      `select key, (select count(*)::int from class_rate c where c.key = k.key) as classes,
              (select count(*)::int from rate_bucket b where b.key = k.key) as buckets
         from rate_key k where key in ('old', 'set', 'busy') order by key`,
    );
    assert.deepEqual(left, [
      { key: "busy", classes: 0, buckets: 1 },
      { key: "set", classes: 0, buckets: 2 },
    ]);
    const again = await waiting("idle", limits);
    const sessionId = await fixture.session();
    assert.deepEqual(
      await claim(store, sessionId, again),
      [again[0], again[1]].sort(),
      "busy is empty still",
    );
  });
});
