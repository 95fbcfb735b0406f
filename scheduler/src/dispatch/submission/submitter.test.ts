import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ClassesGoneError, DatabaseUnavailableError, Refusal, UnstorableError } from "../../domain/errors.ts";
import type { TaskInsert } from "../../store/store.ts";
import { settled } from "../../testing/manual-clock.ts";
import { HotPath } from "../testing/hot-path.ts";

const MIB = 1024 * 1024;

describe("submitter", () => {
  let hot: HotPath;

  beforeEach(async () => {
    hot = new HotPath();
    await hot.poll();
  });

  const inserts = () => hot.faults.callsOf("insertTasks").map(([rows]) => rows as readonly TaskInsert[]);

  /** A class that is known and in which nothing waits: only then is a new task assigned with its insert. */
  async function knownClass(): Promise<void> {
    await hot.submit();
    const worker = hot.worker();
    await settled();
    const [taskId = 0] = worker.attempts.keys();
    hot.report(worker, [taskId], { kind: "cancelled", message: "" });
    await hot.poll();
    worker.drain();
    hot.takeSent();
  }

  it("answers after the commit with the ids of each call, in its order", async () => {
    // Of an unknown class, a call on which the process stalls yields to the next one.
    await hot.submit();
    const insert = hot.faults.hold("insertTasks");
    let answered = false;
    const calls = Promise.all([hot.submit(2), hot.submit(1)]).finally(() => {
      answered = true;
    });
    await hot.clock.pass(60_000);
    assert.equal(answered, false);
    insert();
    const ids = (await calls).map((rows) => rows.map(({ id }) => id));
    assert.deepEqual(ids, [[2, 3], [4]]);
  });

  it("inserts a call at once, and those that arrive meanwhile together", async () => {
    await hot.submit();
    const insert = hot.faults.hold("insertTasks");
    const first = hot.submit();
    await settled();
    assert.deepEqual(hot.batchSizes("insertTasks"), [1, 1]);
    const others = Array.from({ length: 5 }, () => hot.submit(2));
    await settled();
    assert.deepEqual(hot.batchSizes("insertTasks"), [1, 1]);
    insert();
    await Promise.all([first, ...others]);
    assert.deepEqual(hot.batchSizes("insertTasks"), [1, 1, 10]);
  });

  it("puts at most 8 MiB of payload in an insert, and no more than about 2,000 tasks", async () => {
    await hot.submit();
    const sizes = async (calls: () => Promise<unknown>[]) => {
      const before = hot.batchSizes("insertTasks").length;
      await Promise.all(calls());
      return hot.batchSizes("insertTasks").slice(before);
    };
    const payload = Buffer.alloc(3 * MIB);
    assert.deepEqual(await sizes(() => Array.from({ length: 3 }, () => hot.submit(1, { payload }))), [2, 1]);
    assert.deepEqual(await sizes(() => Array.from({ length: 3 }, () => hot.submit(1_000))), [2_000, 1_000]);
    assert.deepEqual(await sizes(() => [hot.submit(1, { payload: Buffer.alloc(9 * MIB) })]), [1], "alone");
  });

  it("assigns a task with its insert when a worker is free, and sends it after the commit", async () => {
    await knownClass();
    const worker = hot.worker();
    const claims = hot.batchSizes("claim").length;
    const insert = hot.faults.hold("insertTasks");
    const submit = hot.submit();
    await hot.clock.pass(1_000);
    assert.equal(inserts().at(-1)?.[0]?.assignTo, worker.id);
    assert.equal(worker.credit, 0, "its place is kept");
    assert.deepEqual(hot.sent, []);
    insert();
    const [row] = await submit;
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${row?.id}.1`]);
    assert.equal(hot.batchSizes("claim").length, claims, "no claim");
  });

  it("assigns with the insert up to the credit of the workers, and the rest waits", async () => {
    await knownClass();
    hot.worker({ slots: 2 });
    await hot.submit(3);
    assert.deepEqual(
      inserts()
        .at(-1)
        ?.map(({ assignTo }) => assignTo !== undefined),
      [true, true, false],
    );
    await hot.poll();
    assert.equal(hot.sent.length, 1);
  });

  it("resolves classes again that the store has deleted, and inserts the calls of others with them", async () => {
    const concurrency = [{ key: "order-1", limit: 1 }];
    const worker = hot.worker({ slots: 10 });
    const [first] = await hot.submit(1, { concurrency });
    await settled();
    hot.report(worker, [first?.id ?? 0], { kind: "cancelled", message: "" });
    await settled();
    const gone = hot.tables.classes.find((each) => each.concurrency !== undefined);
    assert.ok(gone);
    // Another scheduler deleted the class: a new one with another id stands for it.
    hot.tables.classes[hot.tables.classes.indexOf(gone)] = { ...gone, type: "deleted" };
    hot.faults.failOnce("insertTasks", new ClassesGoneError([gone.id]));
    const answers = await Promise.all([hot.submit(1, { concurrency }), hot.submit(1)]);
    assert.deepEqual(
      answers.map(({ length }) => length),
      [1, 1],
    );
    const last = inserts()
      .flat()
      .filter(({ task }) => task.concurrency !== undefined)
      .at(-1);
    assert.notEqual(last?.classId, gone.id);
    assert.equal(hot.dispatch.classes.get(gone.id), undefined);
    await settled();
    assert.ok(worker.attempts.has(answers[0][0]?.id ?? 0), "it is assigned in its new class");
  });

  for (const [what, fields] of Object.entries({
    "a unique key": { uniqueKey: "k" },
    "a delay": { delayMs: 1_000 },
    "a time": { runAtMs: 1 },
  })) {
    it(`does not assign a task with ${what} with its insert`, async () => {
      await knownClass();
      hot.worker();
      await hot.submit(1, fields);
      assert.equal(inserts().at(-1)?.[0]?.assignTo, undefined);
    });
  }

  it("does not let a new task overtake one in the window, while two claims are under way", async () => {
    await knownClass();
    await hot.submit(3);
    hot.faults.hold("claim");
    for (let n = 0; n < 3; n++) hot.worker();
    await settled();
    await hot.submit();
    assert.equal(inserts().at(-1)?.[0]?.assignTo, undefined);
  });

  it("does not let a new task overtake one that may wait in the store", async () => {
    await knownClass();
    hot.worker();
    hot.faults.failOnce("waitingTasks", new DatabaseUnavailableError("away", false, undefined));
    await hot.poll();
    await hot.submit();
    assert.equal(inserts().at(-1)?.[0]?.assignTo, undefined);
  });

  it("does not let a new task overtake one that waits", async () => {
    await knownClass();
    const [older] = await hot.submit(1);
    await settled();
    const claim = hot.faults.hold("claim");
    const insert = hot.faults.hold("insertTasks");
    const submit = hot.submit();
    await settled();
    const worker = hot.worker({ slots: 1 });
    insert();
    await submit;
    claim();
    await settled();
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${older?.id}.1`]);
  });

  it("does not assign to a paused queue with the insert", async () => {
    await knownClass();
    hot.dispatch.pausedQueues.setPaused(["default"]);
    hot.worker();
    await hot.submit();
    assert.equal(inserts().at(-1)?.[0]?.assignTo, undefined);
    assert.deepEqual(hot.sent, []);
  });

  it("gives the place back when the session ended before the insert, and another worker gets the task", async () => {
    await knownClass();
    const gone = hot.worker();
    hot.tables.endSession(gone.id);
    const [row] = await hot.submit();
    await settled();
    assert.deepEqual(hot.sent, []);
    assert.equal(gone.outstanding, 0);
    gone.drain();
    const next = hot.worker();
    await hot.poll();
    assert.deepEqual(hot.sent, [`${next.workerId} assign t-${row?.id}.1`]);
  });

  it("does not assign to a session that moved to another scheduler before the insert", async () => {
    await knownClass();
    const moved = hot.worker();
    hot.tables.sessions.set(moved.id, "other");
    const [row] = await hot.submit();
    assert.equal(row?.assigned, false);
    assert.deepEqual(hot.sent, []);
  });

  it("puts a task that waits into the window: the next free worker gets it without a read", async () => {
    await knownClass();
    const reads = hot.batchSizes("waitingTasks").length;
    const [row] = await hot.submit();
    const insert = hot.faults.hold("waitingTasks");
    const worker = hot.worker();
    await settled();
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${row?.id}.1`]);
    assert.equal(hot.batchSizes("waitingTasks").length, reads);
    insert();
  });

  it("assigns at once what could not be assigned with its insert", async () => {
    await knownClass();
    const worker = hot.worker();
    const [row] = await hot.submit(1, { uniqueKey: "at once" });
    await settled();
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${row?.id}.1`]);
  });

  it("answers the earlier task for a taken key, counts it, and assigns nothing for it", async () => {
    const [first] = await hot.submit(1, { uniqueKey: "k" });
    const [second] = await hot.submit(1, { uniqueKey: "k" });
    assert.deepEqual([second?.id, second?.duplicate, second?.assigned], [first?.id, true, false]);
    const { duplicates, submitted, keyConflicts } = hot.dispatch.counters;
    assert.deepEqual([duplicates, submitted], [1, 1]);
    assert.deepEqual(keyConflicts, { returned: 1, replaced: 0, refused: 0 });
    hot.worker({ slots: 5 });
    await hot.poll();
    assert.deepEqual(hot.sent, [`w-1 assign t-${first?.id}.1`]);
  });

  it("sends what a waiting task was replaced with, in the place of its new priority", async () => {
    const unique = { uniqueKey: "k", options: { unique: { while: "queued" as const } } };
    const [first] = await hot.submit(1, { priority: 1 });
    const [replaced] = await hot.submit(1, unique);
    const [again] = await hot.submit(1, { ...unique, priority: 2, onConflict: "replace" });
    assert.deepEqual([again?.id, again?.conflict?.outcome], [replaced?.id, "replaced"]);
    assert.equal(hot.dispatch.counters.submitted, 2);
    hot.worker({ slots: 1 });
    await settled();
    assert.deepEqual(hot.sent, [`w-1 assign t-${replaced?.id}.1`], `and not t-${first?.id}`);
    assert.equal(hot.tables.open.get(replaced?.id ?? 0)?.task.priority, 2);
  });

  it("waits for the new time of a task that was replaced", async () => {
    const unique = { uniqueKey: "k", options: { unique: { while: "queued" as const } } };
    const [task] = await hot.submit(1, unique);
    await hot.submit(1, { ...unique, delayMs: 5_000, onConflict: "replace" });
    assert.deepEqual(hot.scheduled, [5_000]);
    hot.worker();
    await settled();
    assert.deepEqual(hot.sent, [], `t-${task?.id} has to wait`);
  });

  it("refuses the call whose key is held by its own positions, and inserts the others together", async () => {
    const [holder] = await hot.submit(1, { uniqueKey: "held" });
    const [one, refused, other] = await Promise.allSettled([
      hot.submit(1, { uniqueKey: "a" }),
      hot.submit(1, { uniqueKey: "held", onConflict: "refuse" }),
      hot.submit(1, { uniqueKey: "b" }),
    ]);
    assert.deepEqual([one?.status, refused?.status, other?.status], ["fulfilled", "rejected", "fulfilled"]);
    const reason = refused?.status === "rejected" ? refused.reason : undefined;
    assert.ok(reason instanceof Refusal);
    assert.deepEqual([reason.kind, reason.reason], ["precondition", "UNIQUE_KEY_HELD"]);
    assert.deepEqual(reason.violations, [
      {
        field: "tasks[0].unique_key",
        description: `"held" is held by t-${holder?.id}, which is queued: wait until it frees the key, or submit with another one`,
      },
    ]);
    assert.deepEqual(hot.batchSizes("insertTasks").slice(-2), [3, 2]);
    assert.equal(hot.dispatch.counters.keyConflicts.refused, 1);
  });

  it("names a holder of another call of the batch by the id that it gets", async () => {
    const [one, two] = await Promise.allSettled([
      hot.submit(1, { uniqueKey: "same" }),
      hot.submit(1, { uniqueKey: "same", onConflict: "refuse" }),
    ]);
    assert.ok(one?.status === "fulfilled" && two?.status === "rejected" && two.reason instanceof Refusal);
    assert.match(two.reason.message, new RegExp(`is held by t-${one.value[0]?.id}, which is queued`));
    assert.ok(hot.tables.open.has(one.value[0]?.id ?? 0));
    await assert.rejects(hot.submit(2, { uniqueKey: "twice", onConflict: "refuse" }), {
      message: /^tasks\[1\]\.unique_key "twice" is that of tasks\[0\], too: /,
    });
  });

  it("keeps tasks without a key in batches of their own", async () => {
    await knownClass();
    const before = hot.batchSizes("insertTasks").length;
    await Promise.all([hot.submit(), hot.submit(1, { uniqueKey: "a" }), hot.submit()]);
    assert.deepEqual(hot.batchSizes("insertTasks").slice(before).toSorted(), [1, 2]);
  });

  it("schedules what may not start at once for its time", async () => {
    hot.worker({ slots: 5 });
    await hot.submit(1, { delayMs: 5_000 });
    await hot.submit(1, { runAtMs: hot.clock.now() + 7_000 });
    await hot.submit(1, { runAtMs: 1 });
    assert.deepEqual(hot.scheduled, [5_000, 7_000, 0]);
    await settled();
    assert.equal(hot.sent.length, 0);
  });

  it("hints other schedulers at what waits, and not at what is assigned", async () => {
    hot.dispatch.peers.count = 1;
    await hot.submit();
    await hot.clock.pass(20);
    assert.deepEqual(hot.hints, [[1]]);
    hot.worker({ slots: 5 });
    await hot.poll();
    await hot.submit();
    await hot.clock.pass(20);
    assert.deepEqual(hot.hints, [[1]]);
  });

  it("rejects the call whose task is refused, and accepts the others of the batch", async () => {
    await hot.submit();
    hot.faults.refuseRows("insertTasks", ({ task }: TaskInsert) =>
      task.contentType === "bad" ? new UnstorableError("not storable") : undefined,
    );
    const [one, bad, other] = await Promise.allSettled([
      hot.submit(2),
      hot.submit(1, { contentType: "bad" }),
      hot.submit(1),
    ]);
    assert.deepEqual([one?.status, bad?.status, other?.status], ["fulfilled", "rejected", "fulfilled"]);
    assert.equal(hot.tables.open.size, 4);
    assert.deepEqual(hot.batchSizes("insertTasks").slice(1), [4, 2, 1, 1]);
  });

  it("rejects all calls when the database is away, gives the places back, and does not repeat them", async () => {
    await knownClass();
    const worker = hot.worker({ slots: 2 });
    const before = inserts().length;
    hot.faults.away = true;
    const calls = await Promise.allSettled([hot.submit(), hot.submit()]);
    assert.ok(
      calls.every((call) => call.status === "rejected" && call.reason instanceof DatabaseUnavailableError),
    );
    assert.equal(inserts().length, before + 1);
    assert.equal(worker.credit, 2);
    hot.faults.away = false;
    await hot.clock.pass(60_000);
    assert.equal(hot.tables.open.size, 0);
  });

  it("sends what an insert assigned whose answer was lost, once, although the call is rejected", async () => {
    await knownClass();
    const worker = hot.worker({ slots: 2 });
    hot.faults.loseAnswerOnce("insertTasks");
    await assert.rejects(hot.submit(2), { outcomeUnknown: true });
    await hot.clock.pass(60_000);
    const [two, three] = [...hot.tables.open.keys()];
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${two}.1 t-${three}.1`]);
    assert.equal(worker.credit, 0);
  });

  it("finds what waits after an insert whose answer was lost", async () => {
    await knownClass();
    hot.faults.loseAnswerOnce("insertTasks");
    await assert.rejects(hot.submit());
    const worker = hot.worker();
    await settled();
    assert.deepEqual(hot.sent, [`${worker.workerId} assign t-${[...hot.tables.open.keys()][0]}.1`]);
  });
});
