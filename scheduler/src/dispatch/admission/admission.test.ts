import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TaskClass } from "../../domain/matching/match.ts";
import { Admission, type AdmissionRule } from "./admission.ts";
import { PausedQueues } from "./paused-queues.ts";

const SLOW = { id: 1, queue: "slow", type: "t" } as TaskClass;
const FAST = { id: 2, queue: "fast", type: "t" } as TaskClass;

describe("admission", () => {
  it("holds back the classes of a paused queue until it is resumed, and says why", () => {
    const paused = new PausedQueues();
    const admission = new Admission([paused]);
    assert.ok(admission.admits(SLOW));
    assert.ok(paused.setPaused(["slow"]));
    assert.ok(!paused.setPaused(["slow"]), "nothing changed");
    assert.equal(admission.holdReason(SLOW)?.code, "QUEUE_PAUSED");
    assert.ok(admission.admits(FAST));
    assert.ok(paused.setPaused([]));
    assert.ok(admission.admits(SLOW));
  });

  it("asks every rule, and releases with those that count attempts", () => {
    const released: number[] = [];
    let running = 1;
    const oneAtATime: AdmissionRule = {
      holdReason: () =>
        running > 0 ? { code: "QUEUE_PAUSED", name: "busy", detail: "one runs" } : undefined,
      release: ({ taskId }) => {
        running--;
        released.push(taskId);
      },
    };
    const admission = new Admission([new PausedQueues(), oneAtATime]);
    assert.equal(admission.holdReason(FAST)?.name, "busy");
    admission.release({ taskId: 7, epoch: 1, classId: 2 });
    assert.deepEqual([released, admission.admits(FAST)], [[7], true]);
  });
});
