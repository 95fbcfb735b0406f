import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GetHistoryResponseSchema } from "@muster/protocol";
import { historyLines } from "./history.ts";

describe("the lines of the history", () => {
  const at = (minute: number) => ({ seconds: BigInt(minute * 60) });
  const minute = { seconds: 60n };

  it("have rates by the time that was counted, and nothing where nothing was measured", () => {
    const lines = historyLines(
      create(GetHistoryResponseSchema, {
        step: minute,
        points: [
          { time: at(1), counted: minute, succeededCount: 120n, queueWaitP50: { seconds: 2n } },
          { time: at(2), counted: { seconds: 30n }, succeededCount: 120n, failedCount: 1n },
        ],
      }),
    );
    assert.deepEqual(lines.times, [60, 120]);
    assert.deepEqual(lines.succeeded, [120, 240]);
    assert.deepEqual(lines.failed, [0, 2]);
    assert.deepEqual(lines.waitP50, [2_000, null]);
  });

  it("are interrupted where no scheduler counted", () => {
    const lines = historyLines(
      create(GetHistoryResponseSchema, {
        step: minute,
        points: [
          { time: at(1), counted: minute, readyCount: 3n },
          { time: at(10), counted: minute, readyCount: 4n },
        ],
      }),
    );
    assert.deepEqual(lines.times, [60, 120, 600]);
    assert.deepEqual(lines.ready, [3, null, 4]);
  });
});
