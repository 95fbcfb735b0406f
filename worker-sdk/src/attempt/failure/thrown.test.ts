import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { NonRetryableError } from "../../errors.ts";
import { classifyError } from "./classify.ts";

function reported(error: unknown) {
  const { failureClass, code, message } = classifyError(error, undefined);
  return [failureClass, code, message];
}

test("T22: objects that are thrown keep code and message, and values are shown", () => {
  assert.deepEqual(reported({ status: 429, code: "RATE_LIMIT", message: "slow" }), [
    "retryable",
    "RATE_LIMIT",
    "slow",
  ]);
  assert.deepEqual(reported({ status: 429, message: "slow" }), ["retryable", "HTTP_429", "slow"]);
  assert.deepEqual(reported({ message: "slow" }), ["retryable", "ERROR", "slow"]);
  assert.deepEqual(reported({ a: [1, { b: "c" }] }), [
    "retryable",
    "ERROR",
    "thrown value: { a: [ 1, { b: 'c' } ] }",
  ]);
  assert.deepEqual(reported(undefined), ["retryable", "ERROR", "thrown value: undefined"]);
  assert.deepEqual(reported(null), ["retryable", "ERROR", "thrown value: null"]);
  assert.deepEqual(reported(7n), ["retryable", "ERROR", "thrown value: 7n"]);
  assert.deepEqual(reported(Symbol("x")), ["retryable", "ERROR", "thrown value: Symbol(x)"]);
  assert.deepEqual(reported("text"), ["retryable", "ERROR", "thrown value: text"]);
  assert.deepEqual(reported(Object.create(null)), [
    "retryable",
    "ERROR",
    "thrown value: [Object: null prototype] {}",
  ]);
});

test("T22: codes that are numbers come with what they are numbers of", () => {
  const withCode = (code: unknown, name = "Error") => Object.assign(new Error("e"), { code, name });
  assert.equal(reported(withCode(14))[1], "ERROR_14");
  assert.equal(reported(withCode("23505", "DatabaseError"))[1], "DATABASE_ERROR_23505");
  assert.equal(reported(new DOMException("stop", "AbortError"))[1], "ABORT_ERROR");
});

test("T22: errors that contain others report each of them, with its code", async () => {
  const first = Object.assign(new Error("no route"), { code: "EHOSTUNREACH" });
  const error = await Promise.any([Promise.reject(first), Promise.reject(new TypeError("bad"))]).catch(
    (thrown: unknown) => thrown,
  );
  assert.deepEqual(reported(error), [
    "retryable",
    "AGGREGATE_ERROR",
    "All promises were rejected: EHOSTUNREACH: no route; TypeError: bad",
  ]);
  const { traceback } = classifyError(error, undefined);
  assert.match(
    traceback,
    /AggregateError[\s\S]*One of them: Error: no route[\s\S]*One of them: TypeError: bad/,
  );
  assert.match(
    String(reported(new AggregateError(Array.from({ length: 12 }, () => new Error("x"))))[2]),
    /; and 2 more$/,
  );
  const final = new AggregateError([new NonRetryableError("a"), new NonRetryableError("b")]);
  assert.equal(reported(final)[0], "non_retryable");
  const itself = new AggregateError([]);
  itself.errors.push(itself, itself, itself);
  assert.match(String(reported(itself)[2]), /^several errors: AggregateError: several errors/);
});

test("T22: errors of another realm are errors, and classes are known by their names", () => {
  const foreign = runInNewContext(
    "Object.assign(new RangeError('far', { cause: new Error('root') }), { code: 'ERANGE' })",
  );
  assert.ok(!(foreign instanceof Error));
  assert.deepEqual(reported(foreign), ["retryable", "ERANGE", "far (cause: Error: root)"]);
  assert.match(classifyError(foreign, undefined).traceback, /RangeError: far[\s\S]*Caused by: Error: root/);
  const copy = runInNewContext(
    "Object.assign(new Error('no'), { name: 'NonRetryableError', code: 'NO_PAGE' })",
  );
  assert.deepEqual(reported(copy), ["non_retryable", "NO_PAGE", "no"]);
});

test("T22: no getter, proxy or circle in what was thrown hides it or throws itself", () => {
  const circular = new Error("outer");
  circular.cause = new Error("inner", { cause: circular });
  assert.match(classifyError(circular, undefined).traceback, /outer[\s\S]*Caused by: Error: inner/);
  const hostile = new Error("seen");
  for (const name of ["code", "name", "cause", "errors", "stack"]) {
    Object.defineProperty(hostile, name, {
      get: () => {
        throw new Error("getter");
      },
    });
  }
  assert.deepEqual(reported(hostile), ["retryable", "ERROR", "seen"]);
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assert.equal(reported(proxy)[0], "retryable");
  const inspecting = {
    [Symbol.for("nodejs.util.inspect.custom")]: () => {
      throw new Error("inspect");
    },
  };
  assert.deepEqual(reported(inspecting), ["retryable", "ERROR", "thrown value: object"]);
});

test("a message is cut between characters", () => {
  const { message } = classifyError(new Error(`${"x".repeat(4095)}😀`), undefined);
  assert.ok(message.isWellFormed());
  assert.equal(message.length, 4096);
});

test("T22: a cause that has the only facts is reported, with its code", async () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
  assert.deepEqual(reported(new TypeError("fetch failed", { cause: refused })).slice(1), [
    "TYPE_ERROR",
    "fetch failed (cause: ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:1)",
  ]);
  assert.equal(reported(new Error("outer", { cause: "root" }))[2], "outer (cause: 'root')");
  assert.equal(reported(new Error("page 3: no ink", { cause: new Error("no ink") }))[2], "page 3: no ink");
  const round = new Error("round");
  round.cause = new Error("other", { cause: round });
  assert.equal(
    reported(round)[2],
    "round (cause: Error: other (cause: Error: round))",
    "a circle ends after two causes",
  );
  assert.equal(reported("")[2], "thrown value: ''");
});

test("T22: both errors of a SuppressedError are reported", () => {
  class SuppressedError extends Error {
    override readonly name = "SuppressedError";
    readonly error = new Error("close failed");
    readonly suppressed = Object.assign(new Error("read failed"), { code: "EIO" });
  }
  assert.deepEqual(reported(new SuppressedError("two")).slice(1), [
    "SUPPRESSED_ERROR",
    "two: Error: close failed; EIO: read failed",
  ]);
});
