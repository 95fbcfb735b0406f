import assert from "node:assert/strict";
import { test } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { circuitRule } from "./circuit.ts";

test("a circuit is its key, with the parts of its rule behind it", () => {
  const plain = circuitRule("provider-a");
  assert.deepEqual([plain.key, plain.failureRate, plain.window], ["provider-a", 0, undefined]);
  const rule = circuitRule(",rate=0.3,window=5m,samples=20,open=10s,max-open=1h,probes=3");
  assert.deepEqual([rule.key, rule.failureRate, rule.minSamples, rule.probes], ["", 0.3, 20, 3]);
  const lengths = [rule.window, rule.openFor, rule.maxOpenFor].map((length) => length && durationMs(length));
  assert.deepEqual(lengths, [300_000, 10_000, 3_600_000]);
});

test("a part that is not of a rule is named with what is allowed", () => {
  for (const [text, fault] of [
    ["k,speed=1", /"speed=1" is none of: rate, window/],
    ["k,rate", /"rate" is none of/],
    ["k,rate=half", /"rate=half" has no number/],
    ["k,open=30", /"30" is not a duration/],
  ] as const)
    assert.throws(() => circuitRule(text), fault);
});
