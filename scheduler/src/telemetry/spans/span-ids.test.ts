import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import { SpanIds } from "@muster/common/tracing/span-ids";
import { attemptContext, childOf } from "./span-ids.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const trace = { parent: PARENT };

it("an attempt's span has the same ids wherever they are worked out", () => {
  const first = attemptContext(trace, { taskId: 7, epoch: 1 });
  assert.deepEqual(first, attemptContext({ ...trace }, { taskId: 7, epoch: 1 }));
  assert.equal(first?.traceId, "0af7651916cd43dd8448eb211c80319c");
  assert.notEqual(first?.spanId, attemptContext(trace, { taskId: 8, epoch: 1 })?.spanId);
  assert.equal(attemptContext({ parent: "nonsense" }, { taskId: 7, epoch: 1 }), undefined);
});

it("later attempts and delayed runs have traces of their own", () => {
  const ids = [1, 2, 3].map((epoch) => attemptContext(trace, { taskId: 7, epoch })?.traceId);
  assert.equal(new Set(ids).size, 3);
  const delayed = attemptContext({ ...trace, dueMs: 1 }, { taskId: 7, epoch: 1 });
  assert.notEqual(delayed?.traceId, ids[0]);
  assert.match(delayed?.traceId ?? "", /^[0-9a-f]{32}$/);
});

it("ids below an attempt are those that docs/tracing.md gives to workers", () => {
  const parent = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true };
  const digits = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);
  const run = childOf(parent, "run");
  assert.equal(run.spanId, digits("b7ad6b7169203331/run"));
  assert.equal(run.spanId, "162a778292964916");
  assert.equal(childOf(run, "phase/inference/2").spanId, digits(`${run.spanId}/phase/inference/2`));
});

it("ids are given to one span only", () => {
  const ids = new SpanIds();
  const given = { traceId: "a".repeat(32), spanId: "b".repeat(16) };
  ids.give(given, () => {
    assert.equal(ids.generateTraceId(), given.traceId);
    assert.equal(ids.generateSpanId(), given.spanId);
  });
  assert.match(ids.generateSpanId(), /^[0-9a-f]{16}$/);
  assert.notEqual(ids.generateSpanId(), given.spanId);
  assert.throws(() =>
    ids.give(given, () => {
      throw new Error("no");
    }),
  );
  assert.notEqual(ids.generateTraceId(), given.traceId);
});
