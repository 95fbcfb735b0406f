import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { SchedulerMessageSchema } from "@muster/protocol";
import type { OutgoingAssignment } from "../../dispatch/sessions/link.ts";
import { fromAssignment } from "../convert/tasks/attempts/assignment.ts";
import { assignmentsFrame, type Frame, resultAcksFrame } from "./frames.ts";

const plain: OutgoingAssignment = {
  key: { taskId: 1042, epoch: 3 },
  type: "ocr.page",
  queue: "gpu",
  attemptNumber: 2,
  maxAttempts: 4,
  payload: Buffer.from('{"page":"größe"}'),
  contentType: "application/json",
  headers: undefined,
  options: undefined,
  resources: [],
  cost: undefined,
};

function decode(frame: Frame) {
  return fromBinary(SchedulerMessageSchema, frame.bytes).kind;
}

test("an assignment written field by field says what the generated encoder says", () => {
  const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "": "" };
  const options = { timeouts: { runMs: 1_500, phasesMs: { model_load: 20 } } };
  const variants: OutgoingAssignment[] = [
    plain,
    { ...plain, headers },
    { ...plain, payload: new Uint8Array(), contentType: "", attemptNumber: 0 },
    { ...plain, options },
    { ...plain, options: { tick: { schedule: "nightly", tickMs: 1_500 } } },
    { ...plain, cost: [{ name: "slots", amount: 2 }] },
    { ...plain, resources: ["model:a", "model:b"], headers },
  ];
  const kind = decode(assignmentsFrame(variants));
  assert.equal(kind.case, "assignments");
  assert.deepEqual(kind.value.assignments, variants.map(fromAssignment));
});

test("acknowledgements name their attempts and say which came too late", () => {
  const kind = decode(
    resultAcksFrame([
      { key: { taskId: 1, epoch: 1 }, stale: false },
      { key: { taskId: 2, epoch: 7 }, stale: true },
    ]),
  );
  assert.equal(kind.case, "resultAcks");
  assert.deepEqual(
    kind.value.acks.map(({ attemptId, stale, invalid, detail }) => [attemptId, stale, invalid, detail]),
    [
      ["t-1.1", false, false, ""],
      ["t-2.7", true, false, "the attempt is no longer this worker's"],
    ],
  );
});
