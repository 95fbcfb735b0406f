import assert from "node:assert/strict";
import { test } from "node:test";
import { Pauses } from "./pauses.ts";

function setUp() {
  const calls: unknown[] = [];
  const logged: unknown[] = [];
  const pauses = new Pauses({
    runner: { setRejectReason: (reason) => void calls.push(reason) },
    link: { send: (message) => void calls.push(message) },
    log: { info: (fields: unknown) => void logged.push(fields) },
  });
  return { pauses, calls, logged };
}

test("tasks are taken again when the pauses of program and operator have both ended", () => {
  const { pauses, calls, logged } = setUp();
  pauses.pause("program", "memory");
  pauses.pause("operator", "new driver");
  pauses.resume("program", "resume()");
  assert.deepEqual(calls, [
    ...["PAUSED", { kind: "paused", by: "program", reason: "memory" }],
    ...["PAUSED", { kind: "paused", by: "operator", reason: "new driver" }],
    { kind: "paused", by: "program", reason: undefined },
  ]);
  assert.deepEqual(logged.at(-1), {
    event: "worker.resumed",
    by: "program",
    reason: "resume()",
    still_paused: ["operator: new driver"],
  });
  pauses.resume("operator", "done");
  assert.deepEqual(calls.slice(-2), [undefined, { kind: "paused", by: "operator", reason: undefined }]);
});

test("a pause that has not begun does not end", () => {
  const { pauses, calls, logged } = setUp();
  pauses.resume("operator", "done");
  assert.deepEqual([calls, logged], [[], []]);
});

test("a Welcome brings the operator's pause, and ends it", () => {
  const { pauses, calls } = setUp();
  pauses.welcomed(undefined);
  assert.deepEqual(calls, []);
  pauses.welcomed("new driver");
  pauses.welcomed("new driver");
  assert.equal(calls.length, 2, "the same pause is not begun twice");
  pauses.welcomed(undefined);
  assert.deepEqual(calls.slice(2), [undefined, { kind: "paused", by: "operator", reason: undefined }]);
});
