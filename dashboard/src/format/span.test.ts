import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytes, compact, durationMs, plural, span } from "./span.ts";

describe("lengths of time and numbers in words", () => {
  it("have the unit that is read most easily", () => {
    assert.deepEqual([0, 340, 1_500, 90_000, 180_000, 9_000_000, 345_600_000].map(span), [
      "0 ms",
      "340 ms",
      "1.5 s",
      "90 s",
      "3 min",
      "2.5 h",
      "4 days",
    ]);
    assert.deepEqual([0, 9_999, 12_345, 4_500_000n, 2_000_000_000].map(compact), [
      ...["0", "9,999", "12.3k", "4.5M", "2G"],
    ]);
    assert.deepEqual([0, 512, 1_536, 5_242_880n].map(bytes), ["0 B", "512 B", "1.5 KiB", "5 MiB"]);
    assert.deepEqual([plural(1, "worker"), plural(2n, "worker")], ["1 worker", "2 workers"]);
  });

  it("are unknown for unset fields", () => {
    assert.equal(durationMs(undefined), undefined);
    assert.equal(
      durationMs({ $typeName: "google.protobuf.Duration", seconds: 1n, nanos: 500_000_000 }),
      1_500,
    );
  });
});
