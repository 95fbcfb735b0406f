import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HELLO } from "../testing/made-records.ts";
import { type WorkerRecord, workerState } from "./worker.ts";

const NOW = new Date("2025-01-01T00:00:00Z");
const later = (ms: number) => new Date(NOW.getTime() + ms);

const WORKER: WorkerRecord = {
  sessionId: 1,
  sessionUuid: "",
  workerId: "w",
  schedulerId: "s",
  hello: HELLO,
  phases: [],
  ready: true,
  draining: false,
  connectTime: NOW,
  heartbeatTime: NOW,
  leaseUntil: later(1_000),
  disconnected: false,
  heartbeat: undefined,
  goneTime: undefined,
  goneReason: undefined,
  fatal: undefined,
  activeCount: 0,
};

describe("a worker's state", () => {
  const state = (fields: Partial<WorkerRecord>) => workerState({ ...WORKER, ...fields }, NOW);

  it("is derived from what was received and when", () => {
    assert.equal(state({}), "ready");
    assert.equal(state({ ready: false }), "registered");
    assert.equal(state({ draining: true }), "draining");
    assert.equal(state({ disconnected: true }), "suspect");
    assert.equal(state({ leaseUntil: later(-1) }), "suspect");
    assert.equal(state({ leaseUntil: later(0) }), "ready", "to the last moment of its lease");
  });

  it("is worse before it is better: a dead or silent worker is not called ready or draining", () => {
    assert.equal(state({ disconnected: true, draining: true, ready: true }), "suspect");
    assert.equal(state({ goneTime: NOW, goneReason: "lost", disconnected: true }), "lost");
    assert.equal(state({ goneTime: NOW, goneReason: "finished", ready: true }), "gone");
  });
});
