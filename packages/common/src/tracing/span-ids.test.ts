import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { childSpanId, SpanIds } from "./span-ids.ts";

test("given ids are those of one span, others are random", () => {
  const ids = new SpanIds();
  const both = () => [ids.generateTraceId(), ids.generateSpanId()];
  assert.deepEqual(ids.give({ traceId: "a", spanId: "b" }, both), ["a", "b"]);
  assert.equal(ids.give({ spanId: "b" }, both)[1], "b");
  for (const [length, id] of [
    [32, ids.generateTraceId()],
    [16, ids.generateSpanId()],
  ] as const) {
    assert.match(id, /^[0-9a-f]+$/);
    assert.equal(id.length, length);
  }
});

test("a child's id is the start of a hash, which other languages can make too", () => {
  const expected = createHash("sha256").update("b7ad6b7169203331/run").digest("hex").slice(0, 16);
  assert.equal(childSpanId("b7ad6b7169203331", "run"), expected);
});
