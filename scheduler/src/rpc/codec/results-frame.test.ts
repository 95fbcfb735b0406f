import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FailureClass, type TaskResultSchema, WorkerMessageSchema } from "@muster/protocol";
import fc from "fast-check";
import { toResult } from "../convert/tasks/attempts/result.ts";
import { readResultsFrame } from "./results-frame.ts";

const LIMITS = { maxPayloadBytes: 1_000, maxResultBytes: 50, maxMessageBytes: 10_000, maxTasksPerSubmit: 10 };

type ResultInit = MessageInitShape<typeof TaskResultSchema>;

const durations = fc.record({
  seconds: fc.bigInt({ min: -5n, max: 1n << 40n }),
  nanos: fc.integer({ min: 0, max: 999_999_999 }),
});
const metrics = fc.record(
  {
    runDuration: durations,
    peakRssBytes: fc.bigInt({ min: -1n, max: (1n << 63n) - 1n }),
    phases: fc.array(fc.record({ phase: fc.string(), duration: durations }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const succeeded = fc.record(
  {
    output: fc.uint8Array({ maxLength: 60 }),
    contentType: fc.string(),
    warnings: fc.array(fc.record({ step: fc.string(), code: fc.string(), message: fc.string() }), {
      maxLength: 1,
    }),
  },
  { requiredKeys: [] },
);
const outcomes = fc.oneof(
  { weight: 5, arbitrary: succeeded.map((value) => ({ case: "succeeded" as const, value })) },
  fc.constant({ case: "failed" as const, value: { failureClass: FailureClass.RETRYABLE, code: "X" } }),
  fc.constant({ case: "cancelled" as const, value: { message: "m" } }),
  fc.constant({ case: "released" as const, value: { reason: "drain" } }),
  fc.constant({ case: undefined }),
);
const results: fc.Arbitrary<ResultInit> = fc.record(
  { attemptId: fc.integer({ min: 1, max: 1e9 }).map((id) => `t-${id}.1`), outcome: outcomes, metrics },
  { requiredKeys: ["attemptId"] },
);

function frameOf(inits: readonly ResultInit[]): Uint8Array {
  const kind = { case: "taskResults" as const, value: { results: [...inits] } };
  return toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind }));
}

function read(bytes: Uint8Array) {
  return readResultsFrame(bytes)?.kind.value.results.map((result) => toResult(result, LIMITS));
}

function generated(bytes: Uint8Array) {
  const { kind } = fromBinary(WorkerMessageSchema, bytes);
  assert.ok(kind.case === "taskResults");
  return kind.value.results.map((result) => toResult(result, LIMITS));
}

describe("a frame of results", () => {
  it("says what the generated decoder says, for results of every form", () => {
    fc.assert(
      fc.property(fc.array(results, { maxLength: 5 }), (inits) => {
        const bytes = frameOf(inits);
        assert.deepEqual(read(bytes), generated(bytes));
      }),
    );
  });

  it("leaves everything but a plain success to the generated decoder", () => {
    const value = { output: new Uint8Array([1]), contentType: "a/b" };
    const plain = { attemptId: "t-1.1", outcome: { case: "succeeded" as const, value }, metrics: {} };
    const warning = { step: "s", code: "C", message: "m" };
    const generic = (init: ResultInit) =>
      readResultsFrame(frameOf([init]))?.kind.value.results.map((result) => "$typeName" in result);
    assert.deepEqual(generic(plain), [false]);
    assert.deepEqual(generic({ ...plain, metrics: { phases: [{ phase: "p" }] } }), [true]);
    assert.deepEqual(
      generic({ ...plain, outcome: { case: "succeeded", value: { ...value, warnings: [warning] } } }),
      [true],
    );
    assert.deepEqual(generic({ attemptId: "t-1.1", metrics: {} }), [true]);
  });

  it("is none: other messages, and what follows a frame", () => {
    const beat = toBinary(
      WorkerMessageSchema,
      create(WorkerMessageSchema, { kind: { case: "heartbeat", value: { sequence: 1n } } }),
    );
    assert.equal(readResultsFrame(new Uint8Array()), undefined);
    assert.equal(readResultsFrame(beat), undefined);
    assert.equal(readResultsFrame(Buffer.concat([frameOf([{ attemptId: "t-1.1" }]), beat])), undefined);
  });

  it("refuses bytes that end too early or claim too much, and whatever the generated decoder refuses", () => {
    const bytes = frameOf([
      {
        attemptId: "t-1.1",
        outcome: { case: "succeeded", value: { output: new Uint8Array(20) } },
        metrics: { runDuration: { seconds: 3n, nanos: 5 } },
      },
    ]);
    for (let end = 1; end < bytes.length; end++)
      assert.throws(() => readResultsFrame(bytes.subarray(0, end)));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const broken = Uint8Array.from(bytes);
        broken[at] = byte;
        const mine = attempt(() => read(broken));
        // Not its own, or refused: the generated decoder has the word, or the message is refused as malformed.
        if (mine !== undefined)
          assert.deepEqual(
            mine,
            attempt(() => generated(broken)),
          );
      }),
      { numRuns: 20_000 },
    );
  });
});

function attempt<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch {
    return undefined;
  }
}
