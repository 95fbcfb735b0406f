/** `KEY_PAUSED`: a handler or an operator paused a rate limit key of the task. */

import { type Reason, span } from "../reason.ts";
import { shellWord } from "../shell-word.ts";
import type { AskedRate } from "./rate-limited.ts";

/** A reason for each of the task's keys that is paused. */
export function keysPaused(rates: readonly AskedRate[], now: Date): Reason[] {
  return rates.flatMap(({ key, state }) => {
    if (!state?.pause) return [];
    const { until, leftMs, reason, by, time } = state.pause;
    const age = span(now.getTime() - time.getTime());
    const paused = by
      ? `is paused for another ${span(leftMs)}, as ${by} asked ${age} ago`
      : `has been paused for ${age}, and is for another ${span(leftMs)}`;
    return {
      code: "KEY_PAUSED" as const,
      since: time,
      summary: `the rate limit key ${JSON.stringify(key)} ${paused}: ${reason}`,
      evidence: [
        { key: "rate_limit", value: key, source: "database" },
        { key: "paused_until", value: until.toISOString(), source: "database" },
        { key: "pause_reason", value: reason, source: "database" },
        ...(by ? [{ key: "requester", value: by, source: "database" }] : []),
      ],
      remedy: `it starts by itself when the pause has ended; run \`muster key resume ${shellWord(key)}\` to end it now`,
    };
  });
}
