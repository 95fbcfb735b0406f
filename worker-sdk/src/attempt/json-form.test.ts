import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { encodeTaskSpec } from "../client/submit/task-spec.ts";
import { findJsonFault, isBytes } from "./json-form.ts";

class Page {
  readonly number = 1;
}

class Hidden {
  readonly #number = 1;
  get number(): number {
    return this.#number;
  }
}

test("T23: what JSON would lose is found wherever it is, with what to give instead", () => {
  const faults: [value: unknown, what: string, instead: RegExp][] = [
    [new Map([["a", 1]]), "a Map", /Object\.fromEntries\(map\)/],
    [{ pages: [{ index: new Map() }] }, "a Map at .pages[0].index", /Object\.fromEntries/],
    [new Set([1]), "a Set", /\[\.\.\.set\]/],
    [new ArrayBuffer(4), "an ArrayBuffer", /new Uint8Array\(buffer\)/],
    [new SharedArrayBuffer(4), "a SharedArrayBuffer", /new Uint8Array\(buffer\)/],
    [new Float32Array(2), "a Float32Array", /Array\.from\(it\) for its numbers, or new Uint8Array/],
    [new DataView(new ArrayBuffer(2)), "a DataView", /new Uint8Array\(it\.buffer/],
    [{ png: new Uint8Array(2) }, "a Uint8Array at .png", /base64/],
    [{ "a b": [Buffer.from("x")] }, 'a Buffer at ["a b"][0]', /base64/],
    [Number.NaN, "NaN", /null/],
    [{ score: Number.POSITIVE_INFINITY }, "Infinity at .score", /null/],
    [{ f: () => 1 }, "a function at .f", /plain object/],
    [{ s: Symbol("x") }, "a symbol at .s", /plain object/],
    [{ id: 7n }, "a bigint at .id", /text/],
    [Promise.resolve(1), "a Promise", /await/],
    [{ list: [Promise.resolve(1)] }, "a Promise at .list[0]", /await/],
    [new Error("no"), "an Error", /throw it/],
    [/x/, "a RegExp", /plain object/],
    [new WeakMap(), "a WeakMap", /plain object/],
    [new Hidden(), "a Hidden", /plain object/],
    [new Intl.NumberFormat(), "a NumberFormat", /plain object/],
    [new Intl.Segmenter(), "a Segmenter", /plain object/],
    [new (class Odd {})(), "an Odd", /plain object/],
    [[1, 2].values(), "a value without a class", /plain object/],
    [new Date(Number.NaN), "an invalid Date", /null/],
    [runInNewContext("new Map()"), "a Map", /fromEntries/],
  ];
  for (const [value, what, instead] of faults) {
    const fault = findJsonFault(value);
    if (what !== "a value without a class") assert.equal(fault?.what, what);
    assert.match(fault?.instead ?? "", instead, what);
  }
});

test("T23: what has a JSON form is let through", () => {
  const fine: unknown[] = [
    null,
    undefined,
    "x",
    0,
    -0,
    true,
    [],
    {},
    { a: undefined, b: [null, [1]], c: { d: {} } },
    Object.create(null),
    new Date(0),
    new URL("http://x/"),
    new Page(),
    [new Page()],
    Object(1),
    runInNewContext("({ a: [{}], d: new Date(0) })"),
    { toJSON: () => "x" },
  ];
  for (const value of fine) assert.equal(findJsonFault(value), undefined);
  assert.ok(isBytes(runInNewContext("new Uint8Array(2)")));
});

test("T23: a payload is looked at in the same way", () => {
  assert.throws(
    () => encodeTaskSpec({ type: "x", payload: { ids: new Set([1]) } }),
    /^TypeError: Task x: the payload is or has a Set at \.ids, which has no JSON form; give \[\.\.\.set\]/,
  );
});
