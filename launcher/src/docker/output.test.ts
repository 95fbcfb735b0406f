import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ContainerOutput } from "./output.ts";

function frame(text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 1;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

describe("the output of a container", () => {
  it("is the same however the frames are cut, with the time of the last line", () => {
    const stream = Buffer.concat([
      frame("2026-01-02T03:04:05.000000001Z first ü\n"),
      frame("2026-01-02T03:04:06.5Z second\n"),
    ]);
    for (let at = 0; at <= stream.length; at++) {
      const output = new ContainerOutput();
      output.add(stream.subarray(0, at));
      output.add(stream.subarray(at));
      assert.deepEqual([output.tail, output.bytes], ["first ü\nsecond\n", 16]);
      assert.equal(output.changedMs, Date.UTC(2026, 0, 2, 3, 4, 6, 500));
    }
  });

  it("keeps the end of a long one, and counts all of it", () => {
    const output = new ContainerOutput();
    for (let line = 0; line < 5_000; line++) output.add(frame(`${String(line).padStart(99)}\n`));
    assert.equal(output.bytes, 500_000);
    assert.equal(output.tail.length, 16 * 1024);
    assert.ok(output.tail.endsWith("4999\n"));
  });
});
