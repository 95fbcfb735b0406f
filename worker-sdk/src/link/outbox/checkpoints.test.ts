import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { CheckpointAckSchema, WorkerMessageSchema } from "@muster/protocol";
import type { FromLink } from "../messages.ts";
import { CheckpointQueue } from "./checkpoints.ts";

const TAKES = ["checkpoints"];

function setUp() {
  const emitted: FromLink[] = [];
  const results = new Set<string>();
  const queue = new CheckpointQueue(
    { get: (id) => (results.has(id) ? { result: new Uint8Array() } : { result: undefined }) as never },
    (message) => void emitted.push(message),
  );
  return {
    ...{ queue, emitted, results },
    put: (sequence: number, attemptId = "t-1.1") =>
      queue.put({
        kind: "checkpoint",
        attemptId,
        sequence,
        value: String(sequence),
        contentType: "text/plain",
      }),
    /** Attempts and numbers that a stream carries now. */
    written: () => {
      const carried: string[] = [];
      queue.writeTo({
        write: (bytes: Uint8Array) => {
          const { kind } = fromBinary(WorkerMessageSchema, bytes);
          assert.equal(kind.case, "taskCheckpoint");
          assert.equal(Buffer.from(kind.value.value).toString(), String(kind.value.sequence));
          carried.push(`${kind.value.attemptId}#${kind.value.sequence}`);
          return true;
        },
      } as never);
      return carried;
    },
    answered: (sequence: number, error = "", attemptId = "t-1.1") =>
      queue.answered(create(CheckpointAckSchema, { attemptId, sequence: BigInt(sequence), error })),
  };
}

describe("the queue of checkpoints", () => {
  it("carries one of an attempt at a time, and of those that follow the latest", () => {
    const { queue, put, written, answered, emitted } = setUp();
    queue.open(TAKES);
    put(1);
    put(1, "t-2.1");
    assert.deepEqual(written(), ["t-1.1#1", "t-2.1#1"]);
    put(2);
    put(3);
    assert.deepEqual(written(), []);
    assert.equal(answered(1), true, "another one may be written");
    assert.deepEqual(written(), ["t-1.1#3"]);
    assert.equal(answered(3), false);
    assert.equal(answered(3), false, "a second answer is of one that is forgotten");
    assert.deepEqual(
      emitted.map((message) => message.kind === "checkpointAnswered" && message.sequence),
      [1, 3],
    );
  });

  it("sends what was not answered again on a new stream, the latest only", () => {
    const { queue, put, written } = setUp();
    put(1);
    queue.open(TAKES);
    assert.deepEqual(written(), ["t-1.1#1"]);
    queue.open(TAKES);
    assert.deepEqual(written(), ["t-1.1#1"]);
    put(2);
    queue.open(TAKES);
    assert.deepEqual(written(), ["t-1.1#2"]);
  });

  it("does not wait for the answer when the attempt has a result", () => {
    const { queue, put, written, results } = setUp();
    queue.open(TAKES);
    put(1);
    written();
    put(2);
    assert.deepEqual(written(), []);
    results.add("t-1.1");
    queue.resultKept("t-1.1");
    assert.deepEqual(written(), ["t-1.1#2"]);
  });

  it("refuses them at a scheduler that does not take them, and forgets those of attempts that are not the worker's", () => {
    const { queue, put, written, emitted, answered } = setUp();
    put(1);
    queue.open(["brief_starts"]);
    put(1, "t-2.1");
    assert.deepEqual(written(), []);
    assert.deepEqual(
      emitted.map((message) => message.kind === "checkpointAnswered" && message.error),
      Array(2).fill("this scheduler does not take checkpoints; upgrade it"),
    );
    queue.open(TAKES);
    put(2);
    queue.forget("t-1.1");
    assert.deepEqual(written(), []);
    assert.equal(answered(2), false);
    assert.equal(emitted.length, 2);
  });
});
