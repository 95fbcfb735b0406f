/** The report as text: a line a case, and what went wrong. */
import type { createColors } from "picocolors";
import type { CaseResult } from "../run-cases.ts";
import { summaryOf } from "./summary.ts";

type Colors = ReturnType<typeof createColors>;

const MARKS = { passed: "ok", failed: "FAILED", skipped: "skipped" } as const;

/** The lines of a case as it ends. */
export function caseLines(result: CaseResult, colors: Colors): string {
  const { outcome, tookMs, came } = result;
  const color = { passed: colors.green, failed: colors.red, skipped: colors.yellow }[outcome];
  const mark = color(MARKS[outcome].padEnd(7));
  const head = `${mark} ${result.case.id.padEnd(4)} ${result.case.title}  ${colors.dim(`${(tookMs / 1000).toFixed(1)} s`)}\n`;
  if (outcome === "skipped") return `${head}        ${came}\n`;
  return outcome === "failed" ? head + failureLines(result, colors) : head;
}

/** The last lines. */
export function summaryLines(results: readonly CaseResult[], tookMs: number, colors: Colors): string {
  const { passed, failed, skipped } = summaryOf(results);
  const parts = [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])];
  const text = `${parts.join(", ")} in ${(tookMs / 1000).toFixed(1)} s\n`;
  return failed > 0 ? colors.red(text) : colors.green(text);
}

function failureLines(result: CaseResult, colors: Colors): string {
  const { rule, scheduler, expected } = result.case;
  const facts = [
    ["the document", `${rule.page}: "${rule.says}"`],
    ["the scheduler", scheduler],
    ["the worker must", expected],
    ["expected", result.expected],
    ["came", result.came],
  ];
  const indented = (text: string): string => text.split("\n").join("\n            ");
  return [
    ...facts.map(([name = "", text = ""]) => `        ${colors.bold(`${name}:`)} ${indented(text)}`),
    `        ${colors.bold("the messages in order")} (-> from the worker, <- to it):`,
    ...result.transcript.map((line) => `          ${line}`),
    ...(result.output === ""
      ? ["        the worker printed nothing"]
      : [
          `        ${colors.bold("the end of the worker's output:")}`,
          `            ${indented(result.output)}`,
        ]),
    "",
  ]
    .map((line) => `${line}\n`)
    .join("");
}
