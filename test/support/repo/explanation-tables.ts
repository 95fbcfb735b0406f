/** The tables of docs/explanations.md, made from the registry of codes. */
import { join } from "node:path";
import {
  ASSIGNED_CODES,
  type CodeEntry,
  ENDED_CODES,
  POOL_CODES,
  SCHEDULE_CODES,
  WAITING_CODES,
  WORKER_CODES,
} from "../../../scheduler/src/domain/explain/codes.ts";
import { ROOT } from "./checks.ts";

export const EXPLANATIONS = join(ROOT, "docs", "explanations.md");

const TABLES: Readonly<Record<string, Readonly<Record<string, CodeEntry>>>> = {
  "A task that waits": WAITING_CODES,
  "A task that was assigned": ASSIGNED_CODES,
  "A task that ended": ENDED_CODES,
  "A worker": WORKER_CODES,
  "A schedule": SCHEDULE_CODES,
  "A pool": POOL_CODES,
};

/** The document with every table as the registry has it. @throws Error when a heading has no table. */
export function withTables(document: string): string {
  let text = document;
  for (const [heading, codes] of Object.entries(TABLES)) {
    const found = new RegExp(`(?<=^## ${heading}\\n\\n)(?:\\|.*\\n)+`, "m");
    if (!found.test(text)) throw new Error(`docs/explanations.md has no table below "## ${heading}"`);
    text = text.replace(found, () => table(codes));
  }
  return text;
}

function table(codes: Readonly<Record<string, CodeEntry>>): string {
  const withRemedy = Object.values(codes).some(({ remedy }) => remedy !== undefined);
  const head = withRemedy
    ? ["| code | means | what to do |", "|---|---|---|"]
    : ["| code | means |", "|---|---|"];
  const rows = Object.entries(codes).map(([code, { means, remedy }]) =>
    withRemedy ? `| \`${code}\` | ${means} | ${remedy ?? ""} |` : `| \`${code}\` | ${means} |`,
  );
  return `${[...head, ...rows].join("\n")}\n`;
}
