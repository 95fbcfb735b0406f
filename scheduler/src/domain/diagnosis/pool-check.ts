/** Checks the pools: those that launch nothing although workers are wanted, and those whose rollout is paused. */
import type { ReasonCode } from "../explain/codes.ts";
import { type Explanation, IS, plural, type Reason } from "../explain/reason.ts";
import { type Check, type CheckStatus, fact, found, ok } from "./check.ts";

/** Pools that are named. */
const MAX_NAMED = 5;

/** The reasons of a pool that an operator has to act upon. */
const TROUBLES: Readonly<Partial<Record<ReasonCode, Extract<CheckStatus, "note" | "warning" | "failed">>>> = {
  LAUNCHES_SUSPENDED: "failed",
  NO_LAUNCHER: "failed",
  ROLLOUT_PAUSED: "warning",
  POOL_PAUSED: "note",
};

const RANK = { failed: 0, warning: 1, note: 2 };

/** @param explanations Of all pools. Without pools there is no check. */
export function poolCheck(explanations: readonly Explanation[]): Check[] {
  const name = "work.pools";
  if (explanations.length === 0) return [];
  const troubles = explanations.flatMap(({ subject, reasons }) => {
    const [worst] = reasons
      .flatMap((reason) => withStatus(subject, reason))
      .sort((a, b) => RANK[a.status] - RANK[b.status]);
    return worst ? [worst] : [];
  });
  const [worst] = troubles.sort((a, b) => RANK[a.status] - RANK[b.status]);
  if (!worst) return [ok(name, `${plural(explanations.length, "pool")}, none suspended or paused`)];
  const { status, reason } = worst;
  const facts = troubles.slice(0, MAX_NAMED).map((each) => fact(each.subject, each.reason.summary));
  return [
    found(
      status,
      name,
      `${plural(troubles.length, "pool", IS)} suspended, paused or without a launcher: ${reason.summary}`,
      reason.remedy,
      facts,
    ),
  ];
}

function withStatus(subject: string, reason: Reason) {
  const status = TROUBLES[reason.code];
  return status ? [{ subject, reason, status }] : [];
}
