/** The form of a check of the diagnosis. */
import type { Evidence } from "../explain/reason.ts";

/** How a check ended: `note` is worth knowing, `warning` is wrong and survived, `failed` stops work. */
export type CheckStatus = "ok" | "note" | "warning" | "failed" | "skipped";

/** One thing that was looked at. */
export interface Check {
  /** Stable, `area.subject`. */
  readonly name: string;
  readonly status: CheckStatus;
  /** One sentence with the facts in it. */
  readonly summary: string;
  readonly evidence: readonly Evidence[];
  /** Empty when there is nothing to do. */
  readonly remedy: string;
}

/** A check that found everything as it should be. */
export function ok(name: string, summary: string, evidence: readonly Evidence[] = []): Check {
  return { name, status: "ok", summary, evidence, remedy: "" };
}

/** A check that found something. */
export function found(
  status: "note" | "warning" | "failed",
  name: string,
  summary: string,
  remedy: string,
  evidence: readonly Evidence[] = [],
): Check {
  return { name, status, summary, evidence, remedy };
}

/** A check that could not be made. */
export function skipped(name: string, why: string): Check {
  return { name, status: "skipped", summary: why, evidence: [], remedy: "" };
}

/** A fact from the database. */
export function fact(key: string, value: string | number, ageMs?: number): Evidence {
  return { key, value: String(value), source: "database", ...(ageMs === undefined ? {} : { ageMs }) };
}
