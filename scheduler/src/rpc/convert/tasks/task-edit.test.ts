import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { UpdateTaskRequestSchema } from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { toTaskEdit } from "./task-edit.ts";

describe("a request to edit a task", () => {
  const edit = (fields: MessageInitShape<typeof UpdateTaskRequestSchema>) =>
    toTaskEdit(create(UpdateTaskRequestSchema, fields));
  const fault = (fields: MessageInitShape<typeof UpdateTaskRequestSchema>) => {
    try {
      edit(fields);
    } catch (error) {
      assert.ok(error instanceof Refusal);
      assert.equal(error.reason, "INVALID_REQUEST");
      return error.violations.map(({ field }) => field);
    }
    return assert.fail("it was not refused");
  };

  it("has what is set, zeros among them", () => {
    assert.deepEqual(
      edit({
        priority: 0,
        runTimeout: durationFromMs(0),
        maxRetryCount: 0,
        schedule: { case: "delay", value: {} },
      }),
      { priority: 0, runTimeoutMs: 0, maxRetries: 0, start: { delayMs: 0 } },
    );
    assert.deepEqual(edit({ schedule: { case: "runTime", value: timestampFromMs(5_000) } }), {
      start: { runAtMs: 5_000 },
    });
    assert.deepEqual(edit({ runTimeout: durationFromMs(1_500) }), { runTimeoutMs: 1_500 });
  });

  it("is refused with every fault, and when nothing is set", () => {
    assert.deepEqual(fault({}), ["priority"]);
    assert.deepEqual(
      fault({
        ...{ priority: 1_001, maxRetryCount: -1, runTimeout: { seconds: -1n } },
        schedule: { case: "delay", value: { seconds: 10n ** 10n } },
      }),
      ["priority", "max_retry_count", "run_timeout", "delay"],
    );
  });
});
