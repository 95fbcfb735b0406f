/** The report as JUnit XML, which CI systems read. */
import { LEVELS } from "../case.ts";
import type { CaseResult } from "../run-cases.ts";
import { summaryOf } from "./summary.ts";

/** A test suite for each level. */
export function junitReport(results: readonly CaseResult[], tookMs: number): string {
  const suites = LEVELS.map((level) => ({
    level,
    own: results.filter((result) => result.case.level === level),
  }))
    .filter(({ own }) => own.length > 0)
    .map(({ level, own }) => {
      const sum = own.reduce((ms, { tookMs: each }) => ms + each, 0);
      return `  <testsuite name="${level}" ${counts(own)} time="${seconds(sum)}">\n${own.map(testCase).join("")}  </testsuite>\n`;
    });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="muster conformance" ${counts(results)} time="${seconds(tookMs)}">\n${suites.join("")}</testsuites>\n`;
}

function testCase(result: CaseResult): string {
  const { id, title, level, rule } = result.case;
  const head = `    <testcase classname="conformance.${level}" name="${text(`${id} ${title}`)}" time="${seconds(result.tookMs)}"`;
  if (result.outcome === "passed") return `${head}/>\n`;
  if (result.outcome === "skipped") return `${head}><skipped message="${text(result.came)}"/></testcase>\n`;
  const message = text(`expected ${result.expected}; ${result.came}`);
  const body = [`${rule.page}: ${rule.says}`, "", ...result.transcript, "", result.output].join("\n");
  return `${head}><failure message="${message}">${text(body)}</failure></testcase>\n`;
}

function counts(results: readonly CaseResult[]): string {
  const { failed, skipped } = summaryOf(results);
  return `tests="${results.length}" failures="${failed}" skipped="${skipped}"`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** Characters that XML has no form for become a question mark: output of a worker may have any. */
function text(value: string): string {
  return (
    value
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 does not allow.
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "?")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("\n", "&#10;")
  );
}
