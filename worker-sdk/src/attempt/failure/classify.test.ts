import assert from "node:assert/strict";
import { test } from "node:test";
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { NonRetryableError, RetryableError } from "../../errors.ts";
import { classifyError, toCode } from "./classify.ts";

function brief(error: unknown, ...rest: [Parameters<typeof classifyError>[1]?]) {
  const { failureClass, code, message, retryAfterMs } = classifyError(error, rest[0]);
  return [failureClass, code, message, retryAfterMs];
}

test("errors are retryable with a code of their own unless they say otherwise", () => {
  assert.deepEqual(brief(new NonRetryableError("no")), ["non_retryable", "NON_RETRYABLE", "no", undefined]);
  const busy = new RetryableError("busy", { code: "BUSY", retryAfterS: 1.5 });
  assert.deepEqual(brief(busy), ["retryable", "BUSY", "busy", 1500]);
  const full = Object.assign(new Error("disk"), { code: "ENOSPC" });
  assert.deepEqual(brief(full), ["retryable", "ENOSPC", "disk", undefined]);
  assert.deepEqual(brief(new TypeError("x")), ["retryable", "TYPE_ERROR", "x", undefined]);
  assert.deepEqual(brief("text"), ["retryable", "ERROR", "thrown value: text", undefined]);
});

test("Node's codes decide what another attempt cannot change, and what was out of memory", () => {
  const withCode = (code: string) => Object.assign(new Error("e"), { code });
  assert.equal(classifyError(withCode("ERR_INVALID_ARG_TYPE"), undefined).failureClass, "non_retryable");
  assert.equal(classifyError(withCode("ERR_WORKER_OUT_OF_MEMORY"), undefined).failureClass, "out_of_memory");
  assert.equal(classifyError(withCode("ECONNRESET"), undefined).failureClass, "retryable");
  assert.equal(
    classifyError(new RetryableError("again", { code: "EISDIR" }), undefined).failureClass,
    "retryable",
  );
  assert.equal(classifyError(withCode("EISDIR"), () => ({ retryable: true })).failureClass, "retryable");
});

test("the author's hook wins, and a hook that throws hides nothing", () => {
  const final = () => ({ retryable: false, code: "BAD_PDF", message: "not a PDF" });
  assert.deepEqual(brief(new Error("secret path"), final), [
    "non_retryable",
    "BAD_PDF",
    "not a PDF",
    undefined,
  ]);
  assert.deepEqual(
    brief(new RangeError("r"), () => undefined),
    ["retryable", "RANGE_ERROR", "r", undefined],
  );
  const [failureClass, code, message] = brief(new RangeError("r"), () => {
    throw new Error("hook");
  });
  assert.deepEqual([failureClass, code], ["retryable", "RANGE_ERROR"]);
  assert.match(String(message), /^r .*hook/);
});

test("tracebacks carry causes; codes fit the protocol's form", () => {
  const { traceback } = classifyError(new Error("outer", { cause: new TypeError("inner") }), undefined);
  assert.match(traceback, /outer[\s\S]*Caused by: TypeError: inner/);
  for (const name of [
    "HTTPError",
    "err-42",
    "42",
    "",
    "ERR_INVALID_ARG_TYPE",
    "é".repeat(80),
    "A".repeat(80),
  ]) {
    assert.match(toCode(name), FAILURE_CODE, name);
  }
});

test("a code that has the form stays as it is", () => {
  const tooBig = Object.assign(new Error("spawn E2BIG"), { code: "E2BIG" });
  assert.deepEqual(brief(tooBig), ["retryable", "E2BIG", "spawn E2BIG", undefined]);
  for (const code of ["E2BIG", "ERR_HTTP2_ERROR", "S3_404", "A", "A_", "A".repeat(64)])
    assert.equal(toCode(code), code);
  // Names of other forms become codes as before.
  assert.equal(toCode("HTTP2Error"), "HTTP2_ERROR");
  assert.equal(toCode("noSuchKey"), "NO_SUCH_KEY");
  assert.equal(toCode("A".repeat(65)), "A".repeat(64));
});
