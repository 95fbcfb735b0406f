import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Refusal } from "../../domain/errors.ts";
import { toScalerTarget } from "./scaler-target.ts";

const faults = (metadata: Readonly<Record<string, string>>): string[] => {
  try {
    toScalerTarget(metadata);
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return error.violations.map(({ field, description }) => `${field} ${description}`);
  }
  return [];
};

describe("the metadata of a KEDA trigger", () => {
  it("names a pool, or a type and a queue, beside what KEDA reads itself", () => {
    assert.deepEqual(toScalerTarget({ scalerAddress: "muster:7070", enableTLS: "true", pool: "gpu" }), {
      kind: "pool",
      pool: "gpu",
    });
    assert.deepEqual(toScalerTarget({ taskType: "ocr" }), {
      ...{ kind: "tasks", type: "ocr", queue: undefined, tasksPerWorker: 1 },
    });
    assert.deepEqual(toScalerTarget({ queue: "fast", tasksPerWorker: "12", tokenFromEnv: "secret" }), {
      ...{ kind: "tasks", type: undefined, queue: "fast", tasksPerWorker: 12 },
    });
  });

  it("is refused with every wrong key", () => {
    assert.deepEqual(faults({}), ["scalerMetadata.pool is missing: give pool, taskType or queue"]);
    const all = faults({ pool: "GPU", taskType: "a b", queue: "", tasksPerWorker: "1.5", taskTyp: "ocr" });
    for (const key of ["pool", "taskType", "queue", "tasksPerWorker", '"taskTyp"'])
      assert.ok(
        all.some((fault) => fault.startsWith(`scalerMetadata.${key} `)),
        `${key}: ${all.join("\n")}`,
      );
    for (const tasksPerWorker of ["0", "-1", "", "1e3", "1000001", "Infinity"])
      assert.equal(faults({ taskType: "ocr", tasksPerWorker }).length, 1, tasksPerWorker);
  });

  it("is refused when it has too many keys", () => {
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`key${n}`, ""]));
    assert.deepEqual(faults(many), ["scalerMetadata has 51 keys; at most 50 are allowed"]);
  });
});
