import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { FailureClass } from "../../scheduler/src/domain/tasks/outcome/failure.ts";
import type { Outcome } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import type { FailureFilter } from "../../scheduler/src/store/store.ts";
import { commitRequest, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const HOUR_MS = 3_600_000;
const ALL = { windowMs: HOUR_MS, queue: undefined, type: undefined, workerId: undefined };

function failure(code: string, failureClass: FailureClass = "retryable"): Outcome {
  return { kind: "failed", failure: { failureClass, code, message: `it said ${code}` } };
}

describe("store: counts of failures", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());
  beforeEach(() => fixture.db.query("truncate task, task_finished, task_attempt, worker_session cascade"));

  /** A task whose attempts end in these ways, one after the other. */
  async function task(
    outcomes: readonly Outcome[],
    { type = "t", queue = "default", worker = "w1", maxRetries = outcomes.length - 1 } = {},
  ): Promise<number> {
    const { store, db, submit, session, claimOne } = fixture;
    const retry = { maxRetries, maxOutOfMemory: 0, backoff: { kind: "fixed", delaysMs: [0] } } as const;
    const [id = 0] = await submit(type, 1, { queue, options: { retry } });
    for (const outcome of outcomes) {
      await db.query("update task set wake_time = null where id = $1", [id]);
      const attempt = await claimOne(id, await session(worker));
      await store.commitResults([commitRequest(attempt, outcome)]);
    }
    return id;
  }

  const counted = async (filter: Partial<FailureFilter> = {}) => {
    const { attempts, tasks } = await fixture.store.failureStatistics({ ...ALL, ...filter });
    const brief = ({ groups }: typeof attempts) =>
      groups.map(({ cause, code, count }) => `${count} ${cause} ${code}`);
    return { attempts: brief(attempts), tasks: brief(tasks) };
  };

  it("keeps attempts that failed and tasks that failed for good apart, by cause and code", async () => {
    await task([failure("RESET"), failure("RESET"), SUCCEEDED]);
    const exhausted = await task([failure("RESET"), failure("REFUSED")]);
    await task([failure("AUTH_FAILED", "non_retryable")]);
    await task([failure("TIMED_OUT", "timed_out"), SUCCEEDED]);
    assert.deepEqual(await counted(), {
      attempts: [
        "3 retryable RESET",
        "1 non_retryable AUTH_FAILED",
        "1 retryable REFUSED",
        "1 timed_out TIMED_OUT",
      ],
      tasks: ["1 AUTH_FAILED AUTH_FAILED", "1 RETRIES_EXHAUSTED REFUSED"],
    });
    const { attempts, tasks, truncated, readTime, startTime } = await fixture.store.failureStatistics(ALL);
    assert.deepEqual([attempts.count, attempts.groupCount, tasks.count, truncated], [6, 4, 2, false]);
    assert.equal(readTime.getTime() - startTime.getTime(), HOUR_MS);
    assert.deepEqual(tasks.groups[1]?.example, {
      taskId: exhausted,
      epoch: 2,
      message: "it said REFUSED",
      workerId: "w1",
    });
  });

  it("has the first and the last of a group, and the last one as its example", async () => {
    const [first, second, last] = [
      await task([failure("X", "non_retryable")]),
      await task([failure("X", "non_retryable")]),
      await task([failure("X", "non_retryable")], { worker: "w9" }),
    ];
    const at = async (id: number, minutes: number) =>
      fixture.db.query(
        "update task_finished set finish_time = date_trunc('second', now()) - $2::int * interval '1 minute' where id = $1",
        [id, minutes],
      );
    await at(first, 30);
    await at(second, 20);
    await at(last, 10);
    const { tasks, readTime } = await fixture.store.failureStatistics(ALL);
    const [group] = tasks.groups;
    const minutesAgo = (time: Date | undefined) =>
      Math.round((readTime.getTime() - (time?.getTime() ?? 0)) / 60_000);
    assert.deepEqual([minutesAgo(group?.firstTime), minutesAgo(group?.lastTime)], [30, 10]);
    assert.deepEqual([group?.example.taskId, group?.example.workerId], [last, "w9"]);
    assert.deepEqual((await counted({ windowMs: 15 * 60_000 })).tasks, ["1 X X"]);
  });

  it("counts only the queue, the type and the worker that are asked for, in records without a class too", async () => {
    await task([failure("A"), SUCCEEDED], { queue: "one", type: "x", worker: "w1" });
    await task([failure("B"), failure("C")], { queue: "two", type: "y", worker: "w2" });
    assert.deepEqual((await counted({ queue: "one" })).attempts, ["1 retryable A"]);
    assert.deepEqual(await counted({ queue: "two", type: "y" }), {
      attempts: ["1 retryable B", "1 retryable C"],
      tasks: ["1 RETRIES_EXHAUSTED C"],
    });
    assert.deepEqual(await counted({ queue: "one", type: "y" }), { attempts: [], tasks: [] });
    assert.deepEqual((await counted({ workerId: "w1" })).attempts, ["1 retryable A"]);
    await fixture.db.query("update task_attempt set class_id = null");
    assert.deepEqual((await counted({ queue: "two" })).attempts, ["1 retryable B", "1 retryable C"]);
    assert.deepEqual((await counted({ type: "x" })).attempts, ["1 retryable A"]);
  });

  it("goes on counting a failed task that is retried by hand, and counts no cancelled one", async () => {
    const { store, claimOne, session } = fixture;
    const id = await task([failure("A"), failure("B")]);
    await store.retryTask(id);
    const attempt = await claimOne(id, await session());
    await store.commitResults([commitRequest(attempt, SUCCEEDED)]);
    const cancelled = await task([failure("C"), failure("D")], { maxRetries: 5 });
    await store.cancelTask(cancelled, "not wanted");
    assert.deepEqual(await counted(), {
      attempts: ["1 retryable A", "1 retryable B", "1 retryable C", "1 retryable D"],
      tasks: ["1 RETRIES_EXHAUSTED B"],
    });
  });

  it("counts a task that failed in the queue as a task only", async () => {
    const { db, store, submit } = fixture;
    await submit("t", 1, { queueTimeoutMs: 1 } as object);
    await db.query("update task set start_deadline = now() - interval '1 second'");
    await store.failOverdue(10);
    assert.deepEqual(await counted(), {
      attempts: [],
      tasks: ["1 DEADLINE_BEFORE_START DEADLINE_BEFORE_START"],
    });
    const { tasks } = await store.failureStatistics(ALL);
    assert.equal(tasks.groups[0]?.example.epoch, undefined);
  });

  it("counts records of a clock that was set back since", async () => {
    await task([failure("A"), failure("B", "non_retryable")]);
    await fixture.db.query("update task_finished set finish_time = now() + interval '2 hours'");
    await fixture.db.query("update task_attempt set end_time = now() + interval '2 hours'");
    assert.deepEqual((await counted({ windowMs: 1_000 })).tasks, ["1 B B"]);
    assert.deepEqual((await counted({ windowMs: 1_000 })).attempts.length, 2);
  });

  it("cuts a window with too many failures at the oldest one that it reads, of both kinds", async () => {
    const { db, store } = fixture;
    await task([failure("OLD", "non_retryable")]);
    await db.query("update task_finished set finish_time = now() - interval '50 minutes'");
    await db.query(`insert into task_attempt (task_id, epoch, number, outcome, failure, end_time)
      select n, 1, 1, 'requeued:retry', '{"class": "retryable", "code": "MANY", "message": ""}', now() - n * interval '10 ms'
        from generate_series(1, 100002) n`);
    const { attempts, tasks, truncated, startTime, readTime } = await store.failureStatistics(ALL);
    assert.deepEqual([attempts.count, tasks.count, truncated], [100_000, 0, true]);
    const spanMs = readTime.getTime() - startTime.getTime();
    assert.ok(Math.abs(spanMs - 1_000_010) < 60_000, `${spanMs}`);
  });

  it("keeps types and lines of code apart where it is asked to, and counts over time", async () => {
    const at = (traceback: string): Outcome => ({
      kind: "failed",
      failure: { failureClass: "non_retryable", code: "X", message: "no", traceback },
    });
    const javascript = `Error: no
    at read (file:///app/node_modules/pg/client.js:1:1)
    at node:internal/process:9:9
    at page (file:///app/ocr.ts:12:9)
    at run (file:///app/ocr.ts:40:1)`;
    const python = `Traceback (most recent call last):
  File "/app/run.py", line 3, in run
    page(1)
  File "/app/ocr.py", line 7, in page
    raise ValueError("no")
ValueError: no`;
    await task([at(javascript)], { type: "ocr" });
    const late = await task([at(javascript)], { type: "ocr" });
    await task([at(python)], { type: "ocr" });
    await task([at(javascript)], { type: "scan" });
    await task([at("Error: no\n    at node:internal/net:1:1")], { type: "scan" });
    await task([failure("X", "non_retryable")], { type: "scan" });
    await fixture.db.query(
      "update task_finished set finish_time = now() - interval '59 minutes' where id <> $1",
      [late],
    );
    const { tasks, attempts, stepMs } = await fixture.store.failureStatistics({ ...ALL, byFrame: true });
    assert.deepEqual(
      tasks.groups.map(({ count, place }) => `${count} ${place?.type} ${place?.topFrame}`),
      [
        "2 ocr page (file:///app/ocr.ts:12:9)",
        '1 ocr "/app/ocr.py", line 7, in page',
        "1 scan ",
        "1 scan node:internal/net:1:1",
        "1 scan page (file:///app/ocr.ts:12:9)",
      ],
    );
    assert.deepEqual([tasks.groupCount, tasks.count, attempts.count], [5, 6, 6]);
    assert.equal(stepMs, HOUR_MS / 48);
    const [group] = tasks.groups;
    assert.equal(group?.example.taskId, late);
    assert.deepEqual(
      group?.place?.counts.flatMap((count, step) => (count === 0 ? [] : [[step, count]])),
      [
        [0, 1],
        [47, 1],
      ],
    );
    assert.deepEqual((await fixture.store.failureStatistics(ALL)).tasks.groups[0]?.place, undefined);
  });

  it("counts by line of code in records without a class, of a window that is cut, and of times to come", async () => {
    const { db, store } = fixture;
    await db.query(`insert into task_attempt (task_id, epoch, number, outcome, failure, end_time)
      select n, 1, 1, 'requeued:retry', '{"class": "retryable", "code": "MANY", "message": ""}', now() - n * interval '10 ms'
        from generate_series(1, 100002) n`);
    await db.query("update task_attempt set end_time = now() + interval '2 hours' where task_id = 1");
    const { attempts, truncated } = await store.failureStatistics({ ...ALL, byFrame: true });
    const [group] = attempts.groups;
    assert.deepEqual([group?.place?.type, group?.place?.topFrame, truncated], ["", "", true]);
    assert.equal(
      group?.place?.counts.reduce((sum, count) => sum + count, 0),
      100_000,
    );
  });

  it("returns the 50 largest groups, and the number of all", async () => {
    await fixture.db.query(`insert into task_attempt (task_id, epoch, number, outcome, failure)
      select n, m, 1, 'requeued:retry', jsonb_build_object('class', 'retryable', 'code', 'C' || n, 'message', repeat('é', 300))
        from generate_series(1, 60) n, generate_series(1, n) m`);
    const { attempts } = await fixture.store.failureStatistics(ALL);
    assert.deepEqual([attempts.groups.length, attempts.groupCount, attempts.count], [50, 60, 1_830]);
    assert.deepEqual([attempts.groups[0]?.code, attempts.groups[0]?.count], ["C60", 60]);
    assert.equal(attempts.groups[0]?.example.message.length, 200);
  });
});

describe("store: counts of successes", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());
  beforeEach(() => fixture.db.query("truncate completion_count, scheduler"));

  const announce = (id: string) => fixture.store.announce({ id, address: "", version: "" }, 600_000);
  const one = (queue: string, type: string, count: number) => ({ queue, type, count });

  it("adds up what each scheduler counted, once for each number", async () => {
    const { store } = fixture;
    const other = fixture.another();
    await Promise.all([announce("a"), announce("b")]);
    await store.addCompletions("a", 1, [one("q", "x", 3), one("q", "y", 1)]);
    await store.addCompletions("a", 1, [one("q", "x", 3), one("q", "y", 1)]);
    await other.addCompletions("b", 1, [one("q", "x", 4)]);
    await other.addCompletions("b", 2, [one("r", "x", 5)]);
    const { counts, ageMs } = await store.recentCompletions(60_000);
    const sorted = counts.toSorted((a, b) => `${a.queue}${a.type}`.localeCompare(`${b.queue}${b.type}`));
    assert.deepEqual(sorted, [one("q", "x", 7), one("q", "y", 1), one("r", "x", 5)]);
    assert.ok(ageMs !== undefined && ageMs < 60_000);
  });

  it("is as old as the last write of the living scheduler that wrote longest ago", async () => {
    const { db, store } = fixture;
    const ageS = async () => Math.floor(((await store.recentCompletions(1_000)).ageMs ?? -1_000) / 1_000);
    assert.equal(await ageS(), -1, "no scheduler");
    await Promise.all([announce("a"), announce("b")]);
    await db.query("update scheduler set start_time = now() - interval '90 seconds'");
    assert.equal(await ageS(), 90, "none has written");
    await store.addCompletions("a", 0, []);
    assert.equal(await ageS(), 90, "one has not");
    await db.query("update scheduler set lease_until = now() - interval '1 second' where id = 'b'");
    assert.equal(await ageS(), 0, "that one is dead");
    assert.deepEqual(await db.query("select from completion_count"), [], "an empty write leaves no row");
  });

  it("counts only what was written within the window, and rows of a clock that was set back", async () => {
    const { db, store } = fixture;
    await announce("a");
    await store.addCompletions("a", 1, [one("q", "x", 1)]);
    await store.addCompletions("a", 2, [one("q", "x", 2)]);
    await store.addCompletions("a", 3, [one("q", "x", 4)]);
    await db.query("update completion_count set time = now() - interval '6 minutes' where number = 1");
    await db.query("update completion_count set time = now() + interval '6 minutes' where number = 2");
    assert.deepEqual((await store.recentCompletions(300_000)).counts, [one("q", "x", 6)]);
    const since = await store.completionsSince(new Date(Date.now() - 600_000));
    assert.deepEqual(since?.counts, [one("q", "x", 7)]);
  });

  it("is not known for a time before counting began in a database in use", async () => {
    const { db, store } = fixture;
    await db.query(`insert into completion_count (scheduler_id, number, time, queues, types, counts)
      values ('', 0, now() - interval '1 hour', '{}', '{}', '{}')`);
    const { readTime } = await store.failureStatistics(ALL);
    const ago = (minutes: number) => new Date(readTime.getTime() - minutes * 60_000);
    assert.equal(await store.completionsSince(ago(90)), undefined);
    assert.deepEqual((await store.completionsSince(ago(30)))?.counts, []);
  });
});
