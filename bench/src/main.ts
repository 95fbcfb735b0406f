import { join, resolve } from "node:path";
import process, { stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { Lab } from "./lab/lab.ts";
import { type BenchOptions, readOptions, USAGE } from "./options.ts";
import { readReport, writeCharts, writeDocs, writeReport } from "./report/files.ts";
import { describeMachine } from "./report/machine.ts";
import type { BenchReport, Sample } from "./report/sample.ts";
import { machineLines, toText } from "./report/text.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Compiled code of the programs that a smoke test starts by the dozen. */
const CODE_CACHE = join(ROOT, "node_modules/.cache/node");

async function main(options: BenchOptions): Promise<void> {
  if (options.help) {
    stdout.write(`${USAGE}\n`);
    return;
  }
  // Figures are those of programs as they are started by everybody: only a smoke test takes the short cut.
  if (options.quick) process.env.NODE_COMPILE_CACHE ??= CODE_CACHE;
  const folder = resolve(ROOT, options.out);
  const earlier = options.add || options.reportOnly ? await readReport(folder) : undefined;
  if (options.reportOnly && earlier === undefined)
    throw new Error(`${folder} holds no results.json; measure first`);
  const report = options.reportOnly && earlier ? earlier : await measure(options, earlier, folder);
  await show(options, report, folder);
}

/** Runs the measures; what they found is kept also when a later one fails. */
async function measure(
  options: BenchOptions,
  earlier: BenchReport | undefined,
  folder: string,
): Promise<BenchReport> {
  const lab = new Lab(options.databaseUrl);
  const stop = new AbortController();
  const onSignal = () => {
    stop.abort();
    // A second one is impatience: processes end with their channel to this one.
    process.once("SIGINT", () => process.exit(130));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
  const samples: Sample[] = [...(earlier?.samples ?? [])];
  try {
    const machine = await describeMachine(lab);
    const report = (): BenchReport => ({
      format: 1,
      createTime: new Date().toISOString(),
      quick: options.quick,
      commands: [...(earlier?.commands ?? []), commandLine()],
      machine,
      samples,
    });
    for (const { name, run } of options.measures) {
      if (stop.signal.aborted) break;
      const firstRun = Math.max(
        0,
        ...samples.filter((sample) => sample.measure === name).map((sample) => sample.run),
      );
      const say = (text: string) => stderr.write(`${name}: ${text}\n`);
      try {
        await run({
          ...{ lab, firstRun, say, runs: options.runs, quick: options.quick, systems: options.systems },
          profile: options.profile === undefined ? undefined : resolve(options.profile),
          warmUp: options.warmUp,
          signal: stop.signal,
          record: (sample) => samples.push({ measure: name, ...sample }),
        });
      } finally {
        await writeReport(folder, report());
      }
    }
    return report();
  } finally {
    await lab.cleanup.run();
  }
}

async function show(options: BenchOptions, report: BenchReport, folder: string): Promise<void> {
  const findings = new Map(
    options.measures.map((measure) => [
      measure,
      measure.report(report.samples.filter((sample) => sample.measure === measure.name)),
    ]),
  );
  stdout.write(`${machineLines(report.machine).join("\n")}\n\n`);
  for (const found of findings.values()) {
    if (found.tables.length > 0) stdout.write(`${toText(found)}\n\n`);
  }
  const charts = await writeCharts(folder, [...findings.values()]);
  stdout.write(`${join(folder, "results.json")}\n${charts.join("\n")}\n`);
  if (options.writeDocs) {
    await writeDocs(join(ROOT, "docs/benchmarks.md"), report, findings);
    await writeCharts(join(ROOT, "docs/benchmarks"), [...findings.values()]);
  }
}

function commandLine(): string {
  return ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" ");
}

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
