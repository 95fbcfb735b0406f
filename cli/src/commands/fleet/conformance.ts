/** `muster conformance`: runs a worker against a scheduler that misbehaves on purpose. */
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { Option } from "commander";
import { collect, wholeNumber } from "../../arguments/parse.ts";
import { LEVELS, type Level, type LevelledCase } from "../../conformance/case.ts";
import { CASES, casesOf } from "../../conformance/cases/cases.ts";
import { CannotStart } from "../../conformance/mismatch.ts";
import { jsonReport } from "../../conformance/report/json.ts";
import { junitReport } from "../../conformance/report/junit.ts";
import { caseLines, summaryLines } from "../../conformance/report/text.ts";
import { type CaseResult, runCases } from "../../conformance/run-cases.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { writeTable } from "../../output/table.ts";

interface Options {
  readonly level?: Level;
  readonly case?: readonly string[];
  readonly jobs: number;
  readonly patience: number;
  readonly json?: true;
  readonly junit?: string;
  readonly list?: true;
}

/** Cases wait most of their time: more than two for each processor would fail by its load alone. */
const JOBS = Math.min(8, 2 * availableParallelism());

export function defineConformance(command: Command, io: Io, setExitCode: (code: number) => void): void {
  command
    .argument("[command...]", "the worker's command line, best after --")
    .description(
      "Runs a worker against a scheduler that misbehaves on purpose, and says where it does something else than the documents. Each case starts the worker anew, with its own scheduler on a free port; no other scheduler and no database are needed.",
    )
    .addOption(
      new Option(
        "--level <level>",
        "run the cases of this level and of those before it; default complete",
      ).choices(LEVELS),
    )
    .option("--case <id>", "run this case only; may be repeated", collect)
    .addOption(new Option("--jobs <count>", "cases at once").argParser(wholeNumber(1, 64)).default(JOBS))
    .addOption(
      new Option("--patience <factor>", "factor of every time limit, for a machine that is busy")
        .argParser(wholeNumber(1, 100))
        .default(1),
    )
    .option("--json", "print the report as JSON, when all cases have ended")
    .option("--junit <file>", "also write the report as JUnit XML to this file")
    .option("--list", "list the cases instead of running them")
    .passThroughOptions()
    .addHelpText(
      "after",
      `
The command gets MUSTER_SCHEDULER_ADDR, MUSTER_TOKEN, WORKER_ID, SLOTS and
further variables, and must serve the task types of the level:
docs/conformance.md lists both. A case that is about an ability which the
worker's Hello does not have is skipped, and the report says so.
The exit code is 0 when every case passed or was skipped, else 1.

Examples:
  $ muster conformance --level basic -- python my_worker.py
  $ muster conformance --case R02 -- ./worker
  $ muster conformance --junit report.xml -- node worker.js`,
    )
    .action(async (argv: string[], options: Options) => {
      setExitCode(options.list ? list(options, io) : await conform(argv, options, io));
    });
}

function list(options: Options, io: Io): number {
  const cases = selected(options);
  if (options.json) {
    const rows = cases.map(({ run: _, ...facts }) => facts);
    io.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  } else
    writeTable(
      io.stdout,
      [{ title: "ID" }, { title: "LEVEL" }, { title: "TITLE", shrink: "last" }],
      cases.map(({ id, level, title }) => [id, level, title]),
    );
  return ExitCode.DONE;
}

async function conform(argv: readonly string[], options: Options, io: Io): Promise<number> {
  if (argv.length === 0)
    throw new CliError("no command of a worker is given", {
      exitCode: ExitCode.USAGE,
      remedy: "put it after --: `muster conformance -- python my_worker.py`",
    });
  const cases = selected(options);
  const beganMs = io.clock.monotonic();
  const abort = new AbortController();
  const undo = io.onStop(() => abort.abort());
  let results: CaseResult[];
  try {
    results = await runCases(cases, {
      ...{
        command: argv,
        env: io.env,
        clock: io.clock,
        jobs: options.jobs,
        patience: options.patience,
        signal: abort.signal,
      },
      done: (result) => {
        if (!options.json) io.stdout.write(caseLines(result, io.stdout.colors));
      },
    });
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    throw new CliError(`the worker cannot be started: ${error.message}`, {
      exitCode: ExitCode.USAGE,
      remedy: "give a command that exists and may be run, with its arguments after --",
      cause: error,
    });
  } finally {
    undo();
  }
  if (abort.signal.aborted) return ExitCode.INTERRUPTED;
  const tookMs = io.clock.monotonic() - beganMs;
  if (options.junit !== undefined) await writeReport(options.junit, junitReport(results, tookMs));
  io.stdout.write(
    options.json ? jsonReport(results, tookMs) : summaryLines(results, tookMs, io.stdout.colors),
  );
  return results.some(({ outcome }) => outcome === "failed") ? ExitCode.FAILED : ExitCode.DONE;
}

function selected(options: Options): readonly LevelledCase[] {
  if (options.case === undefined) return casesOf(options.level ?? "complete");
  const wanted = new Set(options.case.map((id) => id.toUpperCase()));
  const found = CASES.filter(({ id }) => wanted.delete(id.toUpperCase()));
  if (wanted.size > 0)
    throw new CliError(`there is no case ${[...wanted].join(", ")}`, {
      exitCode: ExitCode.USAGE,
      remedy: "`muster conformance --list` lists them",
    });
  return found;
}

async function writeReport(path: string, report: string): Promise<void> {
  try {
    await writeFile(path, report);
  } catch (error) {
    throw new CliError(
      `the report cannot be written to ${path}: ${error instanceof Error ? error.message : error}`,
      {
        exitCode: ExitCode.FAILED,
        remedy: "give a file in a folder that exists and may be written to",
        cause: error,
      },
    );
  }
}
