import assert from "node:assert/strict";
import { test } from "node:test";
import { type HeartbeatFacts, heartbeatLine } from "./heartbeat-line.ts";

test("the line of a heartbeat says the status, and for how long the worker is idle", () => {
  const facts: HeartbeatFacts = {
    ...{ sequence: 3, ready: true, draining: false, paused: false, held: 0, slots: 2 },
    ...{ idleMs: 34_900, completed: 7, resources: ["model:x"], loopAgeMs: 5 },
  };
  const line = heartbeatLine(facts);
  assert.equal(line.message, "heartbeat sent - status: idle, idle: 34s, completed: 7");
  assert.deepEqual(line.fields, {
    ...{ sequence: 3, status: "idle", held: 0, slots: 2, idle_s: 34, tasks_completed: 7 },
    ...{ resources: ["model:x"], loop_age_ms: 5 },
  });
  const status = (changed: Partial<HeartbeatFacts>) => heartbeatLine({ ...facts, ...changed }).fields.status;
  assert.deepEqual(
    [
      status({ held: 1 }),
      status({ held: 2 }),
      status({ held: 2, paused: true }),
      status({ ready: false, paused: true }),
      status({ held: 1, draining: true }),
    ],
    ["busy", "full", "paused", "starting", "draining"],
  );
});
