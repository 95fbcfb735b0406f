/** Changes of many tasks on PostgreSQL: what each does to which tasks, its steps, and what runs beside it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../scheduler/src/clock.ts";
import type { ChangeProgress } from "../../scheduler/src/dispatch/changes/change-tally.ts";
import { TaskChanger } from "../../scheduler/src/dispatch/changes/task-changer.ts";
import { recordedLog } from "../../scheduler/src/dispatch/testing/recorded-log.ts";
import type { NewTask } from "../../scheduler/src/domain/tasks/task.ts";
import type { ChangeFilter, TaskChange } from "../../scheduler/src/domain/tasks/task-change.ts";
import type { CommitRequest, Store } from "../../scheduler/src/store/store.ts";
import { Counters } from "../../scheduler/src/telemetry/metrics/counters.ts";
import { assertDependencies } from "../support/database/dependencies.ts";
import {
  commitRequest,
  failed,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const NEVER = new AbortController().signal;

const EVERYTHING: ChangeFilter = {
  ...{ taskIds: [], states: [], queues: [], types: [], details: [], failureCodes: [], tags: [] },
  ...{ errorText: undefined, workerId: undefined, batchId: undefined, uniqueKey: undefined },
  ...{ minAgeMs: undefined, maxAgeMs: undefined, minEndedAgeMs: undefined, maxEndedAgeMs: undefined },
};

const CANCEL = { kind: "cancel" } as const;
const RETRY = { kind: "retry" } as const;
const DELETE = { kind: "delete" } as const;

describe("store: changes of many tasks", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("changes");
  });
  after(() => fixture.close());

  function changer(store: Store = fixture.store, room = Number.POSITIVE_INFINITY): TaskChanger {
    return new TaskChanger({
      store,
      schedulerId: "a",
      effects: { apply: async () => undefined, flush: () => undefined },
      limits: {
        admitUpTo: async (_queue, wanted) => ({ count: Math.min(room, wanted), settled: () => undefined }),
      },
      counters: new Counters(),
      clock: systemClock,
      log: recordedLog().log,
    });
  }

  async function change(
    change: TaskChange,
    filter: Partial<ChangeFilter>,
    options: { readonly dryRun?: boolean; readonly store?: Store; readonly room?: number } = {},
  ): Promise<{ done: number; skipped: Record<string, number>; progress: ChangeProgress }> {
    const request = {
      ...{ change, filter: { ...EVERYTHING, ...filter } },
      ...{ reason: "a test", dryRun: options.dryRun ?? false, from: undefined },
    };
    let last: ChangeProgress | undefined;
    for await (const progress of changer(options.store, options.room).run(request, NEVER, NEVER))
      last = progress;
    assert.ok(last && last.left === undefined, "the last message says that it is finished");
    const skipped = Object.fromEntries(Array.from(last.skipped, ([code, { count }]) => [code, count]));
    return { done: last.done, skipped, progress: last };
  }

  async function statesOf(ids: readonly number[]): Promise<Record<string, number>> {
    const rows = await fixture.db.query<{ state: number; count: string }>(
      `select state, count(*) from (
         select id, state from task union all select id, state from task_finished) t
        where id = any($1) group by state`,
      [ids],
    );
    return Object.fromEntries(rows.map(({ state, count }) => [String(state), Number(count)]));
  }

  async function end(
    taskId: number,
    outcome = SUCCEEDED as Parameters<typeof commitRequest>[1],
  ): Promise<void> {
    const attempt = await fixture.claimOne(taskId, sessionId);
    await fixture.store.commitResults([commitRequest(attempt, outcome)]);
  }

  async function eventsOf(taskId: number): Promise<string[]> {
    return (await fixture.store.taskEvents(taskId, 100)).map(({ name }) => name);
  }

  it("is for the tasks whose last failure was at one line of code", async () => {
    const queue = "frames";
    const at = (place: string) => ({
      kind: "failed" as const,
      failure: {
        failureClass: "non_retryable" as const,
        ...{ code: "X", message: "no", traceback: `Error: no\n    at ${place}` },
      },
    });
    const [one, other, none] = await fixture.submit("t", 3, { queue });
    await end(one ?? 0, at("read (file:///app/a.ts:1:1)"));
    await end(other ?? 0, at("read (file:///app/a.ts:2:1)"));
    await end(none ?? 0, failed("non_retryable"));
    const queues = [queue];
    const topFrame = "read (file:///app/a.ts:1:1)";
    assert.equal((await change(RETRY, { queues, topFrame }, { dryRun: true })).done, 1);
    assert.equal((await change(RETRY, { queues, topFrame: "read" })).done, 0);
    assert.equal((await change(RETRY, { queues, topFrame })).done, 1);
    assert.deepEqual(await statesOf([one ?? 0]), { "0": 1 });
  });

  it("runs a step alone again of ended tasks of which it has failed, and leaves the others as they are", async () => {
    const step = { place: 1, epoch: 1, atMs: 1 } as const;
    const steps = {
      create_pr: { ...step, state: "failed" },
      work: { ...step, state: "done", result: "1" },
    } as const;
    const queue = "steps";
    const submit = async (fields: Partial<NewTask> = {}) =>
      (await fixture.submit("stepped", 1, { queue, ...fields }))[0] ?? 0;
    const predecessor = await submit({ queue: "elsewhere" });
    await end(predecessor);
    const [broken, keyed, whole, waits] = [
      await submit(),
      await submit({ uniqueKey: "step" }),
      await submit(),
      await submit(),
    ];
    const linked = await submit({ after: [{ taskId: predecessor, condition: "ended" }] });
    const { store } = fixture;
    const endWith = async (taskId: number, reported: CommitRequest["steps"]) => {
      const attempt = await fixture.claimOne(taskId, sessionId);
      await store.commitResults([{ ...commitRequest(attempt, SUCCEEDED), steps: reported }]);
    };
    for (const id of [broken, keyed, linked]) await endWith(id, steps);
    await endWith(whole, { work: steps.work });
    const retry = { kind: "retry", step: "create_pr" } as const;
    const failedStep = { name: "create_pr", states: ["failed"] } as const;
    const counted = await change(retry, { queues: [queue], step: failedStep }, { dryRun: true });
    assert.deepEqual([counted.done, counted.skipped], [3, {}]);
    const named = await change(retry, { taskIds: [broken, whole, waits] });
    assert.deepEqual([named.done, named.skipped], [1, { STEP_NOT_FAILED: 1, TASK_NOT_RETRYABLE: 1 }]);
    const rest = await change(retry, { queues: [queue], step: failedStep });
    assert.deepEqual([rest.done, rest.skipped], [2, {}]);
    for (const id of [broken, keyed, linked]) {
      const task = await store.getTask(id);
      assert.equal(task?.state, "queued");
      assert.equal(task.options?.steps?.create_pr?.state, "pending");
      assert.equal(task.options?.steps?.work?.result, "1", "what the other steps have kept");
    }
    assert.equal((await store.getTask(whole))?.state, "succeeded");
    assert.equal((await change(retry, { queues: [queue], step: failedStep })).done, 0);
    const byStep = await change(CANCEL, { queues: [queue], step: { name: "work", states: ["done"] } });
    assert.equal(byStep.done, 3, "a filter by step for other changes");
  });

  it("cancels the queued and asks for the running tasks of a queue, in steps, and touches no others", async () => {
    const queue = "cancel";
    const ids = await fixture.submit("many", 1_300, { queue });
    const others = await fixture.submit("many", 5);
    const [running = 0, ended = 0] = ids;
    await fixture.claimOne(running, sessionId);
    await end(ended);
    const counted = await change(CANCEL, { queues: [queue] }, { dryRun: true });
    assert.deepEqual([counted.done, counted.skipped], [1_299, {}]);
    assert.equal(counted.progress.examples.length, 10);
    assert.deepEqual(await statesOf(ids), { "0": 1_298, "1": 1, "3": 1 });
    const done = await change(CANCEL, { queues: [queue] });
    assert.deepEqual([done.done, done.progress.requested, done.skipped], [1_299, 1, {}]);
    assert.deepEqual(await statesOf(ids), { "1": 1, "3": 1, "5": 1_298 });
    assert.deepEqual(await statesOf(others), { "0": 5 });
    const task = await fixture.store.getTask(ids.at(-1) ?? 0);
    assert.deepEqual([task?.state, task?.cancelReason], ["cancelled", "a test"]);
    assert.deepEqual(await eventsOf(ids.at(-1) ?? 0), ["cancelled"]);
    assert.equal((await fixture.store.getTask(running))?.cancelReason, "a test");
    const commands = await fixture.store.takeCommands("a");
    assert.deepEqual(
      commands.map(({ kind, body }) => [kind, body.task_id, body.reason]),
      [["cancel", String(running), "a test"]],
    );
    const [summary] = await fixture.store.recentEvents(undefined, 1);
    assert.equal(summary?.name, "tasks.changed");
    assert.deepEqual(
      [summary?.attributes.outcome, summary?.attributes.done, summary?.attributes.reason],
      ["finished", "1299", "a test"],
    );
    const again = await change(CANCEL, { queues: [queue], states: ["queued"] });
    assert.equal(again.done, 0);
  });

  it("lets through what every condition of the filter lets through", async () => {
    const queue = "filtered";
    const [a = 0, b = 0, c = 0] = await fixture.submit("one", 3, { queue });
    const [d = 0] = await fixture.submit("other", 1, { queue });
    await end(a, failed("non_retryable"));
    await end(b);
    const count = async (filter: Partial<ChangeFilter>, kind: TaskChange = RETRY) =>
      (await change(kind, { queues: [queue], ...filter }, { dryRun: true })).progress.matched;
    assert.equal(await count({}), 1, "failed");
    assert.equal(await count({ states: ["succeeded", "failed"] }), 2);
    assert.equal(await count({ details: ["BROKE"] }), 1);
    assert.equal(await count({ failureCodes: ["BROKE"] }), 1);
    assert.equal(await count({ failureCodes: ["OTHER"] }), 0);
    assert.equal(await count({ workerId: "changes" }), 1);
    assert.equal(await count({ workerId: "unknown" }), 0);
    assert.equal(await count({ minEndedAgeMs: 60_000 }), 0);
    assert.equal(await count({ maxEndedAgeMs: 60_000 }), 1);
    assert.equal(await count({ types: ["other"] }, CANCEL), 1);
    const [tagged = 0] = await fixture.submit("one", 1, { queue, options: { tags: ["a", "b"] } });
    assert.equal(await count({ tags: ["a", "b"] }, CANCEL), 1);
    assert.equal(await count({ tags: ["a", "c"] }, CANCEL), 0);
    await change(CANCEL, { taskIds: [tagged] });
    assert.equal(await count({ types: ["one", "other"] }, CANCEL), 2);
    assert.equal(await count({ minAgeMs: 60_000 }, CANCEL), 0);
    assert.equal(await count({ maxAgeMs: 60_000 }, CANCEL), 2);
    assert.equal(await count({ taskIds: [c, d, 2 ** 40] }, CANCEL), 3);
    const named = await change(CANCEL, { taskIds: [a, d, 2 ** 40] });
    assert.deepEqual([named.done, named.skipped], [1, { TASK_ALREADY_ENDED: 1, TASK_NOT_FOUND: 1 }]);
    assert.deepEqual(await statesOf([a, b, c, d]), { "0": 1, "3": 1, "4": 1, "5": 1 });
  });

  it("finds the members of a batch, and the owner of a unique key", async () => {
    const { store } = fixture;
    const queue = "named";
    const batchId = await store.createBatch("three", undefined);
    const members = await fixture.submit("member", 3, { queue, batchId });
    const [keyed = 0] = await fixture.submit("keyed", 1, { queue, uniqueKey: "k-1" });
    assert.equal((await change(CANCEL, { batchId, states: ["queued"] })).done, 3);
    assert.deepEqual(await statesOf(members), { "5": 3 });
    assert.equal((await store.getBatch(batchId))?.counts.cancelled, 3);
    assert.equal((await change(CANCEL, { uniqueKey: "k-1", queues: ["elsewhere"] })).done, 0);
    assert.equal((await change(CANCEL, { uniqueKey: "k-1" })).done, 1);
    assert.deepEqual(await statesOf([keyed]), { "5": 1 });
    await assertDependencies(fixture.db);
  });

  it("retries what may be retried, and says why not", async () => {
    const queue = "retried";
    const ids = await fixture.submit("plain", 600, { queue });
    await change(CANCEL, { queues: [queue] });
    const [older = 0] = await fixture.submit("keyed", 1, { queue, uniqueKey: "same" });
    await end(older, failed("non_retryable"));
    const [newer = 0] = await fixture.submit("keyed", 1, { queue, uniqueKey: "same" });
    const [free = 0] = await fixture.submit("keyed", 1, { queue, uniqueKey: "free" });
    await end(free, failed("non_retryable"));
    const [predecessor = 0] = await fixture.submit("first", 1, { queue: "elsewhere" });
    const [dependent = 0] = await fixture.submit("after", 1, {
      queue,
      after: [{ taskId: predecessor, condition: "succeeded" }],
    });
    await end(predecessor, failed("non_retryable"));
    while ((await fixture.store.releaseDependents(100, 100)).ends > 0);
    assert.deepEqual(await statesOf([older, newer, free, dependent]), { "0": 1, "4": 3 });
    const done = await change(RETRY, { queues: [queue] });
    assert.deepEqual([done.done, done.skipped], [601, { UNIQUE_KEY_HELD: 1, DEPENDENCY_FAILED: 1 }]);
    assert.deepEqual(await statesOf([...ids, older, newer, free, dependent]), { "0": 602, "4": 2 });
    assert.deepEqual(await eventsOf(ids[0] ?? 0), ["cancelled", "retry_requested"]);
    assert.equal((await fixture.store.keyOwner(queue, "free"))?.id, free);
    // Open tasks that wait for a time.
    const later = await fixture.submit("later", 2, { queue, delayMs: 600_000 });
    const woken = await change(RETRY, { queues: [queue], states: ["queued"] });
    assert.deepEqual([woken.done, woken.skipped], [2, {}]);
    assert.equal((await fixture.store.getTask(later[0] ?? 0))?.runTime, undefined);
    const [ready = 0] = ids;
    assert.deepEqual((await change(RETRY, { taskIds: [ready] })).skipped, { TASK_NOT_RETRYABLE: 1 });
  });

  it("moves queued tasks with their keys and classes, and leaves what a key or a limit forbids", async () => {
    const { store } = fixture;
    const [from, to] = ["from", "to"];
    const plain = await fixture.submit("plain", 3, { queue: from, priority: 5 });
    const [runs = 0] = plain;
    await fixture.claimOne(runs, sessionId);
    const [keyed = 0] = await fixture.submit("plain", 1, { queue: from, uniqueKey: "moves" });
    const [taken = 0] = await fixture.submit("plain", 1, { queue: from, uniqueKey: "taken" });
    const [holder = 0] = await fixture.submit("plain", 1, { queue: to, uniqueKey: "taken" });
    const [strict] = await store.resolveClasses([
      {
        ...{ queue: from, type: "strict", requirements: NO_REQUIREMENTS },
        concurrency: [{ key: "one", limit: 1, strict: { priority: 0 } }],
      },
    ]);
    const [ordered] = await store.insertTasks([
      {
        task: newTask({ queue: from, type: "strict", concurrency: strict?.concurrency ?? [] }),
        ...{ classId: strict?.id ?? 0, assignTo: undefined },
      },
    ]);
    const move = { kind: "move", queue: to, createQueue: false } as const;
    const done = await change(move, { queues: [from] });
    assert.deepEqual([done.done, done.skipped], [4, { UNIQUE_KEY_HELD: 1 }]);
    const queueOf = async (id: number) => (await store.getTask(id))?.queue;
    assert.deepEqual(await Promise.all([runs, taken].map(queueOf)), [from, from]);
    const moved = [...plain.slice(1), keyed, ordered?.id ?? 0];
    assert.deepEqual(
      await Promise.all(moved.map(queueOf)),
      moved.map(() => to),
    );
    assert.equal((await store.getTask(plain[1] ?? 0))?.priority, 5);
    assert.deepEqual((await store.getTask(ordered?.id ?? 0))?.concurrency, strict?.concurrency);
    assert.equal((await store.keyOwner(to, "moves"))?.id, keyed);
    assert.equal(await store.keyOwner(from, "moves"), undefined);
    assert.equal((await store.keyOwner(to, "taken"))?.id, holder);
    assert.equal((await store.keyOwner(from, "taken"))?.id, taken);
    assert.deepEqual(await eventsOf(keyed), ["moved"]);
    // Its holder is named, too, and stays where it is with its key.
    const both = await change(move, { taskIds: [taken, holder] });
    assert.deepEqual([both.done, both.skipped], [0, { UNIQUE_KEY_HELD: 1, TASK_UNCHANGED: 1 }]);
    assert.equal((await store.keyOwner(to, "taken"))?.id, holder);
    assert.equal((await store.keyOwner(from, "taken"))?.id, taken);
    const full = await change({ ...move, queue: "small" }, { queues: [to] }, { room: 2 });
    assert.deepEqual([full.done, full.skipped], [2, { QUEUE_FULL: 3 }]);
    // Those that are there already take no room.
    const taskIds = [...moved, holder];
    const rest = await change({ ...move, queue: "small" }, { taskIds }, { room: 1 });
    assert.deepEqual([rest.done, rest.skipped], [1, { TASK_UNCHANGED: 2, QUEUE_FULL: 2 }]);
    const named = await change(move, { taskIds: [holder, runs] });
    assert.equal(named.done + (named.skipped.TASK_UNCHANGED ?? 0), 1);
    assert.equal(named.skipped.TASK_NOT_QUEUED, 1);
  });

  it("sets priorities once for each task, those of a strict order with their classes", async () => {
    const { store } = fixture;
    const queue = "priorities";
    for (const priority of [-3, 0, 4, 9]) await fixture.submit("plain", 400, { queue, priority });
    const lowered = await change({ kind: "set_priority", priority: 0 }, { queues: [queue] });
    assert.deepEqual([lowered.done, lowered.skipped], [1_200, {}]);
    const raised = await change({ kind: "set_priority", priority: 7 }, { queues: [queue] });
    assert.deepEqual([raised.done, raised.skipped], [1_600, {}]);
    const concurrency = [{ key: "strict-order", limit: 1, strict: { priority: 0 } }];
    const [strict] = await store.resolveClasses([
      { queue, type: "strict", requirements: NO_REQUIREMENTS, concurrency },
    ]);
    const [task] = await store.insertTasks([
      {
        task: newTask({ queue, type: "strict", concurrency }),
        ...{ classId: strict?.id ?? 0, assignTo: undefined },
      },
    ]);
    await change({ kind: "set_priority", priority: 3 }, { queues: [queue], types: ["strict"] });
    const changed = await store.getTask(task?.id ?? 0);
    assert.equal(changed?.priority, 3);
    assert.deepEqual(changed?.concurrency, [{ ...concurrency[0], strict: { priority: 3 } }]);
  });

  it("deletes the records of ended tasks with what belongs to them", async () => {
    const { store, db } = fixture;
    const queue = "deleted";
    const [keyed = 0] = await fixture.submit("keyed", 1, { queue, uniqueKey: "freed" });
    const attempt = await fixture.claimOne(keyed, sessionId);
    await store.appendOutput([{ taskId: keyed, epoch: 1, sequence: 1, data: Buffer.from("a line") }]);
    const checkpoint = { key: attempt, sequence: 1, contentType: "text/plain", value: Buffer.from("a") };
    assert.deepEqual(await store.putCheckpoints([checkpoint]), [keyed]);
    await store.appendLogs([
      { taskId: keyed, epoch: 1, unverifiedSessionId: undefined, endSequence: 1, lines: [] },
    ]);
    await store.addMetrics([{ key: { taskId: keyed, epoch: attempt.epoch }, sums: { pages: 1 }, facts: {} }]);
    await store.commitResults([commitRequest(attempt, failed())]);
    await store.retryTask(keyed);
    await end(keyed);
    const [predecessor = 0, open = 0] = await fixture.submit("plain", 2, { queue });
    const [dependent = 0] = await fixture.submit("plain", 1, {
      queue: "elsewhere",
      after: [{ taskId: predecessor, condition: "ended" }],
    });
    await end(predecessor);
    const done = await change(DELETE, { queues: [queue] });
    assert.deepEqual([done.done, done.skipped], [1, { DEPENDENTS_PENDING: 1 }]);
    assert.equal(await store.getTask(keyed), undefined);
    for (const table of [
      "task_attempt",
      "task_output",
      "task_log",
      "task_key",
      "task_checkpoint",
      "attempt_metric",
    ])
      assert.deepEqual(await db.query(`select from ${table} where task_id = $1`, [keyed]), [], table);
    assert.equal((await fixture.submit("keyed", 1, { queue, uniqueKey: "freed" })).length, 1);
    while ((await store.releaseDependents(100, 100)).ends > 0);
    assert.equal((await change(DELETE, { queues: [queue] })).done, 1);
    assert.equal((await store.getTask(dependent))?.waitsForTasks, undefined);
    assert.deepEqual((await change(DELETE, { taskIds: [open] })).skipped, { TASK_NOT_ENDED: 1 });
    await assertDependencies(db);
  });

  it("stops between steps, goes on where it stopped, and leaves out what is submitted meanwhile", async () => {
    const queue = "stopped";
    const ids = await fixture.submit("plain", 1_200, { queue });
    const gone = new AbortController();
    const request = {
      ...{ change: CANCEL, filter: { ...EVERYTHING, queues: [queue] } },
      ...{ reason: "a test", dryRun: false },
    };
    const first: ChangeProgress[] = [];
    for await (const progress of changer().run({ ...request, from: undefined }, gone.signal, NEVER)) {
      first.push(progress);
      gone.abort();
    }
    assert.equal(first.length, 1);
    const done = first[0]?.done ?? 0;
    assert.ok(done > 0 && done <= 500, `${done} in the first step`);
    assert.deepEqual(await statesOf(ids), { "0": 1_200 - done, "5": done });
    const [stopped] = await fixture.store.recentEvents(undefined, 1);
    assert.equal(stopped?.attributes.outcome, "stopped");
    const late = await fixture.submit("plain", 10, { queue });
    let second: ChangeProgress | undefined;
    for await (const progress of changer().run({ ...request, from: first[0]?.left }, NEVER, NEVER))
      second = progress;
    assert.equal(second?.done, 1_200 - done);
    assert.deepEqual(await statesOf(ids), { "5": 1_200 });
    assert.deepEqual(await statesOf(late), { "0": 10 });
  });

  it("changes each task once beside claims, ends and other changes, without a deadlock", async () => {
    const { db } = fixture;
    const queue = "contended";
    const ids: number[] = [];
    for (let type = 0; type < 4; type++)
      ids.push(...(await fixture.submit(`type-${type}`, 500, { queue, uniqueKey: undefined })));
    const another = fixture.another();
    const deadlocks = async () =>
      Number(
        (
          await db.query<{ deadlocks: string }>(
            "select deadlocks from pg_stat_database where datname = current_database()",
          )
        )[0]?.deadlocks,
      );
    const before = await deadlocks();
    const shuffled = [...ids].sort((a, b) => (a % 7) - (b % 7));
    const work = async () => {
      for (let start = 0; start < shuffled.length; start += 100) {
        const wanted = shuffled.slice(start, start + 100).map((taskId) => ({ taskId, sessionId }));
        const claimed = await fixture.store.claim(wanted);
        await fixture.store.commitResults(claimed.map((attempt) => commitRequest(attempt, SUCCEEDED)));
      }
    };
    const results = await Promise.all([
      change(CANCEL, { queues: [queue], states: ["queued"] }),
      change(CANCEL, { types: ["type-1", "type-3"], states: ["queued"] }, { store: another }),
      change({ kind: "set_priority", priority: 2 }, { queues: [queue] }, { store: another }),
      change({ kind: "move", queue: "beside", createQueue: true }, { types: ["type-0"] }, { store: another }),
      work(),
    ]);
    const states = await statesOf(ids);
    const cancelled = (results[0]?.done ?? 0) + (results[1]?.done ?? 0);
    assert.equal(states["5"], cancelled, "each cancelled task was counted once");
    assert.equal(
      Object.values(states).reduce((sum, count) => sum + count, 0),
      2_000,
    );
    assert.equal(await deadlocks(), before);
  });

  it("reads open tasks by their class and ended ones by their ids, whatever the statistics are", async () => {
    const own = await openFixture();
    try {
      await own.db.query("alter table task set (autovacuum_enabled = off)");
      const fill = (type: string, count: number, fields: Partial<NewTask>) => own.submit(type, count, fields);
      await fill("deep", 5_000, { queue: "deep" });
      await fill("few", 20, { queue: "few" });
      const done = await change(CANCEL, { queues: ["few"] }, { store: own.store });
      assert.deepEqual([done.done, done.progress.examined], [20, 20]);
      await own.closeStores();
      const [stats] = await own.db.query<{ seq_tup_read: string }>(
        "select pg_stat_clear_snapshot(), seq_tup_read from pg_stat_user_tables where relname = 'task'",
      );
      assert.equal(Number(stats?.seq_tup_read), 0);
    } finally {
      await own.close();
    }
  });
});
