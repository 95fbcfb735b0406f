import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cut, cutToEnd, quoted } from "./text.ts";

const EMOJI = "\u{1F600}";

describe("T1: a cut", () => {
  const texts = ["", "abc", EMOJI, `a${EMOJI}b${EMOJI}`, EMOJI.repeat(40), `${"x".repeat(63)}${EMOJI}`];

  it("never splits a character, keeps the longest whole part, and leaves what fits alone", () => {
    for (const text of texts) {
      for (let max = 0; max <= text.length + 2; max++) {
        for (const part of [cut(text, max), cutToEnd(text, max)]) {
          assert.ok(part.isWellFormed(), `${text} at ${max}`);
          assert.ok(part.length <= max && part.length >= Math.min(text.length, max) - 1);
        }
        assert.ok(text.startsWith(cut(text, max)));
        assert.ok(text.endsWith(cutToEnd(text, max)));
      }
      assert.equal(cut(text, text.length), text);
      assert.equal(cutToEnd(text, text.length), text);
    }
  });

  it("is marked where an error quotes it; what is not to be printed is escaped", () => {
    assert.equal(quoted("t-1"), '"t-1"');
    assert.equal(quoted(`${"x".repeat(63)}${EMOJI}`), `"${"x".repeat(63)}"...`);
    assert.equal(quoted('a\0b\n"\u001b[31m\u009b\u202e'), '"a\\u0000b\\n\\"\\u001b[31m\\u009b\\u202e"');
    assert.equal(quoted("half \ud83d of one"), '"half \\ud83d of one"');
  });
});
