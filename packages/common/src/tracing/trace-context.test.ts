import assert from "node:assert/strict";
import { it } from "node:test";
import { formatTraceparent, parseTraceparent, withCallContext } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

it("a traceparent is read and written as W3C says", () => {
  const sampled = parseTraceparent(`00-${TRACE}-${SPAN}-01`);
  assert.deepEqual(sampled, { traceId: TRACE, spanId: SPAN, sampled: true });
  assert.equal(parseTraceparent(` 00-${TRACE}-${SPAN}-02 `)?.sampled, false);
  // A later version may append fields; version 00 may not.
  assert.ok(parseTraceparent(`01-${TRACE}-${SPAN}-01-more`));
  assert.equal(sampled && formatTraceparent(sampled), `00-${TRACE}-${SPAN}-01`);
  for (const wrong of [
    "",
    undefined,
    null,
    "x",
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
  ])
    assert.equal(parseTraceparent(wrong), undefined, String(wrong));
});

it("a task takes over the context of its call, unless it has one or the call's is none", () => {
  const own = { traceparent: `00-${TRACE}-${SPAN}-00` };
  const call = new Headers({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "vendor=1" });
  assert.equal(withCallContext(own, call), own);
  assert.deepEqual(withCallContext({ a: "b" }, call), {
    a: "b",
    traceparent: `00-${TRACE}-${SPAN}-01`,
    tracestate: "vendor=1",
  });
  assert.equal(withCallContext(undefined, new Headers()), undefined);
  assert.equal(withCallContext(undefined, new Headers({ traceparent: "nonsense" })), undefined);
  const long = new Headers({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "v=".padEnd(600, "x") });
  assert.deepEqual(withCallContext(undefined, long), { traceparent: `00-${TRACE}-${SPAN}-01` });
});
