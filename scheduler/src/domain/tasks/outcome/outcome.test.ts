import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RequeueCounts } from "../task.ts";
import type { Failure, FailureClass } from "./failure.ts";
import {
  type AttemptFacts,
  decideOutcome,
  type Outcome,
  type OutcomeDecision,
  workerLost,
} from "./outcome.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";

const FACTS: AttemptFacts = {
  attemptCount: 1,
  outOfMemoryCount: 0,
  counts: undefined,
  retry: undefined,
  cancelReason: undefined,
};
const CLASSES: readonly FailureClass[] = [
  "retryable",
  "non_retryable",
  "timed_out",
  "out_of_memory",
  "worker_lost",
];

const failures: fc.Arbitrary<Failure> = fc.record(
  {
    failureClass: fc.constantFrom(...CLASSES),
    code: fc.constantFrom("BROKE", "OTHER"),
    message: fc.string(),
    retryAfterMs: fc.integer({ min: 0, max: 1e9 }),
  },
  { requiredKeys: ["failureClass", "code", "message"] },
);
const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constant<Outcome>({ kind: "succeeded", output: new Uint8Array(), contentType: "", warnings: [] }),
  failures.map<Outcome>((failure) => ({ kind: "failed", failure })),
  fc.constant<Outcome>({ kind: "cancelled", message: "" }),
  fc.constant<Outcome>({ kind: "released", reason: "drain" }),
  fc.constant<Outcome>({ kind: "released", reason: "revoked", delayMs: 5_000 }),
  fc.constant<Outcome>({ kind: "lost", reason: "stale", failure: workerLost("w", "vanished") }),
);
const policies: fc.Arbitrary<RetryPolicy | undefined> = fc.option(
  fc.record({
    maxRetries: fc.integer({ min: 0, max: 5 }),
    maxOutOfMemory: fc.integer({ min: 0, max: 3 }),
    backoff: fc.constant({ kind: "fixed" as const, delaysMs: [10, 20] }),
  }),
  { nil: undefined },
);

function failed(failureClass: FailureClass, more: Partial<Failure> = {}): Outcome {
  return { kind: "failed", failure: { failureClass, code: "BROKE", message: "it broke", ...more } };
}

describe("decision", () => {
  it("gives a revoked attempt back without cost, after the delay that was asked for", () => {
    const facts = { ...FACTS, attemptCount: 3 };
    const revoked = { kind: "released", reason: "revoked", delayMs: 600_000 } as const;
    assert.deepEqual(decideOutcome(facts, revoked, 0), {
      ...{ kind: "requeue", reason: "revoked", delayMs: 600_000 },
      ...{ costsAttempt: false, outOfMemory: false },
    });
    assert.deepEqual(decideOutcome({ ...facts, cancelReason: "over" }, revoked, 0), {
      ...{ kind: "finish", state: "cancelled", detail: "cancelled" },
    });
  });

  it("keeps its invariants in every sequence of ends", () => {
    const sequences = fc.array(fc.tuple(outcomes, fc.boolean()), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(policies, sequences, (retry, sequence) => {
        const maxRetries = retry?.maxRetries ?? 3;
        const maxOutOfMemory = retry?.maxOutOfMemory ?? 1;
        // As the store keeps it: a claim counts one up, a requeue without cost one down.
        let attemptCount = 0;
        let outOfMemoryCount = 0;
        let cancelReason: string | undefined;
        for (const [outcome, cancels] of sequence) {
          attemptCount++;
          if (cancels && outcome.kind !== "succeeded") cancelReason ??= "asked";
          assert.ok(
            attemptCount <= maxRetries + 1,
            `attempt ${attemptCount} of a policy with ${maxRetries} retries`,
          );
          const decision = decideOutcome(
            { ...FACTS, attemptCount, outOfMemoryCount, retry, cancelReason },
            outcome,
            0,
          );
          if (decision.kind === "finish") {
            checkFinish(decision, outcome, cancelReason);
            return;
          }
          assert.equal(cancelReason, undefined, "a task whose end was asked for is never queued again");
          assert.ok(decision.delayMs >= 0);
          if (outcome.kind === "released") {
            const { delayMs = 0 } = outcome;
            assert.ok(!decision.costsAttempt && decision.delayMs === delayMs && !decision.failure);
          }
          assert.equal(
            decision.outOfMemory,
            outcome.kind === "failed" && outcome.failure.failureClass === "out_of_memory",
          );
          if (decision.outOfMemory) assert.ok(!decision.costsAttempt, "the budgets are apart");
          if (!decision.costsAttempt) attemptCount--;
          if (decision.outOfMemory) outOfMemoryCount++;
          assert.ok(outOfMemoryCount <= maxOutOfMemory);
        }
      }),
    );
  });

  it("succeeds whatever was asked meanwhile: the work is done", () => {
    const outcome: Outcome = {
      kind: "succeeded",
      output: Buffer.from("x"),
      contentType: "text/plain",
      warnings: [],
    };
    const decision = decideOutcome({ ...FACTS, cancelReason: "late" }, outcome, 0);
    assert.equal(decision.kind === "finish" && decision.state, "succeeded");
    const warned = decideOutcome(
      FACTS,
      { ...outcome, warnings: [{ step: "s", code: "C", message: "m" }] },
      0,
    );
    assert.equal(warned.kind === "finish" && warned.detail, "succeeded_with_warnings");
  });

  it("ends at once what is not worth another try", () => {
    const retry: RetryPolicy = { ...DEFAULT_RETRY_POLICY, retryTimeouts: false };
    for (const [failureClass, facts] of [
      ["non_retryable", FACTS],
      ["timed_out", { ...FACTS, retry }],
    ] as const) {
      const decision = decideOutcome(facts, failed(failureClass), 0);
      assert.equal(decision.kind === "finish" && decision.detail, "BROKE");
    }
  });

  it("retries a timeout as a retryable failure, unless its policy excludes it", () => {
    for (const retry of [undefined, { ...DEFAULT_RETRY_POLICY, retryTimeouts: true }]) {
      const decision = decideOutcome({ ...FACTS, retry }, failed("timed_out"), 0);
      assert.deepEqual(
        decision.kind === "requeue" && [decision.reason, decision.delayMs, decision.costsAttempt],
        ["retry", 60_000, true],
      );
      const last = decideOutcome({ ...FACTS, retry, attemptCount: 4 }, failed("timed_out"), 0);
      assert.equal(last.kind === "finish" && last.detail, "RETRIES_EXHAUSTED");
    }
    const never = { ...DEFAULT_RETRY_POLICY, maxRetries: 0 };
    const only = decideOutcome({ ...FACTS, retry: never }, failed("timed_out"), 0);
    assert.equal(only.kind === "finish" && only.detail, "BROKE");
  });

  it("waits as the policy says, or as long as the failure asks, whichever is longer", () => {
    const wait = (retryAfterMs?: number) => {
      const decision = decideOutcome(
        FACTS,
        failed("retryable", retryAfterMs === undefined ? {} : { retryAfterMs }),
        0,
      );
      return decision.kind === "requeue" ? decision.delayMs : undefined;
    };
    assert.equal(wait(), 60_000);
    assert.equal(wait(1_000), 60_000);
    assert.equal(wait(90_000), 90_000);
  });

  it("does not wait after a worker's loss, which says nothing of the task, but counts it", () => {
    const lost: Outcome = { kind: "lost", reason: "stale", failure: workerLost("w", "vanished") };
    const decision = decideOutcome(FACTS, lost, 0);
    assert.deepEqual(
      decision.kind === "requeue" && [decision.reason, decision.delayMs, decision.costsAttempt],
      ["stale", 0, true],
    );
    const last = decideOutcome({ ...FACTS, attemptCount: 4 }, lost, 0);
    assert.equal(last.kind === "finish" && last.detail, "RETRIES_EXHAUSTED");
    assert.equal(last.kind === "finish" && last.failure?.code, "WORKER_LOST");
  });

  it("keeps the last error of a task whose retries are used up, and of one cancelled in failing", () => {
    const last = decideOutcome({ ...FACTS, attemptCount: 4 }, failed("retryable"), 0);
    assert.equal(last.kind === "finish" && last.failure?.message, "it broke");
    const cancelled = decideOutcome({ ...FACTS, cancelReason: "stop" }, failed("retryable"), 0);
    assert.equal(cancelled.kind === "finish" && cancelled.state, "cancelled");
    assert.equal(cancelled.kind === "finish" && cancelled.failure?.code, "BROKE");
  });

  it("asks for further labels after a death by memory, and after no other end", () => {
    const retry: RetryPolicy = { ...DEFAULT_RETRY_POLICY, onOutOfMemory: { labels: { memory: "large" } } };
    const change = (failureClass: FailureClass) => {
      const decision = decideOutcome({ ...FACTS, retry }, failed(failureClass), 0);
      return decision.kind === "requeue" ? decision.change : "ended";
    };
    assert.deepEqual(change("out_of_memory"), { labels: { memory: "large" } });
    assert.equal(change("retryable"), undefined);
    assert.equal(change("worker_lost"), undefined);
  });

  it("does not end a task as poisoned while it ran out of memory and its policy changes what it needs", () => {
    const cost = [{ name: "memory_mb", factor: 2 }];
    const retry: RetryPolicy = { ...DEFAULT_RETRY_POLICY, maxOutOfMemory: 5, onOutOfMemory: { cost } };
    const failure = { failureClass: "out_of_memory", code: "OUT_OF_MEMORY", message: "" } as const;
    const third = (facts: Partial<AttemptFacts>, failureClass: FailureClass = "out_of_memory") => {
      const decision = decideOutcome(
        { ...FACTS, retry, counts: { deaths: 2 }, ...facts },
        { kind: "lost", reason: "oom_killed", failure: { ...failure, failureClass }, blame: "named" },
        0,
      );
      return decision.kind === "requeue" ? decision.change : decision.detail;
    };
    assert.deepEqual(third({ outOfMemoryCount: 4 }), { cost });
    assert.equal(third({ outOfMemoryCount: 5 }), "POISONED", "its policy allows no more");
    assert.equal(third({}, "worker_lost"), "POISONED", "it was something else");
    assert.equal(third({ retry: { ...DEFAULT_RETRY_POLICY, maxOutOfMemory: 5 } }), "POISONED");
  });

  it("ends a task whose iterations are used up when an attempt counts against it", () => {
    const detail = (used: number, outcome: Outcome, facts: Partial<AttemptFacts> = {}) => {
      const decision = decideOutcome({ ...FACTS, budget: { used, max: 5 }, ...facts }, outcome, 0);
      return decision.kind === "requeue" ? "requeue" : decision.detail;
    };
    assert.equal(detail(4, failed("retryable")), "requeue");
    assert.equal(detail(5, failed("retryable")), "BUDGET_EXHAUSTED");
    assert.equal(detail(6, failed("timed_out")), "BUDGET_EXHAUSTED");
    assert.equal(detail(5, failed("out_of_memory")), "BUDGET_EXHAUSTED");
    assert.equal(detail(5, failed("non_retryable")), "BROKE");
    const lost = { kind: "lost", reason: "stale", failure: workerLost("w", "vanished") } as const;
    assert.equal(detail(5, lost), "BUDGET_EXHAUSTED");
    assert.equal(detail(5, { ...lost, blame: "lone" }), "BUDGET_EXHAUSTED");
    assert.equal(detail(5, { ...lost, blame: "suspect" }), "requeue", "another task may be the cause");
    assert.equal(detail(5, { kind: "released", reason: "drain" }), "requeue");
    assert.equal(detail(5, failed("retryable"), { cancelReason: "stop" }), "cancelled");
  });

  it("has a budget of its own for deaths by memory, whatever the attempts", () => {
    const first = decideOutcome({ ...FACTS, attemptCount: 4 }, failed("out_of_memory"), 0);
    assert.equal(first.kind, "requeue");
    const second = decideOutcome({ ...FACTS, outOfMemoryCount: 1 }, failed("out_of_memory"), 0);
    assert.equal(second.kind === "finish" && second.detail, "RETRIES_EXHAUSTED");
  });
});

function checkFinish(
  decision: Extract<OutcomeDecision, { kind: "finish" }>,
  outcome: Outcome,
  cancelReason: string | undefined,
): void {
  if (outcome.kind === "succeeded") assert.equal(decision.state, "succeeded");
  else if (outcome.kind === "cancelled" || cancelReason !== undefined)
    assert.equal(decision.state, "cancelled");
  else {
    assert.notEqual(outcome.kind, "released", "a release alone never ends a task");
    assert.equal(decision.state, "failed");
    assert.ok(decision.failure, "a failed task has its error");
  }
}

describe("deaths of processes", () => {
  const failure = { failureClass: "worker_lost", code: "WORKER_LOST", message: "w died" } as const;

  it("T24: a death costs only the task that is known to have brought it, and the third one ends that", () => {
    const after = (deaths: number, blame: "named" | "lone" | "suspect" | "innocent") => {
      const outcome = { kind: "lost", reason: "stale", failure, blame } as const;
      const decision = decideOutcome({ ...FACTS, counts: { deaths } }, outcome, 0);
      if (decision.kind === "finish") return decision.detail;
      const { costsAttempt, delayMs, counts, alone = false } = decision;
      return [costsAttempt, delayMs, counts, alone];
    };
    assert.deepEqual(after(2, "innocent"), [false, 0, undefined, false]);
    assert.deepEqual(after(0, "suspect"), [false, 0, "deaths", false]);
    assert.deepEqual(after(1, "suspect"), [false, 10_000, "deaths", true]);
    assert.deepEqual(after(0, "lone"), [true, 0, "deaths", false]);
    assert.deepEqual(after(1, "lone"), [true, 10_000, "deaths", true]);
    assert.deepEqual(after(0, "named"), [true, 1_000, "deaths", true]);
    assert.equal(after(2, "lone"), "POISONED");
    assert.equal(after(2, "named"), "POISONED");
  });

  it("a lost attempt waits as its policy asks, or as every loss does, whichever is longer", () => {
    const retry: RetryPolicy = { ...DEFAULT_RETRY_POLICY, lostDelaysMs: [5_000, 300_000] };
    const delay = (counts: RequeueCounts, more: Partial<Extract<Outcome, { kind: "lost" }>>) => {
      const outcome = { kind: "lost", reason: "stale", failure, ...more } as const;
      const decision = decideOutcome({ ...FACTS, retry, counts }, outcome, 0);
      return decision.kind === "requeue" ? decision.delayMs : decision.detail;
    };
    assert.equal(delay({}, { blame: "lone" }), 5_000);
    assert.equal(delay({ deaths: 1 }, { blame: "suspect" }), 300_000);
    assert.equal(delay({ silences: 1 }, { blame: "lone", silent: true }), 300_000);
    assert.equal(delay({ silences: 7 }, { blame: "lone", silent: true }), 300_000, "the last one repeats");
    assert.equal(
      delay({}, { blame: "lone", workerLosses: 3 }),
      30_000,
      "the wait of its worker id is longer",
    );
    assert.equal(delay({ deaths: 1 }, { blame: "innocent" }), 0, "it cannot have been the cause");
    assert.equal(delay({}, {}), 5_000, "its living worker lost it");
    const memory = { ...failure, failureClass: "out_of_memory" } as const;
    assert.equal(delay({}, { blame: "lone", failure: memory }), 5_000);
    const other = decideOutcome({ ...FACTS, retry }, failed("retryable"), 0);
    assert.equal(other.kind === "requeue" && other.delayMs, 60_000, "a failure is not a loss");
  });

  it("a silence sets apart and costs like a death, and never ends a task as poisoned", () => {
    const after = (counts: RequeueCounts, blame: "lone" | "suspect", attemptCount = 1) => {
      const outcome = { kind: "lost", reason: "stale", failure, blame, silent: true } as const;
      const decision = decideOutcome({ ...FACTS, attemptCount, counts }, outcome, 0);
      if (decision.kind === "finish") return decision.detail;
      const { costsAttempt, delayMs, counts: counted, alone = false } = decision;
      return [costsAttempt, delayMs, counted, alone];
    };
    assert.deepEqual(after({}, "suspect"), [false, 0, "silences", false]);
    assert.deepEqual(after({ deaths: 1 }, "suspect"), [false, 10_000, "silences", true]);
    assert.deepEqual(after({ deaths: 2 }, "lone"), [true, 60_000, "silences", true]);
    assert.equal(after({ silences: 3 }, "lone", 4), "RETRIES_EXHAUSTED");
    const death = decideOutcome(
      { ...FACTS, counts: { silences: 5, deaths: 1 } },
      { kind: "lost", reason: "stale", failure, blame: "lone" },
      0,
    );
    assert.equal(death.kind, "requeue", "two deaths are not three");
  });
});

describe("mechanisms that do not act", () => {
  const failure = { failureClass: "worker_lost", code: "WORKER_LOST", message: "w died" } as const;
  const modes = (mode: "observe" | "off") => ({ attempt_limits: mode, poison: mode });
  const observedOf = (decision: OutcomeDecision) =>
    (decision.observed ?? []).map(({ mechanism, would }) => `${mechanism} ${would}`);

  it("try a task again beyond the limit of its attempts, and record it with the first one only", () => {
    const retry = { maxRetries: 2, backoff: { kind: "fixed", delaysMs: [] }, maxOutOfMemory: 1 } as const;
    const after = (attemptCount: number, mode: "observe" | "off") => {
      const facts = { ...FACTS, retry, attemptCount, modes: modes(mode) };
      const decision = decideOutcome(facts, failed("retryable"), 0);
      assert.equal(decision.kind, "requeue");
      return [decision.kind === "requeue" && decision.delayMs, ...observedOf(decision)];
    };
    assert.deepEqual(after(2, "observe"), [0]);
    assert.deepEqual(after(3, "observe"), [1_000, "attempt_limits end_task"]);
    assert.deepEqual(after(4, "observe"), [1_000]);
    assert.deepEqual(after(3, "off"), [1_000]);
    const outOfMemory = { ...FACTS, retry, outOfMemoryCount: 1, modes: modes("observe") };
    const died = decideOutcome(outOfMemory, failed("out_of_memory"), 0);
    assert.deepEqual([died.kind, ...observedOf(died)], ["requeue", "attempt_limits end_task"]);
  });

  it("end a task whose policy allows no retry", () => {
    const retry = { maxRetries: 0, backoff: { kind: "fixed", delaysMs: [] }, maxOutOfMemory: 0 } as const;
    for (const failureClass of ["retryable", "out_of_memory", "non_retryable"] as const) {
      const decision = decideOutcome({ ...FACTS, retry, modes: modes("observe") }, failed(failureClass), 0);
      assert.deepEqual([decision.kind, observedOf(decision)], ["finish", []], failureClass);
    }
  });

  it("let a task whose processes died run beside others, and record each step once", () => {
    const after = (deaths: number, blame: "named" | "lone" | "suspect", mode: "observe" | "off") => {
      const outcome = { kind: "lost", reason: "stale", failure, blame } as const;
      const decision = decideOutcome({ ...FACTS, counts: { deaths }, modes: modes(mode) }, outcome, 0);
      assert.ok(decision.kind === "requeue" && decision.alone === undefined && decision.counts === "deaths");
      return [decision.delayMs, ...observedOf(decision)];
    };
    assert.deepEqual(after(0, "lone", "observe"), [0]);
    assert.deepEqual(after(1, "lone", "observe"), [10_000, "poison run_alone"]);
    assert.deepEqual(after(1, "suspect", "observe"), [10_000, "poison run_alone"]);
    assert.deepEqual(after(2, "lone", "observe"), [60_000, "poison end_task"]);
    assert.deepEqual(after(3, "lone", "observe"), [60_000]);
    assert.deepEqual(after(0, "named", "observe"), [1_000, "poison run_alone"]);
    assert.deepEqual(after(1, "named", "observe"), [10_000]);
    assert.deepEqual(after(2, "lone", "off"), [60_000]);
  });

  it("end a task by the limit of its attempts that poison would have ended, with both on record", () => {
    const outcome = { kind: "lost", reason: "stale", failure, blame: "lone" } as const;
    const facts = { ...FACTS, attemptCount: 4, counts: { deaths: 2 } };
    const limits = decideOutcome(
      { ...facts, modes: { attempt_limits: "act", poison: "observe" } },
      outcome,
      0,
    );
    assert.equal(limits.kind === "finish" && limits.detail, "RETRIES_EXHAUSTED");
    assert.deepEqual(observedOf(limits), ["poison end_task"]);
    const both = decideOutcome({ ...facts, modes: modes("observe") }, outcome, 0);
    assert.deepEqual(observedOf(both), ["poison end_task", "attempt_limits end_task"]);
  });
});
