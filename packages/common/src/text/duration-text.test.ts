import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAge, formatDuration } from "./duration-text.ts";

test("durations and ages read well", () => {
  assert.deepEqual(
    [0, 42, 999, 1000, 9_999, 10_000, 59_999, 60_000, 72_000, 3_900_000, 7_200_000, 266_400_000].map(
      formatDuration,
    ),
    [
      "0.00 s",
      "0.04 s",
      "1.00 s",
      "1.0 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 min",
      "1 min 12 s",
      "1 h 5 min",
      "2 h",
      "3 d 2 h",
    ],
  );
  assert.deepEqual(
    [0, 999, 12_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000, -1_000, -300_000].map(formatAge),
    [
      "now",
      "now",
      "12 s ago",
      "59 s ago",
      "1 min ago",
      "59 min ago",
      "1 h ago",
      "1 d ago",
      "in 1 s",
      "in 5 min",
    ],
  );
});
