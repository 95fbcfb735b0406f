import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import type { TaskClass } from "../../domain/matching/match.ts";
import { RecordingRule } from "../testing/recording-rule.ts";
import { Admission } from "./admission.ts";
import { PausedQueues } from "./paused-queues.ts";
import type { AdmissionRule } from "./rule.ts";

const SLOW = { id: 1, queue: "slow", type: "t" } as TaskClass;
const FAST = { id: 2, queue: "fast", type: "t" } as TaskClass;

function setUp(...rules: AdmissionRule[]) {
  const at = { now: 0, pumps: 0 };
  const admission = new Admission(rules, {
    clock: { monotonic: () => at.now },
    onFreed: () => {
      at.pumps++;
    },
  });
  return { admission, at };
}

function task(id: number, { id: classId }: TaskClass = FAST) {
  return { id, classId, priority: 0 };
}

describe("admission of classes", () => {
  it("holds back the classes of a paused queue until it is resumed, and says why", () => {
    const paused = new PausedQueues();
    const { admission } = setUp(paused);
    assert.ok(admission.admits(SLOW));
    assert.ok(paused.setPaused(["slow"]));
    assert.ok(!paused.setPaused(["slow"]), "nothing changed");
    assert.equal(admission.holdReason(SLOW)?.code, "QUEUE_PAUSED");
    assert.ok(admission.admits(FAST));
    assert.ok(paused.setPaused([]));
    assert.ok(admission.admits(SLOW));
  });

  it("remembers since when a class is held back, until it is admitted", () => {
    const paused = new PausedQueues();
    const { admission, at } = setUp(paused);
    paused.setPaused(["slow"]);
    at.now = 5;
    assert.ok(!admission.admits(SLOW));
    at.now = 9;
    assert.equal(admission.holdOf(task(1, SLOW), SLOW)?.heldAt, 5);
    paused.setPaused([]);
    assert.ok(admission.admits(SLOW));
    paused.setPaused(["slow"]);
    assert.ok(!admission.admits(SLOW));
    assert.equal(admission.holdOf(task(1, SLOW), SLOW)?.heldAt, 9);
  });

  it("asks no rule about single tasks while none counts them", () => {
    const { admission } = setUp(new PausedQueues());
    assert.ok(!admission.asksTasks(FAST));
    admission.hold({ taskId: 1, epoch: 1 }, FAST);
    admission.release({ taskId: 1, epoch: 1 }, "finished");
    assert.deepEqual(admission.takeFreed(), []);
  });
});

describe("admission of tasks", () => {
  it("parks a task that is held back, with the time of its first hold, and frees it after a release", async () => {
    const rule = new RecordingRule({ limit: 1 });
    const { admission, at } = setUp(rule);
    assert.ok(admission.tryAcquire(task(1), FAST));
    at.now = 3;
    assert.ok(!admission.tryAcquire(task(2), FAST));
    assert.ok(admission.isHeld(2));
    assert.equal(admission.firstHoldOf(FAST.id)?.heldAt, 3);
    admission.hold({ taskId: 1, epoch: 1 }, FAST);
    admission.release({ taskId: 1, epoch: 1 }, "finished");
    await setImmediate();
    assert.equal(at.pumps, 1);
    assert.deepEqual(admission.takeFreed(), [task(2)]);
    assert.ok(!admission.isHeld(2));
    // Another was faster: it is held back again, since the same moment.
    assert.ok(admission.tryAcquire(task(3), FAST));
    at.now = 8;
    assert.ok(!admission.tryAcquire(task(2), FAST));
    assert.equal(admission.holdOf(task(2), FAST)?.heldAt, 3);
    assert.equal(admission.holdOf(task(4), FAST)?.heldAt, undefined, "it was never reached");
  });

  it("has a poll decide every held task anew", () => {
    const rule = new RecordingRule({ limit: 0 });
    const { admission } = setUp(rule);
    assert.ok(!admission.tryAcquire(task(1), FAST));
    assert.deepEqual(admission.takeFreed(), []);
    admission.lookAgain();
    assert.deepEqual(admission.takeFreed(), [task(1)]);
    assert.deepEqual(admission.takeFreed(), []);
  });

  it("does not search a class for more than it can remember", () => {
    const { admission } = setUp(new RecordingRule({ limit: 0 }));
    for (let id = 1; id <= 2_000; id++) {
      assert.ok(!admission.isFull(FAST.id));
      admission.tryAcquire(task(id), FAST);
    }
    assert.ok(admission.isFull(FAST.id));
    assert.ok(!admission.isFull(SLOW.id));
    admission.endWaits([7], "cancelled_in_queue");
    assert.ok(!admission.isFull(FAST.id));
  });

  it("releases the older attempt when a later one of the same task is held", () => {
    const rule = new RecordingRule();
    const { admission } = setUp(rule);
    admission.hold({ taskId: 1, epoch: 1 }, FAST);
    assert.ok(admission.tryAcquire(task(1), FAST));
    assert.equal(rule.held(1), 2);
    admission.hold({ taskId: 1, epoch: 2 }, FAST);
    assert.deepEqual(rule.released, [{ taskId: 1, path: "overtaken" }]);
    admission.release({ taskId: 1, epoch: 1 }, "stale");
    assert.equal(rule.held(1), 1);
    admission.release({ taskId: 1, epoch: 2 }, "finished");
    assert.equal(rule.held(1), 0);
  });

  it("leaves classes that no rule concerns alone", () => {
    const rule = new RecordingRule({ types: ["other"] });
    const { admission } = setUp(rule);
    assert.ok(!admission.asksTasks(FAST));
    admission.hold({ taskId: 1, epoch: 1 }, FAST);
    assert.equal(rule.total, 0);
  });

  it("acquires and releases in pairs, in every sequence of what may happen", () => {
    const steps = fc.array(
      fc.record({
        what: fc.constantFrom(
          ...(["claim", "won", "lost", "adopt", "end", "endOld", "endTwice", "drop"] as const),
        ),
        taskId: fc.integer({ min: 1, max: 4 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 3 }), (list, limit) => {
        const rule = new RecordingRule({ limit });
        const { admission } = setUp(rule);
        const claiming = new Set<number>();
        const held = new Map<number, number>();
        const epochs = new Map<number, number>();
        const next = (taskId: number) => {
          const epoch = (epochs.get(taskId) ?? 0) + 1;
          epochs.set(taskId, epoch);
          held.set(taskId, epoch);
          admission.hold({ taskId, epoch }, FAST);
        };
        for (const { what, taskId } of list) {
          if (what === "claim") {
            if (!claiming.has(taskId) && admission.tryAcquire(task(taskId), FAST)) claiming.add(taskId);
          } else if (what === "won" && claiming.delete(taskId)) next(taskId);
          else if (what === "lost" && claiming.delete(taskId)) admission.notClaimed(taskId, "claim_lost");
          else if (what === "adopt" && !claiming.has(taskId)) next(taskId);
          else if (what === "end" || what === "endTwice") {
            const key = { taskId, epoch: held.get(taskId) ?? 0 };
            admission.release(key, "finished");
            if (what === "endTwice") admission.release(key, "stale");
            held.delete(taskId);
          } else if (what === "endOld") {
            admission.release({ taskId, epoch: (held.get(taskId) ?? 1) - 1 }, "stale");
          } else if (what === "drop") {
            for (const [id, epoch] of held) admission.release({ taskId: id, epoch }, "session_dropped");
            held.clear();
          }
          assert.equal(rule.total, claiming.size + held.size);
        }
      }),
    );
  });
});
