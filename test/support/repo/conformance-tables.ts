/** The tables of docs/conformance.md, made from the cases and the task types of the suite. */
import { join } from "node:path";
import type { Level } from "../../../cli/src/conformance/case.ts";
import { CASES } from "../../../cli/src/conformance/cases/cases.ts";
import { TASK_TYPES } from "../../../cli/src/conformance/cases/task-types.ts";
import { ROOT } from "./checks.ts";

export const CONFORMANCE = join(ROOT, "docs", "conformance.md");

const LEVEL_HEADINGS: Readonly<Record<string, Level>> = {
  Basic: "basic",
  Resilient: "resilient",
  Complete: "complete",
};

/** The document with every table as the suite has it. @throws Error when a heading has no table. */
export function withConformanceTables(document: string): string {
  const types = TASK_TYPES.map(({ name, level, payload, does }) => [`\`${name}\``, level, payload, does]);
  let text = replaced(document, /(?<=^## Task types\n\n.*\n\n)(?:\|.*\n)+/m, [
    ["type", "from level", "payload", "its handler"],
    ...types,
  ]);
  for (const [heading, level] of Object.entries(LEVEL_HEADINGS)) {
    const rows = CASES.filter((each) => each.level === level).map(({ id, title, scheduler, expected }) => [
      ...[id, title, scheduler, expected],
    ]);
    text = replaced(text, new RegExp(`(?<=^### ${heading}\\n\\n)(?:\\|.*\\n)+`, "m"), [
      ["id", "case", "the scheduler", "the worker must"],
      ...rows,
    ]);
  }
  return text;
}

function replaced(text: string, found: RegExp, [head = [], ...rows]: readonly (readonly string[])[]): string {
  if (!found.test(text)) throw new Error(`docs/conformance.md has no table at ${found.source}`);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  const table = [line(head), `|${"---|".repeat(head.length)}\n`, ...rows.map(line)].join("");
  return text.replace(found, () => table);
}
