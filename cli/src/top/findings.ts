/** The first sentence of `muster top`: what is wrong, and what to do. */
import type { Check } from "@muster/protocol";
import { CheckStatus } from "@muster/protocol";
import { isWrong } from "../doctor/checks.ts";
import type { Colors } from "../io/io.ts";
import { cut, oneLine } from "../output/text.ts";

/** The last diagnosis, or why there is none. */
export type Findings = { readonly checks: readonly Check[] } | { readonly failure: string };

/** One line, or two with what to do. */
export function findingLines(findings: Findings, columns: number, colors: Colors): string[] {
  if ("failure" in findings)
    return [colors.yellow(cut(`what is wrong is not known: ${oneLine(findings.failure)}`, columns))];
  // What stops work comes first; otherwise the order of the diagnosis.
  const wrong = findings.checks
    .filter(isWrong)
    .sort((a, b) => Number(b.status === CheckStatus.FAILED) - Number(a.status === CheckStatus.FAILED));
  const [worst] = wrong;
  if (worst === undefined)
    return [colors.green(cut(`nothing is wrong: ${findings.checks.length} checks`, columns))];
  const paint = worst.status === CheckStatus.FAILED ? colors.red : colors.yellow;
  const more = wrong.length === 1 ? "" : `  +${wrong.length - 1} more: muster doctor`;
  const head = cut(oneLine(worst.summary), Math.max(0, columns - more.length));
  return [
    `${paint(head)}${colors.dim(more)}`,
    ...(worst.remedy === "" ? [] : [colors.green(cut(`  -> ${oneLine(worst.remedy)}`, columns))]),
  ];
}
