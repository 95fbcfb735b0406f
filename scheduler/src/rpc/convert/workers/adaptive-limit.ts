// The limits that a worker adapts, in protobuf and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AdaptiveLimit as AdaptiveLimitMessage, AdaptiveLimitSchema } from "@muster/protocol";
import type { AdaptiveLimit } from "../../../domain/workers/adaptive-limit.ts";
import { optional } from "../values/optional.ts";
import { storable } from "../values/text.ts";
import { durationFromMs, toMs } from "../values/time.ts";
import { MAX_SLOTS } from "./limits.ts";

/** Types of a worker that may adapt. */
const MAX_TYPES = 100;

/** Characters kept of a reason. */
const MAX_REASON = 256;

const MAX_TYPE = 128;

/** A limit in protobuf. */
export function fromAdaptiveLimit(record: AdaptiveLimit): MessageInitShape<typeof AdaptiveLimitSchema> {
  const { limit, min, max, previous, reason, changeAgeMs } = record;
  return {
    ...{ limit, minLimit: min, maxLimit: max, previousLimit: previous, reason },
    ...optional("changeAge", changeAgeMs === undefined ? undefined : durationFromMs(Math.round(changeAgeMs))),
  };
}

/** Limits by type, within their bounds; undefined when none is valid. Of more than 100 the first are kept. */
export function toAdaptiveLimits(
  given: Iterable<readonly [type: string, limit: AdaptiveLimitMessage]>,
): Readonly<Record<string, AdaptiveLimit>> | undefined {
  const limits = new Map<string, AdaptiveLimit>();
  for (const [type, message] of given) {
    if (limits.size >= MAX_TYPES) break;
    const limit = toAdaptiveLimit(message);
    if (limit) limits.set(storable(type, MAX_TYPE), limit);
  }
  return limits.size === 0 ? undefined : Object.fromEntries(limits);
}

/** Undefined for one that allows nothing: its type would never run. */
function toAdaptiveLimit(message: AdaptiveLimitMessage): AdaptiveLimit | undefined {
  const { limit, minLimit, maxLimit, previousLimit, reason, changeAge } = message;
  if (limit < 1) return undefined;
  const max = within(maxLimit, 1, MAX_SLOTS);
  const min = within(minLimit, 1, max);
  const ageMs = toMs(changeAge);
  return {
    ...{ limit: within(limit, min, max), min, max, previous: within(previousLimit, 0, MAX_SLOTS) },
    reason: storable(reason, MAX_REASON),
    changeAgeMs: ageMs === undefined ? undefined : Math.max(0, ageMs),
  };
}

function within(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
