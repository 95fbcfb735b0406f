import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAge, formatDuration, parseDuration } from "./duration.ts";

test("durations are read with their units", () => {
  const cases: Record<string, number> = {
    "250ms": 250,
    "90s": 90_000,
    "5m": 300_000,
    "5m250ms": 300_250,
    "1h30m": 5_400_000,
    "1.5h": 5_400_000,
    "2d": 172_800_000,
    "1d2h3m4s5ms": 93_784_005,
    "0s": 0,
    " 3s ": 3000,
  };
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text), ms, text);
});

test("what is not a duration is refused with an example", () => {
  for (const text of ["", "s", "-5s", "5 s x", "1m2h", "5x", "1e3s", "ms", "5sm", "Infinity"]) {
    assert.throws(() => parseDuration(text), { name: "RangeError", message: /90s, 5m or 1h30m/ }, text);
  }
  assert.throws(() => parseDuration("90"), {
    message: '"90" is not a duration: write it with its unit, for example 90s or 90m',
  });
});

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
