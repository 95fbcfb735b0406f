/** The command line of the bench: runs measures and writes their report. */
import { join, resolve } from "node:path";
import process, { stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { Lab } from "./lab/lab.ts";
import type { Measure } from "./measures/measure.ts";
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
    let written = Promise.resolve();
    const take = async ({ name, run }: Measure) => {
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
        written = written.then(() => writeReport(folder, report()));
        await written;
      }
    };
    await takeAll(lanesOf(options), take, stop);
    return report();
  } finally {
    await lab.cleanup.run();
  }
}

/**
 * Half of a smoke test's time is programs that start one after the other, so it has two lanes: measures that compare
 * systems share one Redis, and those of Muster alone go beside them. Figures that mean something need the machine.
 */
function lanesOf({ quick, measures }: BenchOptions): (readonly Measure[])[] {
  if (!quick) return [measures];
  return [measures.filter(({ compares }) => compares), measures.filter(({ compares }) => !compares)];
}

/** Takes the measures of each lane in their order; when one fails, those under way end and no other begins. */
async function takeAll(
  lanes: readonly (readonly Measure[])[],
  take: (measure: Measure) => Promise<void>,
  stop: AbortController,
): Promise<void> {
  const ends = await Promise.allSettled(
    lanes.map(async (measures) => {
      for (const measure of measures) {
        if (stop.signal.aborted) return;
        try {
          await take(measure);
        } catch (error) {
          stop.abort();
          throw error;
        }
      }
    }),
  );
  for (const end of ends) if (end.status === "rejected") throw end.reason;
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
  const options = optionsOf(process.argv.slice(2));
  if (options) await main(options);
} catch (error) {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}

/** Says what is wrong with the arguments in one line. */
function optionsOf(args: readonly string[]): BenchOptions | undefined {
  try {
    return readOptions(args);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    stderr.write(`${error.message}\nnpm run bench -- --help lists measures and options.\n`);
    process.exitCode = 2;
    return undefined;
  }
}
