/** Reads and writes the files of a report: samples, charts and the document. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Measure } from "../measures/measure.ts";
import type { BenchReport } from "./sample.ts";
import { drawChart } from "./svg.ts";
import type { Findings } from "./table.ts";
import { machineLines, toMarkdown } from "./text.ts";

const RESULTS = "results.json";

/** Reads the samples of earlier invocations; undefined when there are none. */
export async function readReport(folder: string): Promise<BenchReport | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, RESULTS), "utf8")) as BenchReport;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes the samples. */
export async function writeReport(folder: string, report: BenchReport): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, RESULTS), `${JSON.stringify(report, null, 2)}\n`);
}

/** Draws every chart; answers the files' names. */
export async function writeCharts(folder: string, findings: readonly Findings[]): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (const chart of findings.flatMap(({ charts }) => charts)) {
    const file = join(folder, `${chart.name}.svg`);
    await writeFile(file, await drawChart(chart));
    files.push(file);
  }
  return files;
}

/** Replaces what stands between the marks of each measure, and of the machine, in a Markdown document. */
export async function writeDocs(
  file: string,
  report: BenchReport,
  findings: ReadonlyMap<Measure, Findings>,
): Promise<void> {
  let text = await readFile(file, "utf8");
  text = fill(
    text,
    "machine",
    machineLines(report.machine)
      .map((line) => `- ${line}`)
      .join("\n"),
  );
  for (const [measure, found] of findings) {
    if (found.tables.length > 0) text = fill(text, measure.name, toMarkdown(found));
  }
  await writeFile(file, text);
}

function fill(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from)
    throw new Error(`the document has no place for ${name}: "${begin}" ... "${end}"`);
  return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
}
