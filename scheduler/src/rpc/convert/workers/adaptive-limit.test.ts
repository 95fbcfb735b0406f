import assert from "node:assert/strict";
import { it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AdaptiveLimitSchema } from "@muster/protocol";
import fc from "fast-check";
import { fromAdaptiveLimit, toAdaptiveLimits } from "./adaptive-limit.ts";

const made = (init: MessageInitShape<typeof AdaptiveLimitSchema>) => create(AdaptiveLimitSchema, init);
const one = (init: MessageInitShape<typeof AdaptiveLimitSchema>) => toAdaptiveLimits([["t", made(init)]])?.t;

it("a limit comes back as it was sent", () => {
  const sent = {
    ...{ limit: 3, minLimit: 1, maxLimit: 8, previousLimit: 4, reason: "2 of 10 attempts failed" },
    changeAge: { seconds: 12n, nanos: 500_000_000 },
  };
  const record = one(sent);
  assert.deepEqual(record, {
    ...{ limit: 3, min: 1, max: 8, previous: 4, reason: "2 of 10 attempts failed", changeAgeMs: 12_500 },
  });
  assert.deepEqual(create(AdaptiveLimitSchema, fromAdaptiveLimit(record)), made(sent));
});

it("whatever is sent, a limit allows something, within bounds", () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(
      int32,
      int32,
      int32,
      int32,
      fc.string(),
      (limit, minLimit, maxLimit, previousLimit, reason) => {
        const record = one({ limit, minLimit, maxLimit, previousLimit, reason });
        if (limit < 1) return assert.equal(record, undefined);
        assert.ok(record && record.min >= 1 && record.min <= record.limit);
        assert.ok(record.limit <= record.max && record.max <= 10_000 && record.previous >= 0);
        assert.ok(!record.reason.includes("\0"));
      },
    ),
  );
  assert.equal(one({ limit: 1, changeAge: { seconds: -9n, nanos: 0 } })?.changeAgeMs, 0);
});

it("of more than 100 types the first are kept; none is the same as no limits", () => {
  const many = Array.from({ length: 150 }, (_, n) => [`t${n}`, made({ limit: 1, maxLimit: 1 })] as const);
  assert.equal(Object.keys(toAdaptiveLimits(many) ?? {}).length, 100);
  assert.equal(toAdaptiveLimits([]), undefined);
  assert.equal(toAdaptiveLimits([["__proto__", made({ limit: 1 })]])?.t, undefined);
});
