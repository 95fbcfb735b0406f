import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { FailureSchema, TaskResultSchema } from "@muster/protocol";
import { Refusal } from "../../../../domain/errors.ts";
import type { FailureClass } from "../../../../domain/tasks/outcome/failure.ts";
import { toAttemptKey } from "./attempt-report.ts";
import { fromFailure, toFailure } from "./failure.ts";
import { toResult } from "./result.ts";

const LIMITS = { maxMessageBytes: 4_000_000, maxPayloadBytes: 100, maxResultBytes: 50, maxTasksPerSubmit: 3 };

test("a result that breaks the contract ends its attempt as a failure", () => {
  const result = (outcome: NonNullable<MessageInitShape<typeof TaskResultSchema>["outcome"]>) =>
    toResult(create(TaskResultSchema, { attemptId: "t-1.1", outcome }), LIMITS).outcome;
  const large = result({ case: "succeeded", value: { output: new Uint8Array(51) } });
  assert.equal(large.kind === "failed" && large.failure.code, "RESULT_TOO_LARGE");
  const none = result({ case: undefined });
  assert.equal(none.kind === "failed" && none.failure.code, "INVALID_RESULT");
  const odd = result({
    case: "failed",
    value: create(FailureSchema, {
      code: "not a code",
      message: "m\0",
      retryAfter: { seconds: -5n, nanos: 0 },
    }),
  });
  assert.deepEqual(odd, {
    kind: "failed",
    failure: { failureClass: "retryable", code: "HANDLER_ERROR", message: "m\u{FFFD}", retryAfterMs: 0 },
  });
  const cut = result({ case: "failed", value: { code: "C", message: `${"x".repeat(4_095)}\u{1F600}` } });
  assert.ok(cut.kind === "failed" && cut.failure.message.isWellFormed());
  assert.throws(
    () => toAttemptKey("t-1"),
    (error: unknown) => error instanceof Refusal && error.reason === "INVALID_MESSAGE",
  );
});

test("a failure of each class comes back as it was sent", () => {
  const classes: FailureClass[] = ["retryable", "non_retryable", "timed_out", "out_of_memory", "worker_lost"];
  for (const name of classes) {
    const failure = {
      failureClass: name,
      code: "BROKE",
      message: "it broke",
      traceback: "at read",
      details: '{"page":3}',
      retryAfterMs: 1_500,
    };
    assert.match(failure.code, FAILURE_CODE);
    assert.deepEqual(toFailure(create(FailureSchema, fromFailure(failure))), failure);
  }
});

test("details of a failure are kept whole or dropped, because a part of them is not JSON", () => {
  const kept = (details: string) => toFailure(create(FailureSchema, { code: "BROKE", details })).details;
  const longest = JSON.stringify("x".repeat(4_094));
  assert.equal(kept(longest), longest);
  for (const dropped of ["", `${longest} `, '"\0"', '"\ud800"']) assert.equal(kept(dropped), undefined);
});
