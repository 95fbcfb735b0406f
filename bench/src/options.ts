/** The command line options of the bench. */
import { env } from "node:process";
import { parseArgs } from "node:util";
import { MEASURES } from "./measures/index.ts";
import type { Measure } from "./measures/measure.ts";
import { QUICK_SYSTEMS, SYSTEMS, type SystemSpec, systemsOf } from "./systems/catalogue.ts";

/** What a person may ask of the bench. */
export interface BenchOptions {
  readonly help: boolean;
  readonly measures: readonly Measure[];
  readonly runs: number;
  readonly quick: boolean;
  readonly systems: readonly SystemSpec[];
  /** Folder for `results.json` and the charts. */
  readonly out: string;
  /** Adds the samples to those in the folder instead of beginning anew. */
  readonly add: boolean;
  /** Measures nothing: tables and charts from the samples in the folder. */
  readonly reportOnly: boolean;
  /** Puts the tables into docs/benchmarks.md. */
  readonly writeDocs: boolean;
  /** Folder for CPU profiles of Muster's scheduler and workers in `throughput`. */
  readonly profile: string | undefined;
  /** Tasks that every system runs before `throughput` is measured; undefined for the measure's own number. */
  readonly warmUp: number | undefined;
  /** A PostgreSQL server to use instead of an embedded one. */
  readonly databaseUrl: string | undefined;
}

/** What `--help` says. */
export const USAGE = `npm run bench -- [MEASURE...] [options]

Measures (all without any):
${MEASURES.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`).join("\n")}

Options:
  --runs N         repetitions, shown as medians (default 5; 1 with --quick)
  --quick          smoke test of the harness with a few tasks: the figures mean nothing
  --systems A,B    of ${SYSTEMS.map(({ key }) => key).join(", ")}
  --out DIR        where results.json and the charts go (default bench/results; bench/results/quick with --quick)
  --add            adds samples to those in DIR
  --report-only    measures nothing, shows what is in DIR
  --write-docs     puts the tables into docs/benchmarks.md
  --profile DIR    throughput writes CPU profiles of Muster's scheduler and worker there
  --warm-up N      throughput: tasks that every system runs first (default 100000)
  BENCH_DATABASE_URL  a PostgreSQL server whose role may create databases; default: an embedded one`;

/** Reads arguments and environment. @throws RangeError, TypeError that name what is wrong. */
export function readOptions(argv: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h", default: false },
      runs: { type: "string" },
      quick: { type: "boolean", default: false },
      systems: { type: "string" },
      out: { type: "string" },
      add: { type: "boolean", default: false },
      "report-only": { type: "boolean", default: false },
      "write-docs": { type: "boolean", default: false },
      profile: { type: "string" },
      "warm-up": { type: "string" },
    },
  });
  const runs = values.runs === undefined ? (values.quick ? 1 : 5) : Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > 1_000)
    throw new RangeError(`--runs: "${values.runs}" is not a whole number between 1 and 1000`);
  const warmUp = values["warm-up"] === undefined ? undefined : Number(values["warm-up"]);
  if (warmUp !== undefined && !(Number.isInteger(warmUp) && warmUp >= 1))
    throw new RangeError(`--warm-up: "${values["warm-up"]}" is not a whole number of tasks, 1 or more`);
  return {
    help: values.help,
    measures: positionals.length > 0 ? positionals.map(measureNamed) : MEASURES,
    runs,
    quick: values.quick,
    systems: systemsOf(values.systems?.split(",") ?? (values.quick ? QUICK_SYSTEMS : undefined)),
    out: values.out ?? (values.quick ? "bench/results/quick" : "bench/results"),
    add: values.add,
    reportOnly: values["report-only"],
    writeDocs: values["write-docs"],
    profile: values.profile,
    warmUp,
    databaseUrl: env.BENCH_DATABASE_URL || undefined,
  };
}

function measureNamed(name: string): Measure {
  const found = MEASURES.find((measure) => measure.name === name);
  if (!found)
    throw new RangeError(
      `"${name}" is no measure; there are ${MEASURES.map((measure) => measure.name).join(", ")}`,
    );
  return found;
}
