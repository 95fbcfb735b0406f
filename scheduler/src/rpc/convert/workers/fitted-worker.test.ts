import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { WorkerSchema } from "@muster/protocol";
import { fittedWorker } from "./fitted-worker.ts";

const MAX_BYTES = 1_000_000;

describe("T13: a worker's record", () => {
  it("leaves out what does not fit into a message, and names it", () => {
    const running = Array.from({ length: 10_000 }, (_, n) => ({
      attemptId: `t-${n}.1`,
      phase: "p".repeat(128),
    }));
    const names = Array.from({ length: 1_000 }, (_, n) => `${n}`.padEnd(256, "字"));
    const attributes = Object.fromEntries(names.slice(0, 64).map((name) => [name, name]));
    const phases = names.slice(0, 200).map((phase) => ({ phase, attributes }));
    const states = names.map((resource) => ({ resource, error: resource }));
    const worker = create(WorkerSchema, {
      id: "w",
      running,
      resources: names,
      startupPhases: phases,
      lastHeartbeat: { running, resources: names, resourceStates: states },
      launch: { startupPhases: phases },
    });
    const fitted = fittedWorker(worker, MAX_BYTES);
    assert.ok(toBinary(WorkerSchema, fitted).byteLength <= MAX_BYTES);
    assert.deepEqual(fitted.omittedFields, [
      "last_heartbeat.running",
      "startup_phases.attributes",
      "running",
      "last_heartbeat.resource_states",
      "last_heartbeat.resources",
    ]);
    assert.equal(fitted.running.length, 100);
    assert.equal(fitted.startupPhases.length, 200);
  });

  it("is whole where it fits", () => {
    const worker = create(WorkerSchema, { id: "w", running: [{ attemptId: "t-1.1" }], resources: ["model"] });
    assert.deepEqual(fittedWorker(worker, MAX_BYTES), create(WorkerSchema, worker));
    assert.deepEqual(worker.omittedFields, []);
  });
});
