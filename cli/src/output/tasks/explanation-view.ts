/** Shows an explanation as text. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "@muster/common/text/duration-text";
import type { Evidence, Explanation, Reason } from "@muster/protocol";
import type { Io, Screen } from "../../io/io.ts";
import { ageCell } from "../cells.ts";
import { oneLine, printable, wrap } from "../text.ts";

const INDENT = "  ";

/** Lines longer than this are hard to read, however wide the terminal is. */
const WIDEST = 100;

/** Shows an explanation. Piped, the same lines are not wrapped. */
export function writeExplanation(explanation: Explanation, { stdout, clock }: Io): void {
  stdout.write(`${explanationLines(explanation, stdout, clock.now()).join("\n")}\n`);
}

/** The same as lines. */
export function explanationLines(
  { subject, state, reasons }: Explanation,
  screen: Pick<Screen, "colors" | "columns" | "isTTY">,
  now: number,
): string[] {
  const head = `${screen.colors.bold(oneLine(subject))} is ${oneLine(state)}`;
  return [head, ...reasons.flatMap((reason) => reasonLines(reason, now, screen))].flatMap((text) =>
    text.split("\n"),
  );
}

function reasonLines(
  reason: Reason,
  now: number,
  screen: Pick<Screen, "colors" | "columns" | "isTTY">,
): string[] {
  const { yellow, dim, green } = screen.colors;
  const width = screen.isTTY ? Math.min(screen.columns, WIDEST) : Number.POSITIVE_INFINITY;
  const age = ageCell(reason.since, now);
  const since = screen.isTTY ? age.text : (age.plain ?? age.text);
  return [
    "",
    `${yellow(oneLine(reason.code))}${since === "" ? "" : dim(`  since ${since}`)}`,
    wrap(reason.summary, width, INDENT),
    ...evidenceLines(reason.evidence, width).map((line) => dim(`${INDENT}${line}`)),
    ...(reason.remedy === "" ? [] : [green(wrap(`-> ${reason.remedy}`, width, INDENT))]),
  ];
}

function evidenceLines(evidence: readonly Evidence[], columns: number): string[] {
  const width = Math.max(0, ...evidence.map(({ key }) => key.length));
  return evidence.map(({ key, value, source, age }) => {
    const origin = [source, age === undefined ? "" : formatAge(durationMs(age))].filter(Boolean).join(", ");
    const from = origin === "" ? "" : `  (${oneLine(origin)})`;
    const name = oneLine(key).padEnd(width);
    // Tracebacks and output have several lines.
    if (!value.trim().includes("\n")) {
      if (columns === Number.POSITIVE_INFINITY) return `${name}  ${oneLine(value)}${from}`;
      const indent = INDENT + " ".repeat(width + 2);
      return `${name}  ${wrap(`${value}${from}`, columns, indent).slice(indent.length)}`;
    }
    const block = printable(value).trimEnd().split("\n");
    return [`${name}${from}`, ...block.map((line) => `${INDENT}${INDENT}| ${line}`)].join("\n");
  });
}
