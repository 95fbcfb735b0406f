/** `docs/guide/options.md`: every option with its default, written from the sources. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../checks.ts";
import { type CommandTable, readCommandTables } from "./command-tables.ts";
import { type OptionTable, readOptionTables } from "./option-tables.ts";
import { SdkSources } from "./sdk-sources.ts";
import { readVariables, type VariableRow } from "./variable-rows.ts";

const PAGE = join(ROOT, "docs", "guide", "options.md");

const HEAD = `# Options

Every option of the worker SDK, every environment variable, and every option of the commands that run workers, each with its
default. Written by \`npm run api\` from the sources; \`npm run check\` compares it with them.

In names, \`S\` at the end means seconds, \`Ms\` milliseconds, \`Bytes\` bytes. An option of the program wins over an environment
variable, which wins over the default. A worker and a client throw an \`OptionsError\` with every wrong option and variable at
once; an option that is not known is wrong, too. A switch in a variable is \`true\`, \`1\`, \`false\` or \`0\`. \`muster worker ID --settings\` shows what a worker runs with.
`;

/** First in their part; the others follow by name. */
const FIRST = ["WorkerOptions", "ClientOptions", "SubmitOptions", "ContractOptions"];

/** Fails when the page is not what the sources say, or an option is not described. */
export async function checkOptionsPage(): Promise<void> {
  const kept = await readFile(PAGE, "utf8").catch(() => "");
  if (kept !== (await optionsPage()))
    throw new Error("docs/guide/options.md is not what the sources say. Run npm run api and commit it.");
}

/** Writes the page. */
export async function writeOptionsPage(): Promise<void> {
  await writeFile(PAGE, await optionsPage());
}

async function optionsPage(): Promise<string> {
  using sources = new SdkSources();
  const { tables, faults } = readOptionTables(sources);
  const commands = await readCommandTables();
  const { rows, faults: ofVariables } = readVariables(tables, commands);
  const all = [...faults, ...ofVariables];
  if (all.length > 0) throw new Error(`options without a description:\n  ${all.join("\n  ")}`);
  return render(tables, rows, commands);
}

function render(
  tables: readonly OptionTable[],
  rows: readonly VariableRow[],
  commands: readonly CommandTable[],
): string {
  const entries = [...new Set(tables.map(({ entry }) => entry))].toSorted();
  const links = new Links(tables);
  const parts = [
    HEAD,
    "| part | types |",
    "|---|---|",
    ...entries.map(
      (entry) =>
        `| [${entry}](#${anchor(entry)}) | ${partOf(tables, entry)
          .map((table) => links.to(table))
          .join(", ")} |`,
    ),
    `| [environment variables](#environment-variables) | |`,
    `| [commands](#commands) | ${commands.flatMap(({ name }) => (name === "" ? [] : [`[muster ${name}](#muster-${anchor(name)})`])).join(", ")} |`,
    "",
  ];
  for (const entry of entries) {
    parts.push(`## ${entry}`, "");
    for (const table of partOf(tables, entry)) parts.push(...optionTable(table, links), "");
  }
  parts.push(
    "## Environment variables",
    "",
    "| variable | sets | without it | meaning |",
    "|---|---|---|---|",
  );
  for (const { variable, sets, default: standard, meaning } of rows) {
    const what =
      sets === undefined
        ? ""
        : "table" in sets
          ? `\`${sets.option}\` of ${links.to(sets.table)}`
          : code(`muster ${sets.command}`);
    parts.push(row(code(variable), what, standard, meaning));
  }
  parts.push("", "Settings of a scheduler: [operations](../operations.md).", "", "## Commands", "");
  for (const { name, summary, options } of commands) {
    parts.push(name === "" ? "### Every command" : `### muster ${name}`, "");
    if (summary !== "") parts.push(`${sentence(summary)}`, "");
    if (options.length === 0) continue;
    parts.push("| option | default | meaning |", "|---|---|---|");
    for (const { flags, default: standard = "", meaning, variable } of options) {
      const value =
        variable === undefined
          ? standard
          : `\`${variable}\`${standard === "none" || standard === "" ? "" : `, else ${standard}`}`;
      parts.push(row(code(flags), value, meaning.replaceAll("<", "&lt;")));
    }
    parts.push("");
  }
  return `${parts.join("\n").trimEnd()}\n`;
}

function partOf(tables: readonly OptionTable[], entry: string): readonly OptionTable[] {
  const rank = ({ name }: OptionTable) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return tables
    .filter((table) => table.entry === entry)
    .toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function optionTable(table: OptionTable, links: Links): readonly string[] {
  const { name, meaning, options, includes, written } = table;
  const others = includes.map((included) => links.named(included, table.entry));
  return [
    `### ${name}`,
    "",
    meaning,
    ...(others.length > 0 ? ["", `It has the options of ${others.join(" and ")}, too.`] : []),
    ...(written === undefined ? [] : ["", code(written)]),
    ...(options.length > 0 ? ["", "| option | type | default | meaning |", "|---|---|---|---|"] : []),
    ...options.map(({ name, type, default: standard = "required", meaning }) =>
      row(code(name), code(type), standard, meaning),
    ),
  ];
}

/** Links to tables. A name that two entries have gets a number from the second on, as renderers number headings. */
class Links {
  readonly #anchors = new Map<OptionTable, string>();

  constructor(tables: readonly OptionTable[]) {
    const used = new Map<string, number>();
    for (const entry of [...new Set(tables.map((table) => table.entry))].toSorted())
      for (const table of partOf(tables, entry)) {
        const count = used.get(table.name) ?? 0;
        used.set(table.name, count + 1);
        this.#anchors.set(table, count === 0 ? anchor(table.name) : `${anchor(table.name)}-${count}`);
      }
  }

  to(table: OptionTable): string {
    return `[${table.name}](#${this.#anchors.get(table)})`;
  }

  /** Of two tables with the name, that of the entry. */
  named(name: string, entry: string): string {
    const found = [...this.#anchors.keys()].filter((table) => table.name === name);
    const table = found.find((each) => each.entry === entry) ?? found[0];
    return table === undefined ? code(name) : this.to(table);
  }
}

function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w -]/g, "")
    .replaceAll(" ", "-");
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}
