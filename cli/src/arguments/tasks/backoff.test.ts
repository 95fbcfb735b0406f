import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backoffText } from "../../output/words/backoff-text.ts";
import { parseBackoff } from "./backoff.ts";

describe("waits before retries", () => {
  it("are read and written in the same form", () => {
    for (const text of ["1m,5m,30m", "0s", "90s,250ms", "1s,factor=2,max=1h,jitter=0.1", "10s,max=2d"])
      assert.equal(backoffText(parseBackoff(text)), text);
    assert.equal(backoffText(parseBackoff("60s, 3600s")), "1m,1h");
    assert.equal(backoffText({ case: undefined }), "");
  });

  it("are refused by the part that is wrong", () => {
    for (const [text, message] of [
      ["", /^"" is not a duration/],
      ["5", /^"5" is not a duration: write it with its unit/],
      ["1m,", /^"" is not a duration/],
      ["1s,2s,factor=2", /^"2s" is none of: factor, max, jitter/],
      ["1s,speed=2", /^"speed=2" is none of/],
      ["1s,factor=fast", /^"factor=fast" has no number/],
      ["1s,max=5", /^"5" is not a duration/],
    ] as const)
      assert.throws(() => parseBackoff(text), { name: "RangeError", message }, text);
  });
});
