import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AssignmentSchema, TaskResultsSchema, WorkerMessageSchema } from "@muster/protocol";
import { encodeResult, groupAssignments, ResultsFrame } from "./wire.ts";

test("a success written field by field says what the generated encoder says", () => {
  const successes = [
    { output: '{"text":"größe"}', contentType: "application/json", runMs: 12.345, peakRssBytes: 123_456_789 },
    { output: new Uint8Array([0, 255, 7]), contentType: "image/png", runMs: 61_000.5, peakRssBytes: 2 ** 40 },
    { output: "", contentType: "", runMs: 0, peakRssBytes: 0 },
  ];
  const frame = new ResultsFrame();
  for (const [index, success] of successes.entries()) frame.add(`t-${index + 1}.1`, success);
  const { kind } = fromBinary(WorkerMessageSchema, frame.finish());
  assert.equal(kind.case, "taskResults");
  const generated = new ResultsFrame();
  for (const [index, { output, contentType, runMs, peakRssBytes }] of successes.entries()) {
    const id = `t-${index + 1}.1`;
    const outcome = { kind: "succeeded", output, contentType, warnings: [] } as const;
    generated.add(id, encodeResult(id, outcome, { runMs, phases: [] }, peakRssBytes, 0));
  }
  const expected = fromBinary(WorkerMessageSchema, generated.finish()).kind;
  assert.equal(expected.case, "taskResults");
  assert.deepEqual(toBinary(TaskResultsSchema, kind.value), toBinary(TaskResultsSchema, expected.value));
});

test("assignments share a group while only their ids, numbers, payloads and values of headers differ", () => {
  const json = (text: string) => Buffer.from(text);
  const plain = { taskType: "ocr", queue: "q", maxAttemptCount: 4, contentType: "application/json" };
  const groups = groupAssignments(
    [
      { ...plain, attemptId: "t-1.1", taskId: "t-1", attemptNumber: 1, payload: json("1") },
      { ...plain, attemptId: "t-2.3", taskId: "t-2", attemptNumber: 2, payload: json("2") },
      { ...plain, attemptId: "t-3.1", taskId: "t-3", headers: { traceparent: "a" } },
      { ...plain, attemptId: "t-4.1", taskId: "t-4", headers: { traceparent: "b" } },
      { ...plain, attemptId: "t-7.1", taskId: "t-7", headers: { traceparent: "c", tracestate: "x=1" } },
      { ...plain, attemptId: "t-8.1", taskId: "t-8", headers: { traceparent: "d" } },
      { ...plain, attemptId: "t-5.1", taskId: "t-5", taskType: "llm" },
      { ...plain, attemptId: "t-6.1", taskId: "t-6", taskType: "llm", resources: ["model:a"] },
    ].map((init) => create(AssignmentSchema, init)),
  );
  assert.deepEqual(
    groups.map(({ attemptIds }) => attemptIds),
    [["t-1.1", "t-2.3"], ["t-3.1", "t-4.1"], ["t-7.1"], ["t-8.1"], ["t-5.1"], ["t-6.1"]],
  );
  assert.deepEqual(groups[0]?.payloads, ["1", "2"]);
  assert.deepEqual(groups[0]?.attemptNumbers, [1, 2]);
  assert.deepEqual(groups[0]?.headers, []);
  assert.deepEqual(groups[1]?.headers, [{ name: "traceparent", values: ["a", "b"] }]);
  assert.deepEqual(groups[2]?.headers, [
    { name: "traceparent", values: ["c"] },
    { name: "tracestate", values: ["x=1"] },
  ]);
  assert.deepEqual(groups[4]?.common.type, "llm");
  assert.deepEqual(groups[5]?.common.resources, ["model:a"]);
});
