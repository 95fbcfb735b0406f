import assert from "node:assert/strict";
import { test } from "node:test";
import pc from "picocolors";
import { prettyLine, prettyLines } from "./pretty-lines.ts";

const plain = pc.createColors(false);

test("a JSON log line is formatted for reading; other lines stay unchanged", () => {
  const line =
    '{"level":"warn","time":"2026-01-02T03:04:05.678Z","worker_id":"w","pid":5,"event":"task.failed","run_ms":3,"code":"NO","msg":"task failed"}';
  assert.equal(prettyLine(line, plain), "03:04:05.678 WARN task failed task.failed run_ms=3 code=NO");
  for (const other of ["plain", "", "{not json}", '{"answer":42}', "[1]"])
    assert.equal(prettyLine(other, plain), other);
});

test("output is the same however it is cut", async () => {
  const text = 'first\n{"level":"info","msg":"a é"}\nno end';
  for (const size of [1, 3, 100]) {
    const stream = prettyLines(plain);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
    stream.end();
    assert.equal((await stream.toArray()).join(""), "first\nINFO a é\nno end", `pieces of ${size}`);
  }
});
