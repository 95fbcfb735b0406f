import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type AssignmentSchema, SchedulerMessageSchema } from "@muster/protocol";
import fc from "fast-check";
import { type Incoming, readIncoming } from "./assignments-frame.ts";

type AssignmentInit = MessageInitShape<typeof AssignmentSchema>;

const names = fc.constantFrom("", "ocr", "ocr.page", "größe", "a-type-with-a-name-of-more-than-32-bytes");
const durations = fc.record({ seconds: fc.bigInt({ min: 0n, max: 1n << 40n }), nanos: fc.nat(999_999_999) });
const assignments: fc.Arbitrary<AssignmentInit> = fc.record(
  {
    attemptId: fc.integer({ min: 1, max: 1e9 }).map((id) => `t-${id}.1`),
    taskId: fc.string(),
    taskType: names,
    queue: names,
    attemptNumber: fc.integer(),
    maxAttemptCount: fc.integer(),
    payload: fc.uint8Array({ maxLength: 40 }),
    contentType: names,
    headers: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
    runTimeout: durations,
    phaseTimeouts: fc.dictionary(fc.string(), durations, { maxKeys: 1 }),
    resources: fc.array(fc.string(), { maxLength: 2 }),
    cost: fc.dictionary(fc.string(), fc.bigInt({ min: 0n, max: 1n << 40n }), { maxKeys: 2 }),
  },
  { requiredKeys: ["attemptId"] },
);

function frameOf(inits: readonly AssignmentInit[]): Uint8Array {
  const kind = { case: "assignments" as const, value: { assignments: [...inits] } };
  return toBinary(SchedulerMessageSchema, create(SchedulerMessageSchema, { kind }));
}

/** Assignments without what makes them messages; undefined for another message, or one that is refused. */
function assignmentsOf(read: (bytes: Uint8Array) => Incoming, bytes: Uint8Array) {
  let message: Incoming;
  try {
    message = read(bytes);
  } catch {
    return undefined;
  }
  if (message.kind.case !== "assignments") return undefined;
  return message.kind.value.assignments.map((assignment) => ({
    attemptId: assignment.attemptId,
    taskId: assignment.taskId,
    taskType: assignment.taskType,
    queue: assignment.queue,
    attemptNumber: assignment.attemptNumber,
    maxAttemptCount: assignment.maxAttemptCount,
    payload: Buffer.from(assignment.payload),
    contentType: assignment.contentType,
    headers: { ...assignment.headers },
    runTimeout: assignment.runTimeout,
    phaseTimeouts: { ...assignment.phaseTimeouts },
    phaseWarnings: { ...assignment.phaseWarnings },
    resources: [...assignment.resources],
    cost: { ...assignment.cost },
  }));
}

const generated = (bytes: Uint8Array) => fromBinary(SchedulerMessageSchema, bytes);

describe("a frame of assignments", () => {
  it("says what the generated decoder says, for assignments of every form", () => {
    fc.assert(
      fc.property(fc.array(assignments, { maxLength: 5 }), (inits) => {
        const bytes = frameOf(inits);
        assert.deepEqual(assignmentsOf(readIncoming, bytes), assignmentsOf(generated, bytes));
      }),
    );
  });

  it("leaves assignments with options, and other messages, to the generated decoder", () => {
    const plain = { attemptId: "t-1.1", headers: { traceparent: "x" } };
    const isGenerated = (init: AssignmentInit) => {
      const { kind } = readIncoming(frameOf([init]));
      return kind.case === "assignments" && kind.value.assignments.some((one) => "$typeName" in one);
    };
    assert.equal(isGenerated(plain), false);
    assert.equal(isGenerated({ ...plain, resources: ["model:a"] }), true);
    const ack = create(SchedulerMessageSchema, { kind: { case: "heartbeatAck", value: { sequence: 3n } } });
    assert.deepEqual(readIncoming(toBinary(SchedulerMessageSchema, ack)), ack);
    assert.deepEqual(readIncoming(new Uint8Array()), create(SchedulerMessageSchema));
  });

  it("refuses what the generated decoder refuses", () => {
    const bytes = frameOf([
      { attemptId: "t-1.1", taskType: "ocr", payload: new Uint8Array(9), headers: { a: "b" }, queue: "q" },
      { attemptId: "t-2.1", taskType: "ocr", queue: "r", attemptNumber: 7 },
    ]);
    for (let end = 1; end < bytes.length; end++) assert.throws(() => readIncoming(bytes.subarray(0, end)));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const broken = Uint8Array.from(bytes);
        broken[at] = byte;
        const mine = assignmentsOf(readIncoming, broken);
        if (mine !== undefined) assert.deepEqual(mine, assignmentsOf(generated, broken));
      }),
      { numRuns: 20_000 },
    );
  });
});
