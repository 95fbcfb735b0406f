import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputTail } from "./output-tail.ts";

function tailOf(max: number, ...chunks: readonly (string | Uint8Array)[]): string {
  const tail = new OutputTail(max);
  for (const chunk of chunks) tail.push(Buffer.from(chunk));
  return tail.text();
}

test("keeps everything that fits, and the end of what does not", () => {
  assert.equal(tailOf(8), "");
  assert.equal(tailOf(8, "ab", "cd"), "abcd");
  assert.equal(tailOf(8, "abcdefgh"), "abcdefgh");
  assert.equal(tailOf(8, "abcdef", "ghij"), "cdefghij");
  assert.equal(tailOf(8, "x".repeat(100), "tail"), "xxxxtail");
  assert.equal(tailOf(8, "abc", "d".repeat(21), "e"), "ddddddde");
});

test("is the same however the bytes are cut into chunks", () => {
  const bytes = Buffer.from("The quick brown fox jumps over the lazy dog. ".repeat(9));
  const whole = tailOf(64, bytes);
  for (const size of [1, 3, 7, 63, 64, 65, 200]) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
      bytes.subarray(at * size, (at + 1) * size),
    );
    assert.equal(tailOf(64, ...chunks), whole, `chunks of ${size}`);
  }
});

test("never begins with half a character, nor holds what cannot be stored", () => {
  assert.equal(tailOf(8, "ééééé"), "éééé");
  assert.equal(tailOf(7, "ééééé"), "ééé");
  assert.equal(tailOf(6, "a🙂b🙂"), "b🙂");
  assert.equal(tailOf(8, Buffer.from([0x61, 0, 0x62])), "a\u{FFFD}b");
  const binary = tailOf(64, Buffer.alloc(64, 0xff));
  assert.ok(Buffer.byteLength(binary) <= 64);
  assert.match(binary, /^\u{FFFD}+$/u);
});
