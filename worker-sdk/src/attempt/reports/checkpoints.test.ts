import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CheckpointError } from "../../errors.ts";
import type { ToLink } from "../../link/messages.ts";
import { Checkpoints, resumeValue } from "./checkpoints.ts";

function setUp() {
  const sent: ToLink[] = [];
  let flushed = 0;
  const checkpoints = new Checkpoints("t-1.1", {
    send: (message) => void sent.push(message),
    flush: () => {
      flushed += 1;
    },
  });
  const answer = (sequence: number, error = "") =>
    checkpoints.answered({ kind: "checkpointAnswered", attemptId: "t-1.1", sequence, error });
  return { checkpoints, sent, answer, flushes: () => flushed };
}

/** What a promise has become by now. */
async function outcome(promise: Promise<void>): Promise<string> {
  return Promise.race([
    promise.then(
      () => "stored",
      (error) => `${error.name}: ${error.message}`,
    ),
    new Promise<string>((resolve) => setImmediate(resolve, "waits")),
  ]);
}

describe("checkpoints of a handler", () => {
  it("are numbered, and an answer is for all before it", async () => {
    const { checkpoints, sent, answer, flushes } = setUp();
    const stored = [{ page: 1 }, "two", new Uint8Array([3])].map((value) => checkpoints.put(value));
    assert.deepEqual(
      sent.map(
        (message) => message.kind === "checkpoint" && [message.sequence, message.value, message.contentType],
      ),
      [
        [1, '{"page":1}', "application/json"],
        [2, '"two"', "application/json"],
        [3, new Uint8Array([3]), "application/octet-stream"],
      ],
    );
    assert.equal(flushes(), 3, "a handler that blocks the loop sends them at once");
    answer(2);
    assert.deepEqual(await Promise.all(stored.map(outcome)), ["stored", "stored", "waits"]);
    answer(3, "the attempt is no longer this worker's");
    assert.equal(
      await outcome(stored[2] ?? Promise.resolve()),
      "CheckpointError: The checkpoint was not stored: the attempt is no longer this worker's.",
    );
  });

  it("are refused with what to give when they have no JSON form or are too large, and nothing is sent", () => {
    const { checkpoints, sent } = setUp();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    const refused: [value: unknown, message: RegExp][] = [
      [undefined, /^checkpoint\(\): the value is or has undefined, which has no JSON form; give /],
      [() => 1, /has no JSON form; give /],
      [new Map([[1, 2]]), /has no JSON form; give /],
      [1n, /^checkpoint\(\): the value has no JSON form: /],
      [circular, /^checkpoint\(\): the value has no JSON form: /],
      ["x".repeat(262_143), /has 262145 bytes, and at most 262144 are stored; keep large data elsewhere/],
      ["ü".repeat(131_072), /has 262146 bytes/],
      [new Uint8Array(262_145), /has 262145 bytes/],
    ];
    for (const [value, message] of refused) assert.throws(() => checkpoints.put(value), { message });
    assert.deepEqual(sent, []);
    checkpoints.put(new Uint8Array(262_144));
    assert.equal(sent.length, 1);
  });

  it("reject what has no answer when the attempt ends, also of calls that are not awaited", async () => {
    const { checkpoints } = setUp();
    const stored = checkpoints.put(1);
    void checkpoints.put(2);
    checkpoints.close("the attempt has ended");
    await assert.rejects(
      stored,
      new CheckpointError("It is not known whether the checkpoint was stored: the attempt has ended."),
    );
  });

  it("come back as they were", () => {
    assert.equal(resumeValue(undefined), undefined);
    assert.deepEqual(resumeValue({ value: '{"page":3}' }), { page: 3 });
    assert.deepEqual(resumeValue({ value: new Uint8Array([1]) }), new Uint8Array([1]));
    assert.throws(
      () => resumeValue({ value: "{" }),
      /says application\/json but does not parse \(1 characters\)/,
    );
  });
});
