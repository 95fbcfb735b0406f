import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  commitRequest,
  EVERY_TASK,
  failed,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const HOUR_MS = 3_600_000;

describe("store: holds", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const task = async (id: number) =>
    (await fixture.store.getTask(id)) ?? assert.fail(`there is no task ${id}`);
  const hold = async (id: number) => assert.equal((await fixture.store.holdTask(id, "why"))?.outcome, "held");
  const claimed = async (id: number) =>
    (await fixture.store.claim([{ taskId: id, sessionId: await fixture.session() }])).length;
  const due = async () => (await fixture.store.wakeDue(1_000)).map(({ id }) => id);

  it("keep a ready task from every claim until its release, and name who asked", async () => {
    const { store } = fixture;
    const [id = 0, other = 0] = await fixture.submit("ready", 2);
    const classId = await fixture.classOf("ready");
    assert.deepEqual(await store.holdTask(id, "first"), { outcome: "held", classId });
    assert.deepEqual(await store.holdTask(id, "second"), { outcome: "held_before" });
    const { hold: found, state, runTime } = await task(id);
    assert.deepEqual([found?.reason, state, runTime], ["first", "queued", undefined]);
    assert.deepEqual(
      (await store.waitingTasks([classId], 10)).map((each) => each.id),
      [other],
    );
    assert.deepEqual([await claimed(id), await due()], [0, []]);
    assert.deepEqual(await store.retryTask(id), { outcome: "held" });
    const listed = await store.listTasks({ ...EVERY_TASK, types: ["ready"], details: ["held"] });
    assert.deepEqual(
      listed.tasks.map((each) => [each.id, each.hold?.reason]),
      [[id, "first"]],
    );
    const released = { outcome: "released", waitsForTasks: false, waitMs: undefined } as const;
    assert.deepEqual(await store.releaseTask(id, "over"), {
      ...released,
      task: { id, classId, priority: 0 },
    });
    assert.deepEqual(await store.releaseTask(id, "over"), { outcome: "not_held" });
    assert.ok((await task(id)).readyTime > (await task(other)).readyTime, "the hold is no wait for a worker");
    assert.equal(await claimed(id), 1);
    assert.deepEqual(await store.holdTask(id, "late"), { outcome: "active" });
    await store.cancelTask(other, "over");
    assert.deepEqual(await store.holdTask(other, "late"), { outcome: "ended" });
    assert.deepEqual(await store.releaseTask(other, "late"), { outcome: "ended" });
    assert.equal(await store.holdTask(2 ** 40, "nothing there"), undefined);
    assert.equal(await store.releaseTask(2 ** 40, "nothing there"), undefined);
    const events = (await store.latestTaskEvents(id, 10)).map(({ name }) => name);
    assert.deepEqual(
      events.filter((name) => name.includes("h")),
      ["held", "hold_released"],
    );
  });

  it("keep the start time of a scheduled task and of a retry for the release", async () => {
    const { store } = fixture;
    const [later = 0, soon = 0, retried = 0] = [
      ...(await fixture.submit("later", 1, { delayMs: HOUR_MS })),
      ...(await fixture.submit("later", 1, { delayMs: 1 })),
      ...(await fixture.submit("later")),
    ];
    const { runTime } = await task(later);
    const attempt = await fixture.claimOne(retried, await fixture.session());
    await store.commitResults([commitRequest(attempt, failed())]);
    for (const id of [later, soon, retried]) await hold(id);
    assert.deepEqual((await task(later)).runTime, runTime);
    assert.deepEqual(await due(), []);
    const wait = async (id: number) => {
      const released = await store.releaseTask(id, "over");
      return released?.outcome === "released" ? released.waitMs : assert.fail(released?.outcome);
    };
    const waitMs = (await wait(later)) ?? 0;
    assert.ok(waitMs > HOUR_MS - 60_000 && waitMs <= HOUR_MS, `${waitMs} ms`);
    assert.deepEqual((await task(later)).runTime, runTime);
    assert.equal(await wait(soon), undefined, "its time has come meanwhile");
    assert.equal(await claimed(soon), 1);
    assert.ok(((await wait(retried)) ?? 0) > 0);
    assert.equal((await task(retried)).failure?.code, "BROKE");
  });

  it("last when the tasks that it waits for have ended, and end without a start before they have", async () => {
    const { store } = fixture;
    const [first = 0] = await fixture.submit("first");
    const [held = 0] = await fixture.submit("next", 1, {
      after: [{ taskId: first, condition: "ended" }],
      delayMs: HOUR_MS,
    });
    const [waits = 0] = await fixture.submit("next", 1, { after: [{ taskId: first, condition: "ended" }] });
    for (const id of [held, waits]) await hold(id);
    const early = await store.releaseTask(waits, "over");
    assert.ok(early?.outcome === "released" && early.waitsForTasks, "it waits for the task again");
    assert.deepEqual([await claimed(waits), (await task(waits)).waitsForTasks], [0, true]);
    const { predecessors } = await store.taskLinks(held, 0, 10);
    assert.equal(predecessors[0]?.detail, undefined);
    assert.equal((await store.taskLinks(first, 0, 10)).dependents[0]?.detail, "held");
    await store.commitResults([
      commitRequest(await fixture.claimOne(first, await fixture.session()), SUCCEEDED),
    ]);
    const { released } = await store.releaseDependents(10, 10);
    assert.deepEqual(
      released.map((each) => [each.task.id, each.held ?? false]),
      [
        [held, true],
        [waits, false],
      ],
    );
    assert.equal(await claimed(waits), 1);
    assert.deepEqual([await claimed(held), await due()], [0, []]);
    const { hold: kept, waitsForTasks, runTime } = await task(held);
    assert.deepEqual([kept?.reason, waitsForTasks], ["why", undefined]);
    assert.ok(Math.abs((runTime?.getTime() ?? 0) - Date.now() - HOUR_MS) < 600_000, "its delay began");
    const late = await store.releaseTask(held, "over");
    assert.ok(late?.outcome === "released" && (late.waitMs ?? 0) > 0);
  });

  it("do not stop a cancellation, a queue timeout or a replacement", async () => {
    const { store } = fixture;
    const [cancelled = 0] = await fixture.submit("ends");
    const [overdue = 0] = await fixture.submit("ends", 1, { options: { timeouts: { queueWaitMs: 1 } } });
    const key = { uniqueKey: "held", onConflict: "replace" as const };
    const [replaced = 0] = await fixture.submit("ends", 1, key);
    for (const id of [cancelled, overdue, replaced]) await hold(id);
    assert.equal((await store.cancelTask(cancelled, "over"))?.outcome, "cancelled");
    while (!(await store.failOverdue(10)).some(({ id }) => id === overdue));
    assert.equal((await task(overdue)).detail, "DEADLINE_BEFORE_START");
    const [again] = await store.insertTasks([
      {
        task: newTask({ type: "ends", ...key, payload: Buffer.from("2"), delayMs: HOUR_MS }),
        ...{ classId: await fixture.classOf("ends"), assignTo: undefined },
      },
    ]);
    assert.equal(again?.id, replaced);
    const { hold: kept, payload, runTime } = await task(replaced);
    assert.deepEqual([kept?.reason, Buffer.from(payload ?? []).toString()], ["why", "2"]);
    assert.ok(runTime);
    assert.equal(await claimed(replaced), 0);
    assert.deepEqual(await store.longestHeld(10), {
      count: 1,
      tasks: [{ id: replaced, hold: kept }],
    });
    await store.cancelTask(replaced, "over");
  });

  it("win against a worker that returns with the attempt that was taken from it", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [id = 0] = await fixture.submit("returns");
    const attempt = await fixture.claimOne(id, sessionId);
    const released = { kind: "released", reason: "drain" } as const;
    await store.commitResults([commitRequest(attempt, released)]);
    await hold(id);
    const key = { taskId: id, epoch: attempt.epoch };
    assert.equal(await store.retake(key, sessionId, undefined), false);
    await store.releaseTask(id, "over");
    assert.equal(await store.retake(key, sessionId, undefined), true, "nothing has it meanwhile");
  });

  it("either hold a task or leave it to the claim of the same moment, and the answer is true", async () => {
    const other = fixture.another();
    const ids = await fixture.submit("race", 300);
    const sessionId = await fixture.session();
    const taken = new Set<number>();
    const held = new Set<number>();
    const claims = async () => {
      for (let start = 0; start < ids.length; start += 20)
        for (const { taskId } of await other.claim(
          ids.slice(start, start + 20).map((each) => ({ taskId: each, sessionId })),
        ))
          taken.add(taskId);
    };
    const holds = async (from: number) => {
      for (let at = from; at < ids.length; at += 3)
        if ((await fixture.store.holdTask(ids[at] ?? 0, "race"))?.outcome === "held") held.add(ids[at] ?? 0);
    };
    await Promise.all([claims(), holds(0), holds(1)]);
    for (const id of ids) {
      const { state, hold: found } = await task(id);
      assert.deepEqual(
        [state, found !== undefined],
        taken.has(id) ? ["assigned", false] : ["queued", true],
        `t-${id}`,
      );
      assert.equal(taken.has(id), !held.has(id), `t-${id}`);
    }
  });
});
