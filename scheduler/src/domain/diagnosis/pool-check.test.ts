import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReasonCode } from "../explain/codes.ts";
import type { Explanation } from "../explain/reason.ts";
import { poolCheck } from "./pool-check.ts";

describe("the check of pools", () => {
  const explanation = (pool: string, ...codes: ReasonCode[]): Explanation => ({
    ...{ subject: `pool:${pool}`, state: "active" },
    reasons: codes.map((code) => ({
      code,
      summary: `${pool}: ${code}`,
      evidence: [],
      remedy: `correct ${code}`,
    })),
  });

  it("is not there without pools, and finds nothing in pools that work", () => {
    assert.deepEqual(poolCheck([]), []);
    assert.deepEqual(
      poolCheck([
        explanation("a", "POOL_SATISFIED"),
        explanation("b", "WORKERS_STARTING", "POOL_AT_MAX"),
      ]).map(({ name, status }) => [name, status]),
      [["work.pools", "ok"]],
    );
  });

  it("names the worst reason of the worst pool first", () => {
    const [check] = poolCheck([
      explanation("quiet", "POOL_PAUSED"),
      explanation("new", "ROLLOUT_PAUSED", "POOL_AT_MAX"),
      explanation("gpu", "POOL_PAUSED", "LAUNCHES_SUSPENDED"),
    ]);
    assert.equal(check?.status, "failed");
    assert.match(check.summary, /^3 pools are .*: gpu: LAUNCHES_SUSPENDED$/);
    assert.equal(check.remedy, "correct LAUNCHES_SUSPENDED");
    assert.deepEqual(
      check.evidence.map(({ key, value }) => [key, value]),
      [
        ["pool:gpu", "gpu: LAUNCHES_SUSPENDED"],
        ["pool:new", "new: ROLLOUT_PAUSED"],
        ["pool:quiet", "quiet: POOL_PAUSED"],
      ],
    );
  });
});
