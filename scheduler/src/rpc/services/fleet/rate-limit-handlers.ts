/** The handlers of FleetService for rate limits. */
import { quoted } from "@muster/common/text/text";
import type { FleetService } from "@muster/protocol";
import type { Dispatch } from "../../../dispatch/dispatch.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { Rate } from "../../../domain/tasks/limits/rate-limit.ts";
import type { RateKeyRow, RateLimitStore } from "../../../store/store.ts";
import { pauseFault } from "../../convert/tasks/attempts/key-pause.ts";
import { keyFault } from "../../convert/tasks/limits/concurrency.ts";
import { fromRateKey, toRateLimit } from "../../convert/tasks/limits/rate-limits.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import { toMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keyToken, pageSize, parseKeyToken } from "../pages.ts";

/** Parts that they use. */
export interface RateLimitHandlerParts {
  readonly store: RateLimitStore;
  readonly rateLimits: Pick<Dispatch["rateLimits"], "refresh">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "pump">;
  readonly pageBytes: number;
}

type RateLimitHandlers = Pick<
  Handlers<typeof FleetService>,
  "listRateLimits" | "setRateLimit" | "unsetRateLimit" | "pauseKey" | "resumeKey"
>;

export function rateLimitHandlers({
  store,
  rateLimits,
  dispatcher,
  pageBytes,
}: RateLimitHandlerParts): RateLimitHandlers {
  const changed = async (key: string) => {
    await rateLimits.refresh(store);
    dispatcher.pump();
    const [row] = await store.listRateLimits({ key, limit: 1 });
    return { key: fromRateKey(row ?? unused(key)) };
  };
  const set = async (key: string, rate: { rate: Rate; reason: string } | undefined) => {
    await store.setRateLimit(key, rate);
    return changed(key);
  };
  return {
    async listRateLimits({ key, pageToken, ...request }) {
      if (key !== "") requireKey(key);
      const limit = pageSize(request.pageSize, 50);
      const found = await store.listRateLimits({
        key: key || undefined,
        afterKey: parseKeyToken(pageToken),
        limit: limit + 1,
      });
      const page = fitPage(found, limit, fromRateKey, pageBytes);
      return { keys: page.items, nextPageToken: page.last && page.more ? keyToken(page.last.key) : "" };
    },

    async setRateLimit({ rateLimit, reason }) {
      if (!rateLimit)
        throw invalidRequest({ field: "rate_limit", description: "is not set; give a key and a rate" });
      const violations: Violation[] = [];
      const { key, ...rate } = toRateLimit(rateLimit, (field, description) => {
        violations.push({ field: `rate_limit.${field}`, description });
      });
      const [first, ...others] = violations;
      if (first) throw invalidRequest(first, ...others);
      return set(key, { rate, reason: storable(reason, 1_024) || "set by an operator" });
    },

    async unsetRateLimit({ key }) {
      requireKey(key);
      return set(key, undefined);
    },

    async pauseKey({ key, duration, reason }) {
      requireKey(key);
      const fault = pauseFault(duration);
      if (fault !== undefined) throw invalidRequest({ field: "duration", description: fault });
      const said = storable(reason, 1_024) || "paused by an operator";
      const result = await store.pauseKey({ key, ms: toMs(duration) ?? 0, reason: said });
      if (result === "unknown_key") throw keyNotFound(key);
      return changed(key);
    },

    async resumeKey({ key }) {
      requireKey(key);
      if (!(await store.resumeKey(key, "resumed by an operator"))) throw keyNotFound(key);
      return changed(key);
    },
  };
}

function keyNotFound(key: string): Refusal {
  return new Refusal(
    "not_found",
    "KEY_NOT_FOUND",
    `no task ever had the rate limit key ${quoted(key)}; list those in use with ListRateLimits`,
  );
}

function requireKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw invalidRequest({ field: "key", description: fault });
}

/** A key that no task ever had. */
function unused(key: string): RateKeyRow {
  return { key, buckets: [], override: undefined, pause: undefined, waiting: 0, waitingSince: undefined };
}
