import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "./duration.ts";

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
