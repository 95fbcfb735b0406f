import assert from "node:assert/strict";
import { test } from "node:test";
import { momentOf, parsePastTime } from "./past-time.ts";

test("an age counts from now, a moment does not", () => {
  assert.equal(momentOf(parsePastTime("2h"), 10_000_000), 2_800_000);
  assert.equal(momentOf(parsePastTime("1970-01-01T00:01:00Z"), 10_000_000), 60_000);
  for (const text of ["yesterday", "", "12"])
    assert.throws(() => parsePastTime(text), /is not a duration: write it with its unit/, text);
  assert.throws(() => parsePastTime("2026-13-01"), /is no moment in ISO 8601, for example 2026/);
});
