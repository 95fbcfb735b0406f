import CliTable from "cli-table3";
import type { Machine } from "./machine.ts";
import type { Findings, Table, Target } from "./table.ts";

/** Findings as text for a terminal. */
export function toText(findings: Findings): string {
  return [
    ...findings.tables.map(textTable),
    ...(findings.targets.length > 0 ? [textTable(targetTable(findings.targets))] : []),
  ].join("\n\n");
}

/** Findings as Markdown. */
export function toMarkdown(findings: Findings): string {
  return [
    ...findings.tables.map(markdownTable),
    ...(findings.targets.length > 0 ? [markdownTable(targetTable(findings.targets))] : []),
  ].join("\n\n");
}

/** Facts of the machine, one a line. */
export function machineLines(machine: Machine): readonly string[] {
  const settings = Object.entries(machine.postgresSettings).filter(([name]) => name !== "server_version");
  return [
    `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.kernel}`,
    `Node ${machine.node}`,
    `PostgreSQL ${machine.postgres} (${settings.map(([name, value]) => `${name} ${value}`).join(", ")})`,
    machine.redis === undefined ? "no Redis" : `Redis ${machine.redis} (${machine.redisPersistence})`,
    Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
  ];
}

function targetTable(targets: readonly Target[]): Table {
  return {
    title: "Targets",
    head: ["target", "measured", "met"],
    rows: targets.map(({ text, measured, met }) => [
      text,
      measured ?? "not measured",
      met === undefined ? "-" : met ? "yes" : "no",
    ]),
  };
}

function textTable({ title, head, rows }: Table): string {
  const table = new CliTable({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, index) => (index === 0 ? "left" : "right")),
    wordWrap: true,
  });
  for (const row of rows) table.push([...row]);
  return `${title}\n${table.toString()}`;
}

function markdownTable({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [`**${title}**`, "", line(head), line(rule), ...rows.map(line)].join("\n");
}
