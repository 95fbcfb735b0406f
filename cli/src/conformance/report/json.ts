/** The report as JSON. */
import type { CaseResult } from "../run-cases.ts";
import { summaryOf } from "./summary.ts";

/** One object with the counts and every case. Milliseconds are whole. */
export function jsonReport(results: readonly CaseResult[], tookMs: number): string {
  const cases = results.map((result) => ({
    id: result.case.id,
    level: result.case.level,
    title: result.case.title,
    outcome: result.outcome,
    tookMs: Math.round(result.tookMs),
    ...(result.outcome === "skipped" ? { reason: result.came } : {}),
    ...(result.outcome === "failed"
      ? {
          ...{ rule: result.case.rule, expected: result.expected, came: result.came },
          ...{ messages: result.transcript, output: result.output },
        }
      : {}),
  }));
  return `${JSON.stringify({ ...summaryOf(results), tookMs: Math.round(tookMs), cases }, undefined, 2)}\n`;
}
