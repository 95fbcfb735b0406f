import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { NO_REQUIREMENTS, newTask, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { WINDOW_SIZE } from "../matching/class-entry.ts";
import { AGEING_MS, HotPath, TYPE } from "../testing/hot-path.ts";

type Wanted = readonly { readonly taskId: number; readonly sessionId: number }[];

describe("dispatcher", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  /** Ids of the tasks of each claim so far. */
  const claims = () =>
    hot.faults.callsOf("claim").map(([wanted]) => (wanted as Wanted).map(({ taskId }) => taskId));

  it("claims in one statement and sends in one frame: highest priority first, then oldest", async () => {
    const [first, second] = await hot.waiting(2);
    const [urgent] = await hot.waiting(1, { priority: 5 });
    const [low] = await hot.waiting(1, { priority: -1 });
    await hot.poll();
    hot.worker({ slots: 10 });
    await settled();
    assert.deepEqual(claims(), [[urgent, first, second, low]]);
    assert.deepEqual(hot.sent, [`w-1 assign t-${urgent}.1 t-${first}.1 t-${second}.1 t-${low}.1`]);
  });

  it("takes the oldest of all classes first", async () => {
    const [a] = await hot.waiting(1, { type: "a" });
    const [b] = await hot.waiting(1, { type: "b" });
    const [c] = await hot.waiting(1, { type: "a" });
    await hot.poll();
    hot.worker({ types: { a: 0, b: 0 }, slots: 10 });
    await settled();
    assert.deepEqual(claims(), [[a, b, c]]);
  });

  it("gives queues turns by weight, also within a batch and whatever the priorities", async () => {
    hot.dispatch.classes.windows.order.setWeights({
      queue: (name) => (name === "b" ? 3 : 1),
      key: () => undefined,
    });
    const bulk = await hot.waiting(100, { queue: "a", priority: 1_000 });
    const other = await hot.waiting(100, { queue: "b" });
    await hot.poll();
    hot.worker({ queues: ["a", "b"], slots: 40 });
    await settled();
    const [ids = []] = claims();
    assert.deepEqual(
      [ids.filter((id) => bulk.includes(id)).length, ids.filter((id) => other.includes(id)).length],
      [10, 30],
    );
  });

  for (const idle of [0, 1])
    it(`starts a task of another queue with the next free place while a bulk keeps its workers busy and ${idle} others are idle`, async () => {
      await hot.waiting(WINDOW_SIZE, { queue: "a" });
      await hot.poll();
      const worker = hot.worker({ queues: ["a", "b"], slots: 2 });
      for (let n = 0; n < idle; n++) hot.worker({ queues: ["c"] });
      await settled();
      hot.takeSent();
      const [late = 0] = await hot.waiting(1, { queue: "b" });
      await hot.poll();
      assert.deepEqual(hot.takeSent(), [], "no place is free");
      hot.report(worker, [1], SUCCEEDED);
      await settled();
      assert.ok(hot.takeSent().includes(`w-1 assign t-${late}.1`));
    });

  it("gives fairness keys of a queue turns", async () => {
    const bulk = await hot.waiting(100, { fairness: { key: "tenant-1", weight: 1 } });
    const few = await hot.waiting(3, { fairness: { key: "tenant-2", weight: 1 } });
    await hot.poll();
    hot.worker({ slots: 6 });
    await settled();
    const [ids = []] = claims();
    assert.deepEqual(
      ids.filter((id) => few.includes(id)),
      few,
    );
    assert.equal(ids.filter((id) => bulk.includes(id)).length, 3);
  });

  it("starts a low priority before those that became ready later than its levels are worth", async () => {
    const [low = 0] = await hot.waiting(1);
    await hot.clock.pass(2 * AGEING_MS);
    const [older = 0] = await hot.waiting(1, { priority: 3 });
    await hot.clock.pass(AGEING_MS + 1);
    const later = await hot.waiting(WINDOW_SIZE, { priority: 3 });
    const [fresh = 0] = await hot.waiting(1, { type: "b", priority: 2 });
    await hot.poll();
    hot.worker({ types: { [TYPE]: 0, b: 0 }, slots: 3 });
    await settled();
    assert.deepEqual(claims(), [[older, later[0], later[1]]], "the window has only the higher priority");
    await hot.dispatch.dispatcher.readAged();
    hot.worker({ types: { [TYPE]: 0, b: 0 }, slots: 2 });
    await settled();
    assert.deepEqual(claims()[1], [low, later[2]]);
    assert.equal(hot.tables.open.get(fresh)?.state, "queued");
  });

  it("starts a deep backlog of aged tasks before all of a higher priority, while every worker is busy", async () => {
    const low = await hot.waiting(2_500);
    await hot.clock.pass(3 * AGEING_MS + 1);
    await hot.waiting(2 * WINDOW_SIZE, { priority: 3 });
    await hot.poll();
    const worker = hot.worker({ slots: 100 });
    await settled();
    await hot.dispatch.dispatcher.readAged();
    for (let round = 1; round <= 25; round++) {
      hot.report(worker, [...worker.attempts.keys()], SUCCEEDED);
      await settled();
    }
    assert.deepEqual(claims().flat().slice(100), low);
  });

  it("looks at a few of 10,000 classes with keys for a start, when all admit and have tasks", async () => {
    let looks = 0;
    const counted: ProxyHandler<TaskClass> = {
      get: (taskClass, name) => {
        // The store in memory finds a class by its id.
        if (name !== "id") looks++;
        return Reflect.get(taskClass, name);
      },
    };
    for (let id = 1; id <= 10_000; id++) {
      const concurrency = [{ key: `order-${id}`, limit: 5 }];
      const fairness = id % 2 === 0 ? { key: `tenant-${id}`, weight: 1 } : undefined;
      const made = { id, queue: "default", type: TYPE, requirements: NO_REQUIREMENTS, concurrency, fairness };
      hot.tables.classes.push(new Proxy(made, counted));
    }
    const inserts = hot.tables.classes.flatMap(({ id: classId }) =>
      [1, 2].map(() => ({ task: newTask({ type: TYPE }), classId, assignTo: undefined })),
    );
    await hot.store.claims.insertTasks(inserts);
    await hot.poll();
    const worker = hot.worker({ slots: 4 });
    // Serves nothing of it, and has credit all the time.
    hot.worker({ types: { other: 0 } });
    await settled();
    for (const round of [1, 2, 3]) {
      looks = 0;
      const [first = 0] = worker.attempts.keys();
      hot.report(worker, [first], SUCCEEDED);
      await settled();
      assert.equal(worker.attempts.size, 4, `round ${round}`);
      assert.ok(looks <= 100, `${looks} looks in round ${round}`);
    }
  });

  it("sends nothing before the claim is answered", async () => {
    await hot.waiting(1);
    await hot.poll();
    const claim = hot.faults.hold("claim");
    const worker = hot.worker();
    await hot.clock.pass(60_000);
    assert.deepEqual(hot.sent, []);
    assert.equal(worker.credit, 0, "its place is kept");
    claim();
    await settled();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1"]);
  });

  it("sends no more payload than the worker takes ahead, and gives back what turns out to be larger", async () => {
    const slow = hot.worker({ slots: 10, assignmentBytes: 1_000 });
    const [small] = await hot.submit(1, { payload: Buffer.alloc(10) });
    assert.deepEqual(hot.takeSent(), [`w-1 assign t-${small?.id}.1`]);
    const [first, second, third] = await hot.waiting(3, { payload: Buffer.alloc(600) });
    await hot.poll();
    await settled();
    assert.deepEqual(hot.takeSent(), [`w-1 assign t-${first}.1`]);
    assert.deepEqual(slow.fullOfBytes, { bytes: 610, nextBytes: 600, maxBytes: 1_000 });
    assert.equal(slow.attempts.size, 2);
    await hot.poll();
    await settled();
    assert.deepEqual(hot.takeSent(), [], "what was given back is not claimed again");
    hot.worker({ slots: 1 });
    await settled();
    assert.deepEqual(hot.takeSent(), [`w-2 assign t-${second}.2`], "another worker gets it");
    hot.dispatch.reportHandler.handleStarted(slow, [{ taskId: first ?? 0, epoch: 1 }]);
    await settled();
    await hot.clock.pass(0);
    await settled();
    assert.deepEqual(hot.takeSent(), [`w-1 assign t-${third}.2`]);
  });

  it("has two claims under way at most, and each task in one of them", async () => {
    const ids = await hot.waiting(4);
    await hot.poll();
    const claim = hot.faults.hold("claim");
    for (let n = 0; n < 4; n++) {
      hot.worker();
      await hot.poll();
    }
    assert.deepEqual(claims(), [[ids[0]], [ids[1]]]);
    claim();
    await settled();
    assert.deepEqual(claims().flat(), ids);
    assert.equal(hot.sent.length, 4);
  });

  it("claims at most 1,000 in a statement", async () => {
    await hot.waiting(1_500);
    await hot.poll();
    hot.worker({ slots: 1_500 });
    await settled();
    assert.deepEqual(hot.batchSizes("claim"), [1_000, 500]);
  });

  it("gives a worker its slots and prefetch, and a further task for each that ends", async () => {
    await hot.waiting(5);
    await hot.poll();
    const worker = hot.worker({ slots: 2, prefetch: 1 });
    await settled();
    assert.deepEqual(hot.takeSent(), ["w-1 assign t-1.1 t-2.1 t-3.1"]);
    await hot.poll();
    assert.deepEqual(hot.takeSent(), []);
    hot.report(worker, [2], SUCCEEDED);
    await settled();
    assert.deepEqual(hot.takeSent().toSorted(), ["w-1 ack t-2.1", "w-1 assign t-4.1"]);
  });

  it("keeps to the limit of a type", async () => {
    await hot.waiting(3, { type: "few" });
    await hot.poll();
    hot.worker({ types: { few: 2 }, slots: 10 });
    await settled();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1 t-2.1"]);
  });

  it("spreads tasks over workers, and fills free slots before prefetch", async () => {
    await hot.poll();
    hot.worker({ prefetch: 2 });
    hot.worker({ prefetch: 2 });
    await hot.waiting(3);
    await hot.poll();
    const [one = "", other = ""] = hot.sent.toSorted();
    assert.match(one, /^w-1 assign t-\d\.1/);
    assert.match(other, /^w-2 assign t-\d\.1/);
  });

  it("assigns nothing of a paused queue until it is resumed", async () => {
    await hot.waiting(1, { queue: "default" });
    hot.dispatch.pausedQueues.setPaused(["default"]);
    await hot.poll();
    hot.worker();
    await hot.poll();
    assert.deepEqual(hot.batchSizes("claim"), []);
    hot.dispatch.pausedQueues.setPaused([]);
    hot.dispatch.dispatcher.pump();
    await settled();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1"]);
  });

  describe("window", () => {
    for (const { claimed, reads } of [
      { claimed: 490, reads: 1 },
      { claimed: 500, reads: 2 },
    ])
      it(`of which ${claimed + 1_000} of ${WINDOW_SIZE} tasks are taken has been read ${reads} times`, async () => {
        await hot.waiting(WINDOW_SIZE + 100);
        await hot.poll();
        hot.faults.hold("claim");
        hot.worker({ slots: claimed });
        await settled();
        hot.faults.hold("waitingTasks");
        hot.worker({ slots: 1_000 });
        hot.worker({ slots: 10 });
        await settled();
        assert.deepEqual(hot.batchSizes("claim"), [claimed, 1_000]);
        assert.equal(hot.batchSizes("waitingTasks").length, reads);
      });

    it("is read from the first task of the last read, and from the front after a poll", async () => {
      const ids = await hot.waiting(WINDOW_SIZE + 100);
      await hot.poll();
      const worker = hot.worker({ slots: WINDOW_SIZE + 1 });
      await settled();
      const floors = () =>
        hot.faults.callsOf("waitingTasks").map((args) => (args[2] as readonly unknown[])[0]);
      const first = { id: ids[0], priority: 0 };
      assert.deepEqual(floors().slice(0, 2), [undefined, first]);
      assert.equal(worker.attempts.size, WINDOW_SIZE + 1);
      hot.worker({ slots: 200 });
      await hot.poll();
      assert.equal(floors().at(-1), undefined);
    });

    it("does not take back what is being claimed while it is read", async () => {
      await hot.waiting(2);
      await hot.poll();
      const claim = hot.faults.hold("claim");
      hot.worker();
      await hot.poll();
      hot.worker({ slots: 5 });
      await hot.poll();
      claim();
      await hot.poll();
      assert.deepEqual(claims().flat().toSorted(), [1, 2]);
      assert.deepEqual(hot.sent.toSorted(), ["w-1 assign t-1.1", "w-2 assign t-2.1"]);
    });

    it("is not read over and over while all that is read is being claimed", async () => {
      await hot.waiting(WINDOW_SIZE + 100);
      await hot.poll();
      const claim = hot.faults.hold("claim");
      hot.worker({ slots: 1_000 });
      await settled();
      const answer = hot.faults.holdAnswers("waitingTasks");
      const worker = hot.worker({ slots: 1_100 });
      await settled();
      const next = hot.faults.holdAnswers("waitingTasks");
      answer();
      await settled();
      assert.deepEqual([hot.batchSizes("claim"), hot.batchSizes("waitingTasks").length], [[1_000, 1_000], 2]);
      next();
      claim();
      await settled();
      assert.equal(worker.attempts.size, 1_100, "it is read again after a claim");
    });

    it("does not take back what was claimed after it was read", async () => {
      await hot.waiting(2);
      await hot.poll();
      const claim = hot.faults.hold("claim");
      hot.worker();
      await settled();
      const answer = hot.faults.holdAnswers("waitingTasks");
      const worker = hot.worker({ slots: 5 });
      await hot.poll();
      claim();
      await settled();
      answer();
      await settled();
      assert.deepEqual(claims(), [[1], [2]]);
      assert.deepEqual([hot.dispatch.counters.acquireConflicts, worker.credit], [0, 4]);
    });

    it("is read again with the next poll when the read failed", async () => {
      await hot.waiting(1);
      await hot.dispatch.classes.learn();
      hot.faults.failOnce("waitingTasks", new DatabaseUnavailableError("away", false, undefined));
      hot.worker();
      await settled();
      assert.deepEqual(hot.sent, []);
      hot.dispatch.dispatcher.pump();
      await settled();
      assert.deepEqual(hot.sent, ["w-1 assign t-1.1"]);
    });
  });

  describe("claim", () => {
    it("that another scheduler won gives the place back, and counts it", async () => {
      await hot.waiting(2);
      await hot.poll();
      const claim = hot.faults.hold("claim");
      const worker = hot.worker();
      await settled();
      const other = hot.tables.openSession("other");
      await hot.store.claims.claim([{ taskId: 1, sessionId: other }], "other");
      claim();
      await settled();
      assert.deepEqual(hot.sent, [`${worker.workerId} assign t-2.1`]);
      assert.equal(hot.dispatch.counters.acquireConflicts, 1);
      assert.equal(worker.credit, 0);
    });

    it("for a session that moved to another scheduler assigns nothing", async () => {
      await hot.waiting(1);
      await hot.poll();
      const claim = hot.faults.hold("claim");
      const worker = hot.worker();
      hot.tables.sessions.set(worker.id, "other");
      claim();
      await settled();
      assert.equal(hot.tables.open.get(1)?.state, "queued");
      assert.deepEqual(hot.sent, []);
      assert.equal(worker.outstanding, 0);
    });

    it("that failed gives places and tasks back, and the next poll repeats it", async () => {
      await hot.waiting(2);
      await hot.poll();
      hot.faults.away = true;
      const worker = hot.worker({ slots: 2 });
      await settled();
      assert.equal(worker.credit, 2);
      assert.deepEqual(hot.logged, [], "the database watch logs its absence");
      assert.match(hot.dispatch.dispatcher.pulse.lastError ?? "", /away/);
      const tries = claims().length;
      await hot.clock.pass(60_000);
      assert.equal(claims().length, tries, "it does not repeat it by itself");
      hot.faults.away = false;
      hot.dispatch.dispatcher.pump();
      await settled();
      assert.deepEqual(hot.sent, ["w-1 assign t-1.1 t-2.1"]);
      assert.equal(hot.dispatch.dispatcher.pulse.lastError, undefined);
    });

    it("that failed for another reason is logged", async () => {
      await hot.waiting(1);
      await hot.poll();
      hot.faults.failOnce("claim", new TypeError("x is not a function"));
      hot.worker();
      await settled();
      assert.deepEqual(hot.logged, ["dispatch.failed"]);
    });

    it("whose answer was lost is looked up, and its tasks are sent once", async () => {
      await hot.waiting(2);
      await hot.poll();
      hot.faults.loseAnswerOnce("claim");
      const worker = hot.worker({ slots: 2 });
      await hot.clock.pass(60_000);
      await hot.poll();
      assert.deepEqual(hot.sent, ["w-1 assign t-1.1 t-2.1"]);
      assert.equal(worker.credit, 0);
      assert.deepEqual(
        [1, 2].map((id) => hot.tables.open.get(id)?.epoch),
        [1, 1],
      );
    });

    it("whose connection broke before it was applied is repeated", async () => {
      await hot.waiting(1);
      await hot.poll();
      hot.faults.failOnce("claim", new DatabaseUnavailableError("broke", true, undefined));
      hot.worker();
      await hot.poll();
      assert.deepEqual(hot.sent, ["w-1 assign t-1.1"]);
    });
  });

  it("assigns nothing more after its stop, which waits for the claims under way", async () => {
    await hot.waiting(2);
    await hot.poll();
    const claim = hot.faults.hold("claim");
    hot.worker();
    await settled();
    let stopped = false;
    const stop = hot.dispatch.dispatcher.stop().then(() => {
      stopped = true;
    });
    await settled();
    assert.equal(stopped, false);
    hot.worker();
    claim();
    await stop;
    await hot.poll();
    assert.deepEqual(hot.sent, ["w-1 assign t-1.1"]);
  });

  it("reads a class that is not in memory when a task of it can run", async () => {
    await hot.poll();
    hot.worker();
    const [id = 0] = await hot.waiting(1);
    const classId = hot.tables.open.get(id)?.classId ?? 0;
    hot.dispatch.dispatcher.enqueue({ id, classId, priority: 0 });
    await settled();
    assert.deepEqual(hot.sent, [`w-1 assign t-${id}.1`]);
  });
});
