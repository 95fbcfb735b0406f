/** `RATE_LIMITED`: the token bucket of a rate limit of the task, or of its queue, is empty. */
import {
  queueOfRateKey,
  type Rate,
  type RateKeyState,
  rateId,
  rateText,
  tokenCount,
  untilTokenMs,
} from "../../tasks/limits/rate-limit.ts";
import { type Evidence, type Reason, span } from "../reason.ts";
import { shellWord } from "../shell-word.ts";

/** A rate limit of a waiting task, or of its queue, with what the store has of it. */
export interface AskedRate {
  readonly key: string;
  /** The task's own rate; undefined for that of its queue. */
  readonly own: Rate | undefined;
  readonly state: RateKeyState | undefined;
  /** Ready tasks with the key, this one among them; 0 when they were not counted. */
  readonly waiting: number;
}

/** A reason for each of the task's rate limits that has no token for it; none when all of them have. */
export function ratesExhausted(rates: readonly AskedRate[], since: Date | undefined, now: Date): Reason[] {
  return rates.flatMap((rate) => exhausted(rate, since, now) ?? []);
}

function exhausted(
  { key, own, state, waiting }: AskedRate,
  since: Date | undefined,
  now: Date,
): Reason | undefined {
  if (!state) return undefined;
  const { override, buckets } = state;
  const bucket =
    buckets.find(({ overrides }) => overrides) ??
    (own && buckets.find((each) => rateId(each) === rateId(own)));
  if (!bucket || tokenCount(bucket, bucket.debtMs) > 0) return undefined;
  const queue = queueOfRateKey(key);
  const nextMs = untilTokenMs(bucket, bucket.debtMs);
  const next = new Date(now.getTime() + nextMs);
  const setBy =
    bucket.overrides && override
      ? `, set ${span(now.getTime() - override.time.getTime())} ago: ${override.reason},`
      : "";
  const evidence: Evidence[] = [
    queue === undefined
      ? { key: "rate_limit", value: key, source: "database" }
      : { key: "queue", value: queue, source: "database" },
    { key: "rate", value: rateText(bucket), source: "database" },
    { key: "burst", value: String(bucket.burst), source: "database" },
    ...(setBy && override ? [{ key: "limit_reason", value: override.reason, source: "database" }] : []),
    { key: "tokens", value: "0", source: "database" },
    { key: "next_token", value: next.toISOString(), source: "database" },
    ...(waiting > 0 ? [{ key: "waiting", value: String(waiting), source: "database" }] : []),
  ];
  const beside = waiting > 1 ? `; ${waiting} tasks with the key are ready to start, this one among them` : "";
  const name = queue === undefined ? JSON.stringify(key) : `of queue ${queue}`;
  const command = queue === undefined ? `rate-limit set ${shellWord(key)}` : `queue rate-limit ${queue}`;
  const raised = rateText({ ...bucket, limit: Math.min(1_000_000, bucket.limit * 2) });
  return {
    code: "RATE_LIMITED",
    since,
    summary: `the rate limit ${name} of ${rateText(bucket)} with a burst of ${bucket.burst}${setBy} has no token left; the next one comes in ${span(nextMs)}${beside}`,
    evidence,
    remedy: `it starts by itself when there is a token for it; run \`muster ${command} ${raised}\` to double the rate`,
  };
}
