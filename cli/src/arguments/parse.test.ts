import assert from "node:assert/strict";
import { test } from "node:test";
import { TaskState } from "@muster/protocol";
import { collect, enumChoices, enumNames, keyValue, wholeNumber } from "./parse.ts";

test("whole numbers keep their bounds", () => {
  const parse = wholeNumber(-1000, 1000);
  assert.equal(parse("-1000"), -1000);
  assert.equal(parse("+7"), 7);
  for (const text of ["", " 7", "1.5", "1e2", "1001", "0x10", "seven"]) {
    assert.throws(() => parse(text), { message: `"${text}" is not a whole number from -1000 to 1000` }, text);
  }
});

test("key=value is divided at the first equals sign, and repeats add up", () => {
  assert.deepEqual(keyValue("b=", keyValue("a=1=2")), { a: "1=2", b: "" });
  assert.throws(() => keyValue("=x"), /is not key=value/);
  assert.throws(() => keyValue("x"), /is not key=value/);
  assert.deepEqual(collect("b", collect("a")), ["a", "b"]);
});

test("states are named in any case, with commas and repeats", () => {
  const parse = enumNames(TaskState);
  assert.deepEqual(parse("RUNNING", parse("queued, failed")), [
    TaskState.QUEUED,
    TaskState.FAILED,
    TaskState.RUNNING,
  ]);
  assert.throws(() => parse("qeued"), /"qeued" is none of: queued, assigned, running/);
  assert.throws(() => parse("unspecified"), /is none of/);
  assert.throws(() => parse("toString"), /is none of/);
  assert.ok(!enumChoices(TaskState).includes("unspecified"));
});
