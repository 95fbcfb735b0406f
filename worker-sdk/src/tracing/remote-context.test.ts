import assert from "node:assert/strict";
import { test } from "node:test";
import { isUnsampled } from "@muster/common/tracing/trace-context";
import { createContextKey, isSpanContextValid, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { remoteContext, UnsampledContext } from "./remote-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("a traceparent is parsed as W3C specifies", () => {
  for (const [text, flags] of [
    [`00-${TRACE}-${SPAN}-01`, 1],
    [`00-${TRACE}-${SPAN}-00`, 0],
    // Other flags than the sampled one are not passed on; a later version may append something.
    [`00-${TRACE}-${SPAN}-fe`, 0],
    [`cc-${TRACE}-${SPAN}-03-what-else`, 1],
  ] as const) {
    const remote = trace.getSpanContext(remoteContext(text));
    assert.deepEqual(remote, { traceId: TRACE, spanId: SPAN, traceFlags: flags, isRemote: true }, text);
    assert.ok(isSpanContextValid(remote));
    assert.equal(isUnsampled(text), flags === 0, text);
  }
});

test("an invalid traceparent starts a new trace", () => {
  for (const text of [
    undefined,
    "",
    `ff-${TRACE}-${SPAN}-00`,
    `00-${"0".repeat(32)}-${SPAN}-00`,
    `00-${TRACE}-${"0".repeat(16)}-00`,
    `00-${TRACE.toUpperCase()}-${SPAN}-00`,
    `00-${TRACE}-${SPAN}`,
    // Version 00 has no further parts.
    `00-${TRACE}-${SPAN}-00-more`,
  ]) {
    assert.equal(remoteContext(text), ROOT_CONTEXT, text);
    assert.equal(isUnsampled(text), false, text);
  }
});

test("the context of an unsampled trace has the values of any other", () => {
  const unsampled = new UnsampledContext(`00-${TRACE}-${SPAN}-00`);
  assert.equal(trace.getSpanContext(unsampled)?.traceId, TRACE);
  assert.equal(trace.getSpan(unsampled)?.isRecording(), false);
  const key = createContextKey("key");
  const within = unsampled.setValue(key, 1);
  assert.equal(within.getValue(key), 1);
  assert.equal(trace.getSpanContext(within)?.spanId, SPAN);
  assert.equal(trace.getSpanContext(within.deleteValue(key))?.spanId, SPAN);
  assert.equal(unsampled.deleteValue(key).getValue(key), undefined);
});
