import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { changeText, isChange } from "./change-text.ts";

describe("recent changes", () => {
  it("are events of workers, queues, limits and pools, and not those of tasks", () => {
    const names = [
      "worker.registered",
      "queue.paused",
      "circuit.opened",
      "task.created",
      "worker.startup.phase",
    ];
    assert.deepEqual(
      names.filter((name) => isChange({ name, taskId: "" })),
      ["worker.registered", "queue.paused", "circuit.opened"],
    );
    assert.equal(isChange({ name: "worker.lost", taskId: "t-1" }), false);
  });

  it("say what was recorded", () => {
    assert.equal(
      changeText({ workerId: "w-1", attributes: { queue: "default", reason: "deploy", empty: "" } }),
      "worker w-1; queue default; reason: deploy",
    );
  });
});
