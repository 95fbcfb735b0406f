import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { WatchTaskLogsResponseSchema } from "@muster/protocol";
import { keepNewest, MAX_LINES, NO_LOG } from "./log-state.ts";

describe("the lines of a log in the page", () => {
  const message = (count: number, first = 1) =>
    create(WatchTaskLogsResponseSchema, {
      records: Array.from({ length: count }, (_, n) => ({ attemptId: "t-1.1", sequence: BigInt(first + n) })),
      positions: [{ attemptId: "t-1.1", sequence: BigInt(first + count - 1) }],
    });

  it("are those of all messages, and where to go on", () => {
    const state = keepNewest(keepNewest(NO_LOG, message(2)), message(1, 3));
    assert.deepEqual(
      state.records.map(({ sequence }) => sequence),
      [1n, 2n, 3n],
    );
    assert.deepEqual([...state.positions], [["t-1.1", 3n]]);
  });

  it("are bounded, and those that were left out are counted", () => {
    const state = keepNewest(keepNewest(NO_LOG, message(MAX_LINES)), message(5, MAX_LINES + 1));
    assert.deepEqual([state.records.length, state.records[0]?.sequence, state.dropped], [MAX_LINES, 6n, 5]);
  });

  it("stay the same at a sign of life", () => {
    assert.equal(keepNewest(NO_LOG, create(WatchTaskLogsResponseSchema, {})), NO_LOG);
  });
});
