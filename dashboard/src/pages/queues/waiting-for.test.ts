import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { waitingFor } from "./waiting-for.ts";

describe("why a queue waits", () => {
  const queue = { paused: false, readyCount: 3n, activeCount: 1n, scheduledCount: 0n };
  const unserved = { unservableCount: 2n, unservableTaskType: "ocr.page" };

  it("distinguishes a missing worker from busy ones", () => {
    assert.equal(waitingFor(queue, unserved, 5).text, "no worker for 2 ocr.page");
    assert.equal(waitingFor(queue, undefined, 0).text, "all workers are busy");
    assert.equal(waitingFor(queue, undefined, 2).text, "waiting for a place at its workers");
  });

  it("is a pause before anything else", () => {
    assert.equal(waitingFor({ ...queue, paused: true }, unserved, 0).text, "paused");
  });

  it("has nothing to say of queues in which nothing waits", () => {
    assert.equal(waitingFor({ ...queue, readyCount: 0n }, undefined, 0).text, "served");
    const idle = { ...queue, readyCount: 0n, activeCount: 0n };
    assert.equal(waitingFor(idle, undefined, 0).text, "empty");
    assert.equal(waitingFor({ ...idle, scheduledCount: 1n }, undefined, 0).text, "waiting for its time");
  });
});
