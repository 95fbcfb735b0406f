/** What the commands share that change many tasks: which tasks, the question before it, the progress and the end. */
import { create } from "@bufbuild/protobuf";
import { ChangeTasksResponseSchema } from "@muster/protocol";
import type { BulkChange, BulkChangeOptions, BulkFilter, BulkProgress } from "@muster/worker/client";
import type { Command } from "commander";
import { type ApiSession, withApiSession } from "../../api/api-session.ts";
import { addFilterOptions, type FilterOptions, filterOf } from "../../arguments/tasks/task-filter.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import { confirm } from "../../io/confirm.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { writeJsonLine } from "../../output/json.ts";
import { type ChangeWords, skippedLines, writeExamples } from "../../output/tasks/change-view.ts";

/** Options of these commands. */
export interface ChangeCommandOptions extends FilterOptions {
  readonly all?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly reason?: string;
  readonly continue?: string;
  readonly json?: true;
}

/** Progress is shown this often, milliseconds. */
const SHOW_EVERY_MS = 1_000;

/** Adds the arguments and options that these commands share. */
export function addChangeOptions(command: Command, states: Parameters<typeof addFilterOptions>[1]): void {
  command
    .argument("[ids...]", "task ids; without them, the filter says which tasks")
    .option(
      "--all",
      "every task that the command can change; required where neither ids nor a filter are given",
    )
    .option("--dry-run", "count the tasks and show the first of them, without changing any")
    .option("--yes", "do not ask before the tasks of a filter are changed")
    .option("--reason <text>", "reason to record; default: your user name")
    .option("--continue <token>", "go on where an earlier run with the same filter stopped")
    .option("--json", "print the progress as lines of JSON (ChangeTasksResponse)");
  addFilterOptions(command, states);
}

/** The id of a command for one task, without anything that only a change of many has. */
export function singleId(ids: readonly string[], options: ChangeCommandOptions): string | undefined {
  const { all, dryRun, continue: continueToken } = options;
  const isPlain = !(all || dryRun || continueToken) && filterOf(options) === undefined;
  return ids.length === 1 && isPlain ? ids[0] : undefined;
}

/**
 * Changes the named tasks, or after a question those of the filter.
 *
 * @param words How the change is called.
 * @throws CliError for wrong usage, without a confirmation, when it was interrupted, and when a named task stays as it is.
 */
export async function changeTasks(
  change: BulkChange,
  words: ChangeWords,
  ids: readonly string[],
  options: ChangeCommandOptions,
  { command, io }: { readonly command: Command; readonly io: Io },
): Promise<void> {
  const filter = requireFilter(ids, options, words);
  const call = {
    reason: options.reason ?? requester(),
    ...(options.all ? { all: true } : {}),
    ...(options.continue ? { continueToken: options.continue } : {}),
  };
  await withApiSession(command, io, async (session) => {
    if (!(ids.length > 0 || options.yes || options.dryRun)) {
      const { matched } = await carryOut(session, change, filter, { ...call, dryRun: true });
      if (matched > 0) {
        const what = `${count(matched)} ${matched === 1 ? "matches" : "match"}`;
        await confirm({ what, action: words.action, command: `${words.command} ... --yes` }, io);
      }
    }
    const dryRun = options.dryRun === true;
    const last = await shown(session, change, filter, { ...call, dryRun }, { words, json: options.json, io });
    if (!options.json) writeEnd(last, words, dryRun, io);
    const unmatched = options.continue ? 0 : new Set(ids).size - last.matched;
    if (unmatched > 0) io.stderr.write(`the filter does not match ${unmatched} of the named tasks\n`);
    if (ids.length > 0 && !dryRun) refuseSkipped(last, Math.max(unmatched, 0));
  });
}

function requireFilter(
  ids: readonly string[],
  options: ChangeCommandOptions,
  { command }: ChangeWords,
): BulkFilter {
  const filter = filterOf(options);
  if (filter === undefined && ids.length === 0 && !options.all)
    throw new CliError("no task is named, and the filter has no condition", {
      exitCode: ExitCode.USAGE,
      remedy: `give task ids, a filter such as \`${command} --queue NAME\`, or --all for every task`,
    });
  if (options.all && (filter !== undefined || ids.length > 0))
    throw new CliError("--all is given together with ids or a filter", {
      exitCode: ExitCode.USAGE,
      remedy: "leave one of them out",
    });
  return { ...filter, ...(ids.length > 0 ? { taskIds: ids } : {}) };
}

/** The last progress of a change that is not shown. */
async function carryOut(
  { client }: ApiSession,
  change: BulkChange,
  filter: BulkFilter,
  options: BulkChangeOptions,
): Promise<BulkProgress> {
  let last: BulkProgress | undefined;
  for await (const progress of client.changeTasks(change, filter, options)) last = progress;
  if (!last) throw new TypeError("a change ended without progress");
  return last;
}

async function shown(
  { client }: ApiSession,
  change: BulkChange,
  filter: BulkFilter,
  options: BulkChangeOptions,
  { words, json, io }: { readonly words: ChangeWords; readonly json: true | undefined; readonly io: Io },
): Promise<BulkProgress> {
  const stop = new AbortController();
  const undo = io.onInterrupt(() => stop.abort());
  let last: BulkProgress | undefined;
  let shownAt = io.clock.monotonic();
  try {
    for await (const progress of client.changeTasks(change, filter, { ...options, signal: stop.signal })) {
      last = progress;
      if (json) writeJsonLine(io.stdout, ChangeTasksResponseSchema, toMessage(progress));
      else if (!progress.finished && io.clock.monotonic() - shownAt >= SHOW_EVERY_MS) {
        shownAt = io.clock.monotonic();
        io.stderr.write(`${words.done(progress)}\n`);
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    throw interrupted(last, words);
  } finally {
    undo();
  }
  if (!last) throw new TypeError("a change ended without progress");
  return last;
}

function interrupted(last: BulkProgress | undefined, words: ChangeWords): CliError {
  const place = last?.continueToken ? `, or add --continue ${last.continueToken}` : "";
  return new CliError(`interrupted: ${last ? words.done(last) : "no step was reported so far"}`, {
    exitCode: ExitCode.FAILED,
    reason: "INTERRUPTED",
    remedy: `what was done stays; run the same command again to go on${place}`,
  });
}

function writeEnd(last: BulkProgress, words: ChangeWords, dryRun: boolean, io: Io): void {
  if (dryRun) {
    io.stdout.write(`${count(last.done)} would change\n`);
    writeExamples(last.examples, io);
  } else io.stdout.write(`${words.done(last)}\n`);
  for (const line of skippedLines(last)) io.stderr.write(`${line}\n`);
}

/** A task that was named and stays as it is makes the command fail. */
function refuseSkipped({ skipped, done }: BulkProgress, unmatched: number): void {
  const faults = skipped.filter(({ code }) => code !== "TASK_UNCHANGED");
  const number = faults.reduce((sum, { count: each }) => sum + each, unmatched);
  if (number === 0) return;
  const [first] = faults;
  const isUnknown = unmatched === 0 && done === 0 && faults.every(({ code }) => code === "TASK_NOT_FOUND");
  throw new CliError(
    `${count(number)} ${number === 1 ? "stays" : "stay"} as ${number === 1 ? "it is" : "they are"}`,
    {
      exitCode: isUnknown ? ExitCode.NOT_FOUND : ExitCode.REFUSED,
      ...(first ? { reason: first.code } : {}),
    },
  );
}

function count(tasks: number): string {
  return `${tasks} ${tasks === 1 ? "task" : "tasks"}`;
}

function toMessage(progress: BulkProgress) {
  const { matched, done, requested, examined, skipped, examples, continueToken, finished } = progress;
  return create(ChangeTasksResponseSchema, {
    matchedCount: BigInt(matched),
    doneCount: BigInt(done),
    requestedCount: BigInt(requested),
    examinedCount: BigInt(examined),
    skipped: skipped.map(({ code, message, count: each, taskIds }) => ({
      ...{ code, message, skippedCount: BigInt(each), taskIds: [...taskIds] },
    })),
    examples: [...examples],
    ...{ continueToken, finished },
  });
}
