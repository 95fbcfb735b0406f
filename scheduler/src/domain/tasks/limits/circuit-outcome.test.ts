import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FailureClass } from "../outcome/failure.ts";
import type { Outcome } from "../outcome/outcome.ts";
import { COUNTED_FAILURES, countedOutcome } from "./circuit-outcome.ts";

function failure(failureClass: FailureClass) {
  return { failureClass, code: "BROKE", message: "it broke" };
}

/** An outcome of every kind: a new kind does not compile without its own. */
const OF_KIND: { readonly [Kind in Outcome["kind"]]: Extract<Outcome, { kind: Kind }> } = {
  succeeded: { kind: "succeeded", output: new Uint8Array(), contentType: "", warnings: [] },
  failed: { kind: "failed", failure: failure("retryable") },
  cancelled: { kind: "cancelled", message: "asked" },
  released: { kind: "released", reason: "drain" },
  unaccepted: { kind: "unaccepted" },
  lost: { kind: "lost", reason: "stale", failure: failure("worker_lost") },
};

describe("what a circuit counts", () => {
  it("is the results of handlers, and no other kind of ends", () => {
    const counted = Object.entries(OF_KIND).map(([kind, outcome]) => [
      kind,
      countedOutcome(outcome, undefined),
    ]);
    assert.deepEqual(Object.fromEntries(counted), {
      succeeded: "succeeded",
      failed: "failed",
      cancelled: undefined,
      released: undefined,
      unaccepted: undefined,
      lost: undefined,
    });
  });

  it("is no release for whatever reason, and no loss whatever it says of the process", () => {
    for (const reason of ["drain", "unknown_type", "rejected", "unreceived", "revoked", "forgotten"])
      assert.equal(countedOutcome({ kind: "released", reason }, undefined), undefined);
    for (const failureClass of Object.keys(COUNTED_FAILURES) as FailureClass[])
      assert.equal(
        countedOutcome(
          { kind: "lost", reason: "died", failure: failure(failureClass), silent: true },
          undefined,
        ),
        undefined,
      );
  });

  it("is a failure of the handler or a passed timeout, not the end of its process", () => {
    for (const [failureClass, counts] of Object.entries(COUNTED_FAILURES)) {
      const outcome: Outcome = { kind: "failed", failure: failure(failureClass as FailureClass) };
      assert.equal(countedOutcome(outcome, undefined), counts ? "failed" : undefined, failureClass);
    }
    assert.deepEqual(
      Object.entries(COUNTED_FAILURES).flatMap(([failureClass, counts]) => (counts ? [failureClass] : [])),
      ["retryable", "non_retryable", "timed_out"],
    );
  });

  it("is no failure after a request to cancel, but a success that came before its effect", () => {
    for (const failureClass of Object.keys(COUNTED_FAILURES) as FailureClass[])
      assert.equal(countedOutcome({ kind: "failed", failure: failure(failureClass) }, "asked"), undefined);
    assert.equal(countedOutcome(OF_KIND.succeeded, "asked"), "succeeded");
  });
});
