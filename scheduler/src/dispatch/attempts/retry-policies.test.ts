import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Failure } from "../../domain/tasks/outcome/failure.ts";
import { DEFAULT_RETRY_POLICY } from "../../domain/tasks/outcome/retry.ts";
import type { QueueSettings } from "../../store/store.ts";
import { QueueSettingsCache } from "../queue-settings.ts";
import { RetryPolicies } from "./retry-policies.ts";

const BROKE: Failure = { failureClass: "retryable", code: "BROKE", message: "it broke" };

const ATTEMPT = {
  ...{ attemptCount: 2, outOfMemoryCount: 0, requeueCounts: undefined, cancelReason: undefined },
  queue: "nightly",
};

describe("retry policies", () => {
  it("are those of the queue at the end of an attempt, as of the last read", async () => {
    let settings = new Map<string, QueueSettings>();
    const cache = new QueueSettingsCache({ queueSettings: async () => settings });
    const policies = new RetryPolicies(cache, {});
    const decide = (options?: { retry: typeof DEFAULT_RETRY_POLICY }) => {
      const decision = policies.decide({ ...ATTEMPT, options }, { kind: "failed", failure: BROKE });
      return decision.kind === "requeue" ? decision.delayMs : decision.detail;
    };
    assert.equal(decide(), 300_000, "the second wait of the built-in ones");
    settings = new Map([["nightly", { backoff: { kind: "fixed", delaysMs: [1_000] } }]]);
    await cache.refresh();
    assert.equal(decide(), 1_000);
    assert.equal(decide({ retry: DEFAULT_RETRY_POLICY }), 300_000, "a task that names its policy keeps it");
    settings = new Map([["nightly", { maxRetries: 1 }]]);
    await cache.refresh();
    assert.equal(decide(), "RETRIES_EXHAUSTED");
    assert.equal(
      decide({ retry: { ...DEFAULT_RETRY_POLICY, defaulted: ["maxRetries"] } }),
      "RETRIES_EXHAUSTED",
    );
    assert.equal(
      policies.decide(
        { ...ATTEMPT, options: undefined, queue: "other" },
        {
          ...{ kind: "failed", failure: BROKE },
        },
      ).kind,
      "requeue",
    );
  });

  it("are made once for the tasks of a queue that name none", async () => {
    const settings = new Map([["nightly", { maxRetries: 9 }]]);
    const cache = new QueueSettingsCache({ queueSettings: async () => settings });
    const policies = new RetryPolicies(cache, { maxRetries: 4 });
    assert.equal(
      policies.of(undefined, "nightly"),
      policies.of(undefined, "other"),
      "nothing is read so far",
    );
    await cache.refresh();
    assert.equal(policies.of(undefined, "nightly").maxRetries, 9);
    assert.equal(policies.of(undefined, "nightly"), policies.of({}, "nightly"));
    assert.equal(policies.of(undefined, undefined).maxRetries, 4, "a queue that is not known");
  });
});
