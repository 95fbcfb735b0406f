import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatAttemptId, formatTaskId, parseAttemptId, parseTaskId } from "./ids.ts";

const taskIds = fc.integer({ min: 1, max: 9_007_199_254_740_991 });
const epochs = fc.integer({ min: 1, max: 999_999_999 });

describe("ids", () => {
  it("come back as they went, for every task and attempt", () => {
    fc.assert(fc.property(taskIds, (id) => assert.equal(parseTaskId(formatTaskId(id)), id)));
    fc.assert(
      fc.property(taskIds, epochs, (taskId, epoch) =>
        assert.deepEqual(parseAttemptId(formatAttemptId({ taskId, epoch })), { taskId, epoch }),
      ),
    );
  });

  it("have one form: what parses is written the same way", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^t-[0-9.]{1,20}$/), (text) => {
        const taskId = parseTaskId(text);
        if (taskId !== undefined) assert.equal(formatTaskId(taskId), text);
        const attempt = parseAttemptId(text);
        if (attempt) assert.equal(formatAttemptId(attempt), text);
        assert.ok(taskId === undefined || attempt === undefined);
      }),
    );
  });

  it("are refused in every other form", () => {
    for (const text of [
      "",
      "t-",
      "t-0",
      "t-01",
      "T-1",
      "t-1 ",
      " t-1",
      "t-1\n",
      "t--1",
      "t-1e3",
      "t-9007199254740993",
      "1",
    ])
      assert.equal(parseTaskId(text), undefined, JSON.stringify(text));
    for (const text of [
      "",
      "t-1",
      "t-1.",
      "t-1.0",
      "t-1.01",
      "t-1.1.1",
      "t-1.1000000000",
      "t-9007199254740993.1",
    ])
      assert.equal(parseAttemptId(text), undefined, JSON.stringify(text));
    fc.assert(fc.property(fc.string(), (text) => void [parseTaskId(text), parseAttemptId(text)]));
  });
});
