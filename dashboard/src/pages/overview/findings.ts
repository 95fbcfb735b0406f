/** Sorts the checks of a diagnosis. */
import { type Check, CheckStatus } from "@muster/protocol";

const RANK: Readonly<Partial<Record<CheckStatus, number>>> = {
  [CheckStatus.FAILED]: 0,
  [CheckStatus.WARNING]: 1,
};

/** What is wrong, what stops work first; otherwise in the order of the diagnosis. */
export function problems(checks: readonly Check[]): Check[] {
  return checks
    .filter(({ status }) => RANK[status] !== undefined)
    .sort((a, b) => (RANK[a.status] ?? 0) - (RANK[b.status] ?? 0));
}

/** What is worth knowing, and what could not be looked at. */
export function notes(checks: readonly Check[]): Check[] {
  return checks.filter(({ status }) => status === CheckStatus.NOTE || status === CheckStatus.SKIPPED);
}
