// Rate limits of a task in protobuf, checked, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import type {
  RateLimitKeySchema,
  RateLimit as RateLimitMessage,
  RateLimitSchema,
  Rate as RateMessage,
} from "@muster/protocol";
import {
  fillMs,
  inRateOrder,
  MAX_FILL_MS,
  type Rate,
  type RateLimit,
  type TokenBucket,
  tokenCount,
  untilTokenMs,
} from "../../../../domain/tasks/limits/rate-limit.ts";
import type { RateKeyRow } from "../../../../store/store.ts";
import { optionalTime } from "../../values/optional.ts";
import { durationFault, durationFromMs, timestampFromDate, toMs } from "../../values/time.ts";
import type { Report } from "../options.ts";
import { keyFault } from "./concurrency.ts";

const MAX_KEYS = 8;

/** Largest number of starts in a period, and largest burst. */
const MAX_COUNT = 1_000_000;

const MIN_PERIOD_MS = 1_000;

/** A rate limit with its burst filled in; its faults are reported. */
export function toRateLimit(limit: RateLimitMessage, report: Report): RateLimit {
  const fault = keyFault(limit.key);
  if (fault !== undefined) report("key", fault);
  return { key: limit.key, ...toRate(limit, report) };
}

/** A rate with its burst filled in; its faults are reported. */
export function toRate(message: Omit<RateMessage, "$typeName">, report: Report): Rate {
  const { limit, period, burst } = message;
  const rate = { limit, periodMs: toMs(period) ?? 0, burst: burst === 0 ? limit : burst };
  let sound = true;
  const wrong: Report = (field, description) => {
    sound = false;
    report(field, description);
  };
  if (limit < 1 || limit > MAX_COUNT) wrong("limit", `${limit} is not between 1 and ${MAX_COUNT}`);
  if (burst < 0 || burst > MAX_COUNT)
    wrong("burst", `${burst} is not between 1 and ${MAX_COUNT}; leave it out for as many as limit`);
  if (!period) wrong("period", "is not set; give the time in which so many tasks may start");
  else {
    const faulty = durationFault(period, MAX_FILL_MS);
    if (faulty !== undefined) wrong("period", faulty);
    else if (rate.periodMs < MIN_PERIOD_MS)
      wrong(
        "period",
        `${rate.periodMs / 1_000} s is less than 1 s; give a longer period with a larger limit`,
      );
  }
  if (sound && fillMs(rate) > MAX_FILL_MS)
    report(
      "burst",
      `${rate.burst} tokens come in ${Math.round(fillMs(rate) / 86_400_000)} days; at most 366 days are allowed: give a smaller burst`,
    );
  return rate;
}

/** The rate limits of a task in their order; undefined for none. */
export function toRateLimits(
  limits: readonly RateLimitMessage[],
  report: Report,
): readonly RateLimit[] | undefined {
  if (limits.length === 0) return undefined;
  if (limits.length > MAX_KEYS) {
    report("rate_limits", `has ${limits.length} keys; at most ${MAX_KEYS} are allowed`);
    return undefined;
  }
  const seen = new Set<string>();
  const checked = limits.map((limit, index) => {
    const { key } = limit;
    if (seen.has(key))
      report(`rate_limits[${index}].key`, `${quoted(key)} stands twice; give each key once, with one rate`);
    seen.add(key);
    return toRateLimit(limit, (field, description) => report(`rate_limits[${index}].${field}`, description));
  });
  return inRateOrder(checked);
}

/** A rate limit of a task in protobuf. */
export function fromRateLimit({ key, ...rate }: RateLimit): MessageInitShape<typeof RateLimitSchema> {
  return { key, ...fromRate(rate) };
}

function fromRate({ limit, periodMs, burst }: Rate) {
  return { limit, period: durationFromMs(periodMs), burst };
}

/** A key with its buckets in protobuf. */
export function fromRateKey(row: RateKeyRow): MessageInitShape<typeof RateLimitKeySchema> {
  const { key, buckets, override, pause, waiting, waitingSince } = row;
  return {
    key,
    buckets: buckets.map(fromBucket),
    limitReason: override?.reason ?? "",
    ...(override ? { limitTime: timestampFromDate(override.time) } : {}),
    waitingCount: BigInt(waiting),
    ...optionalTime("waitingTime", waitingSince),
    ...(pause
      ? {
          pause: {
            endTime: timestampFromDate(pause.until),
            remaining: durationFromMs(pause.leftMs),
            reason: pause.reason,
            requester: pause.by ?? "",
            pauseTime: timestampFromDate(pause.time),
          },
        }
      : {}),
  };
}

/** A token bucket in protobuf. */
export function fromBucket(bucket: TokenBucket) {
  const { overrides, debtMs } = bucket;
  const nextMs = untilTokenMs(bucket, debtMs);
  return {
    ...fromRate(bucket),
    overrides,
    tokenCount: tokenCount(bucket, debtMs),
    ...(nextMs > 0 ? { nextTokenDelay: durationFromMs(Math.max(1, nextMs)) } : {}),
  };
}
