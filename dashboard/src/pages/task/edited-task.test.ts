import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TaskSchema, TaskSpecSchema } from "@muster/protocol";
import { editableText, editedTask, payloadFault } from "./edited-task.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("a task that runs again with another payload", () => {
  it("keeps what it asked for, but not its key, its trace and its parent", () => {
    const task = create(TaskSchema, {
      ...{
        id: "t-1",
        taskType: "ocr",
        queue: "q",
        priority: 5,
        uniqueKey: "k",
        contentType: "application/json",
      },
      headers: { traceparent: "00-1-2-01", user: "ada" },
      tags: ["a", "parent:t-9"],
      requirements: { labels: { gpu: "a100" } },
      concurrency: [{ key: "c", limit: 2 }],
    });
    const text = '{"id": 12345678901234567890}';
    const spec = fromBinary(
      TaskSpecSchema,
      toBinary(TaskSpecSchema, create(TaskSpecSchema, editedTask(task, text))),
    );
    assert.equal(new TextDecoder().decode(spec.payload), text, "as it was typed");
    assert.deepEqual([spec.taskType, spec.queue, spec.priority, spec.uniqueKey], ["ocr", "q", 5, ""]);
    assert.deepEqual([spec.headers, spec.tags], [{ user: "ada" }, ["a"]]);
    assert.deepEqual([spec.requirements?.labels, spec.concurrency[0]?.limit], [{ gpu: "a100" }, 2]);
  });

  it("is edited as text, where the payload is one", () => {
    const task = (contentType: string, payload: Uint8Array, omittedFields: string[] = []) =>
      create(TaskSchema, { contentType, payload, omittedFields });
    assert.equal(editableText(task("", bytes('{"a":1}'))), '{"a":1}');
    assert.equal(editableText(task("text/plain", bytes("hi"))), "hi");
    assert.equal(editableText(task("image/png", Uint8Array.of(0xff, 0xd8)))?.length, undefined);
    assert.equal(editableText(task("", bytes(""), ["payload"])), undefined);
  });

  it("has to have JSON where it had", () => {
    assert.equal(payloadFault('{"a": 1e400, "b": 12345678901234567890}', ""), undefined);
    assert.match(payloadFault('{"a": 01}', "application/json; charset=utf-8") ?? "", /character \d+/);
    assert.ok(payloadFault("", "application/vnd.x+json"));
    assert.ok(payloadFault('"\u0001"', ""));
    assert.equal(payloadFault("{", "text/plain"), undefined);
  });
});
