import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Facts, MAX_FACTS_BYTES, mergeFacts, withFact } from "./facts.ts";

const added = (facts: Facts, name: string, value: unknown) => {
  const result = withFact(facts, name, value);
  return "facts" in result ? result.facts : result.fault;
};

describe("facts", () => {
  it("are numbers, texts and flags under names, of which the last one counts", () => {
    assert.deepEqual(added({ iteration: 2 }, "iteration", 3), { iteration: 3 });
    assert.deepEqual(added({}, "cached", false), { cached: false });
    assert.deepEqual(added({}, "model", "gpt"), { model: "gpt" });
    assert.deepEqual(added({}, "zero", -0), { zero: -0 });
  });

  it("have texts that are cut and can be stored", () => {
    assert.deepEqual(added({}, "a", "x".repeat(300)), { a: "x".repeat(200) });
    assert.deepEqual(added({}, "a", "b\0c"), { a: "b\u{FFFD}c" });
    assert.deepEqual(added({}, "a", `${"x".repeat(199)}\u{1F600}`), { a: `${"x".repeat(199)}\u{FFFD}` });
  });

  it("are left out with the reason when they are none", () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      undefined,
      null,
      1n,
      {},
      [],
      () => 1,
      Symbol("a"),
    ])
      assert.match(String(added({}, "a", value)), /^it is /, String(value));
    for (const name of ["", "A", "1a", "a-b", "a b", "x".repeat(65), "__proto__x".repeat(9)])
      assert.match(String(added({}, name, 1)), /name must match/, name);
  });

  it("are at most 16, of 1 KiB together", () => {
    let facts: Facts = {};
    for (let n = 1; n <= 16; n++) facts = added(facts, `f${n}`, n) as Facts;
    assert.match(String(added(facts, "f17", 1)), /at most 16/);
    assert.deepEqual(Object.keys(added(facts, "f16", 0) as Facts).length, 16);
    let texts: Facts = {};
    let fault = "";
    for (let n = 1; n <= 6; n++) {
      const result = withFact(texts, `text_${n}`, "é".repeat(100));
      if ("facts" in result) texts = result.facts;
      else fault ||= result.fault;
    }
    assert.match(fault, /bytes as JSON/);
    assert.ok(Buffer.byteLength(JSON.stringify(texts)) <= MAX_FACTS_BYTES);
  });

  it("merge with the first ones first", () => {
    assert.deepEqual(mergeFacts({ a: 1 }, { a: 2, b: 3 }), { a: 1, b: 3 });
    assert.deepEqual(mergeFacts({}, {}), {});
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`n${n}`, n]));
    assert.equal(Object.keys(mergeFacts(many, { other: 1 })).length, 16);
    assert.equal(mergeFacts(many, { other: 1 }).other, undefined);
  });
});
