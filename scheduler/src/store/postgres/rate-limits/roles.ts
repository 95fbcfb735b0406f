/** The role of the store that this folder implements: rate limits. */
import type { RateLimitStore } from "../../rate-limits.ts";
import type { Database } from "../connection/database.ts";
import { queueRates, rateOverrides, setQueueRate, setRateLimit } from "./keys.ts";
import { listRateLimits } from "./list.ts";
import { keyPauses, pausedKeys, pauseKey, resumeKey } from "./pauses.ts";

export function rateLimitStore(db: Database): RateLimitStore {
  return {
    rateOverrides: () => rateOverrides(db),
    pausedKeys: () => pausedKeys(db),
    keyPauses: (limit) => keyPauses(db, limit),
    pauseKey: (pause) => pauseKey(db, pause),
    resumeKey: (key, reason) => resumeKey(db, key, reason),
    queueRates: () => queueRates(db),
    setQueueRate: (queue, rate) => setQueueRate(db, queue, rate),
    listRateLimits: (filter) => listRateLimits(db, filter),
    setRateLimit: (key, rate) => setRateLimit(db, key, rate),
  };
}
