import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { KeyPauseRequestSchema, RateLimitSchema } from "@muster/protocol";
import { toAskedPause } from "../attempts/key-pause.ts";
import { fromBucket, toRateLimits } from "./rate-limits.ts";

const DAY_S = 86_400;

function limits(...given: { key?: string; limit?: number; periodS?: number | undefined; burst?: number }[]) {
  const faults: string[] = [];
  const messages = given.map((each) => {
    const { key, limit, periodS, burst } = { key: "k", limit: 10, periodS: 60, burst: 0, ...each };
    return create(RateLimitSchema, {
      ...{ key, limit, burst },
      ...(periodS === undefined ? {} : { period: durationFromMs(periodS * 1_000) }),
    });
  });
  const checked = toRateLimits(messages, (field, description) => faults.push(`${field} ${description}`));
  return { checked, faults: faults.join("; ") };
}

describe("rate limits of a task", () => {
  it("are in the order of their keys, with the limit as the burst where none is given", () => {
    assert.equal(limits().checked, undefined);
    const { checked, faults } = limits({ key: "b" }, { key: "a", limit: 5, periodS: 1, burst: 2 });
    assert.equal(faults, "");
    assert.deepEqual(checked, [
      { key: "a", limit: 5, periodMs: 1_000, burst: 2 },
      { key: "b", limit: 10, periodMs: 60_000, burst: 10 },
    ]);
  });

  it("are refused with the field, the value and what is allowed", () => {
    for (const [given, fault] of [
      [{ key: "" }, /rate_limits\[0\]\.key is empty/],
      [{ key: "queue\nnightly" }, /rate_limits\[0\]\.key "queue\\nnightly" holds a control character/],
      [{ limit: 0 }, /rate_limits\[0\]\.limit 0 is not between 1 and 1000000/],
      [{ limit: 1_000_001 }, /rate_limits\[0\]\.limit 1000001 is not between/],
      [{ burst: -1 }, /rate_limits\[0\]\.burst -1 is not between/],
      [{ burst: 1_000_001 }, /rate_limits\[0\]\.burst 1000001 is not between/],
      [{ periodS: undefined }, /rate_limits\[0\]\.period is not set/],
      [{ periodS: 0.5 }, /rate_limits\[0\]\.period 0.5 s is less than 1 s/],
      [{ periodS: 367 * DAY_S }, /rate_limits\[0\]\.period 31708800 s is not between/],
      [{ limit: 1, periodS: DAY_S, burst: 367 }, /rate_limits\[0\]\.burst 367 tokens come in 367 days/],
    ] as const)
      assert.match(limits(given).faults, fault);
    assert.equal(limits({ limit: 1, periodS: DAY_S, burst: 366 }).faults, "");
    assert.match(limits({}, { limit: 2 }).faults, /rate_limits\[1\]\.key "k" stands twice/);
    const many = Array.from({ length: 9 }, (_, n) => ({ key: `k${n}` }));
    assert.match(limits(...many).faults, /rate_limits has 9 keys; at most 8/);
  });

  it("have a time to the next token only while there is none", () => {
    const bucket = { limit: 10, periodMs: 1_000, burst: 2, overrides: false, pausedMs: 0 };
    assert.deepEqual(fromBucket({ ...bucket, debtMs: 100 }).tokenCount, 1);
    assert.equal("nextTokenDelay" in fromBucket({ ...bucket, debtMs: 100 }), false);
    const empty = fromBucket({ ...bucket, debtMs: 150 });
    assert.deepEqual([empty.tokenCount, empty.nextTokenDelay?.nanos], [0, 50_000_000]);
  });
});

describe("a handler's request for a pause", () => {
  const asked = (fields: { key?: string; ms?: number | undefined; reason?: string }) => {
    const { key, ms, reason } = { key: "api", ms: 1_000, reason: "HTTP 429", ...fields };
    return toAskedPause(
      create(KeyPauseRequestSchema, {
        ...{ attemptId: "t-7.1", key, reason },
        ...(ms === undefined ? {} : { duration: durationFromMs(ms) }),
      }),
    );
  };

  it("has attempt, key, time and reason", () => {
    const attempt = { taskId: 7, epoch: 1 };
    assert.deepEqual(asked({}), { attempt, key: "api", ms: 1_000, reason: "HTTP 429" });
    assert.deepEqual(asked({ reason: "" }), { attempt, key: "api", ms: 1_000, reason: "asked by a handler" });
  });

  it("is answered with what is wrong", () => {
    for (const [fields, fault] of [
      [{ key: "" }, /^key is empty/],
      [{ ms: undefined }, /^duration is not set/],
      [{ ms: 0 }, /^duration is 0 s/],
      [{ ms: 8 * DAY_S * 1_000 }, /^duration 691200 s is not between 0 and 604800 s/],
    ] as const) {
      const answer = asked(fields);
      assert.match("error" in answer ? answer.error : "", fault);
    }
  });
});
