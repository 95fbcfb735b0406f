import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ProgressSchema } from "@muster/protocol";
import { leftText, progressLine } from "./progress-text.ts";

const NOW = 1_700_000_000_000;

const MIB = 1024 ** 2;

function line(progress: MessageInitShape<typeof ProgressSchema>): string {
  return progressLine(create(ProgressSchema, progress), NOW);
}

describe("progress in words", () => {
  it("has share, counts, rate, time left, message and the age of the report", () => {
    const updateTime = timestampFromMs(NOW - 3_000);
    assert.equal(progressLine(undefined, NOW), "");
    assert.equal(line({ fraction: 0.459, message: "layer 9", updateTime }), "45%  layer 9 (3 s ago)");
    assert.equal(
      line({ fraction: 0.5, timeLeft: durationFromMs(90_000), updateTime }),
      "50%  about 1 min 30 s left (3 s ago)",
    );
    assert.equal(line({ doneCount: 3n, totalCount: 9n }), "3 of 9");
    assert.equal(line({ doneCount: 3n, unit: "pages", rate: 0.123 }), "3 pages, 0.12/s");
    assert.equal(
      line({
        doneCount: BigInt(12 * MIB),
        totalCount: BigInt(26 * MIB),
        unit: "bytes",
        rate: 1.25 * MIB,
        timeLeft: durationFromMs(11_000),
        message: "part 2",
      }),
      "12.0 MiB of 26.0 MiB, 1.3 MiB/s, about 11 s left  part 2",
    );
    assert.equal(leftText(durationFromMs(11_000)), "~11 s");
    assert.equal(leftText(undefined), "");
  });
});
