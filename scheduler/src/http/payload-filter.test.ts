import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import {
  FleetService,
  GetTaskResponseSchema,
  ListSchedulesResponseSchema,
  PoolService,
  ScheduleService,
  TaskSchema,
  TaskService,
  WatchTaskResponseSchema,
} from "@muster/protocol";
import { isOfPayload, withoutPayloads } from "./payload-filter.ts";

const SECRET = "do-not-show";
const bytes = Buffer.from(SECRET);

describe("an answer without payloads", () => {
  it("has none of what a task was given, returned or failed with, and says so", () => {
    const failure = { code: "A", message: "shown", traceback: SECRET, details: SECRET };
    const given = create(GetTaskResponseSchema, {
      task: { id: "t-1", payload: bytes, output: bytes, failure, attempts: [{ id: "t-1.1", failure }] },
    });
    const { task } = withoutPayloads(GetTaskResponseSchema, given);
    assert.ok(task);
    assert.equal(Buffer.from(toBinary(TaskSchema, task)).indexOf(SECRET), -1);
    assert.deepEqual(task.omittedFields, ["payload", "output"]);
    assert.deepEqual([task.failure?.message, task.attempts[0]?.failure?.code], ["shown", "A"]);
    assert.equal(given.task?.payload.length, bytes.length, "other callers may get the same message");
  });

  it("has none in streams and schedules", () => {
    const chunk = create(WatchTaskResponseSchema, { outputChunks: [{ attemptId: "t-1.1", data: bytes }] });
    assert.equal(withoutPayloads(WatchTaskResponseSchema, chunk).outputChunks[0]?.data.length, 0);
    const listed = create(ListSchedulesResponseSchema, {
      schedules: [{ spec: { task: { payload: bytes } } }],
    });
    const text = toBinary(ListSchedulesResponseSchema, withoutPayloads(ListSchedulesResponseSchema, listed));
    assert.equal(Buffer.from(text).indexOf(SECRET), -1);
  });

  it("has no other field of bytes that a page needs", () => {
    const seen = new Set<string>();
    const found = new Set<string>();
    const walk = (message: DescMessage) => {
      if (seen.has(message.typeName)) return;
      seen.add(message.typeName);
      for (const field of message.fields) {
        if (isOfPayload(field)) found.add(`${message.typeName}.${field.name}`);
        if (field.message) walk(field.message);
      }
    };
    for (const service of [TaskService, FleetService, ScheduleService, PoolService])
      for (const { output } of service.methods) walk(output);
    assert.deepEqual([...found].sort(), [
      "google.protobuf.Any.value",
      "muster.v1.Failure.details",
      "muster.v1.Failure.traceback",
      "muster.v1.OutputChunk.data",
      "muster.v1.Task.output",
      "muster.v1.Task.payload",
      "muster.v1.TaskSpec.payload",
      "muster.v1.TaskStep.result",
    ]);
  });
});
