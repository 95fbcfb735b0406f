import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BatchCountsSchema, BatchSchema } from "@muster/protocol";
import { batchLook, endedShare, partsOf } from "./batch-state.ts";

const now = { seconds: 1n };

describe("a batch", () => {
  const look = (facts: Parameters<typeof create<typeof BatchSchema>>[1]) =>
    batchLook(create(BatchSchema, facts)).word;

  it("takes tasks, runs and ends", () => {
    const done = { totalCount: 2n, succeededCount: 2n };
    assert.equal(look({ counts: done }), "takes tasks");
    assert.equal(look({ closeTime: now, counts: { totalCount: 2n, runningCount: 1n } }), "running");
    assert.equal(look({ closeTime: now, counts: done }), "ended");
    assert.equal(
      look({ closeTime: now, counts: { totalCount: 2n, failedCount: 1n } }),
      "ended with failures",
    );
  });

  it("is being cancelled until all members have ended", () => {
    const cancelled = { closeTime: now, cancelTime: now };
    assert.equal(look({ ...cancelled, counts: { totalCount: 1n, runningCount: 1n } }), "being cancelled");
    assert.equal(look({ ...cancelled, counts: { totalCount: 1n, cancelledCount: 1n } }), "cancelled");
  });

  it("is not said to have ended while its members are not counted", () => {
    assert.equal(look({ closeTime: now }), "running");
    assert.equal(endedShare(undefined), undefined);
  });

  it("has parts that are all of its members", () => {
    const counts = create(BatchCountsSchema, {
      totalCount: 21n,
      queuedCount: 1n,
      assignedCount: 2n,
      runningCount: 3n,
      succeededCount: 4n,
      failedCount: 5n,
      cancelledCount: 6n,
    });
    assert.equal(
      partsOf(counts).reduce((sum, { count }) => sum + count, 0),
      21,
    );
    assert.equal(endedShare(counts), 15 / 21);
    assert.equal(endedShare(create(BatchCountsSchema, {})), undefined);
  });
});
