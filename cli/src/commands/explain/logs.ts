/** `muster logs`: shows what the handlers of a task logged. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { LogLevel, type TaskLogRecord, TaskLogRecordSchema } from "@muster/protocol";
import type { Command } from "commander";
import type { ApiSession } from "../../api/api-session.ts";
import { withApiSession } from "../../api/api-session.ts";
import { LOG_LEVELS, parseLogLevel } from "../../arguments/log-level.ts";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { followLogs, type LogFilter } from "../../events/follow-logs.ts";
import type { Io } from "../../io/io.ts";
import { hintNone } from "../../output/hints.ts";
import { writeJsonLine } from "../../output/json.ts";
import { writeLogRecord } from "../../output/tasks/log-view.ts";

/** Lines of one call. */
const PAGE_SIZE = 1_000;

interface Options {
  readonly follow?: true;
  readonly attempt?: number;
  readonly level?: LogLevel;
  readonly since?: number;
  readonly grep?: RegExp;
  readonly json?: true;
}

/** `muster logs ID`: shows what handlers logged. */
export function defineLogs(command: Command, io: Io): void {
  command
    .argument("<id>", "task id, or the id of an attempt such as t-1042.3")
    .description(
      "Shows what the handlers of a task logged with ctx.log, by attempt. Lines that are not kept are shown as a gap.",
    )
    .option("-f, --follow", "also show new lines of all attempts, until the task has ended or Ctrl-C")
    .option("--attempt <n>", "only this attempt: 3 for t-1042.3", wholeNumber(1, 999_999_999))
    .option(
      "--level <level>",
      `only lines of this level or a higher one: ${[...LOG_LEVELS.keys()].join(", ")}`,
      argument(parseLogLevel),
    )
    .option(
      "--since <duration>",
      "only lines logged within this time, for example 10m",
      argument(parseDuration),
    )
    .option("--grep <pattern>", "only lines that this regular expression matches", argument(pattern))
    .option("--json", "print one TaskLogRecord as JSON a line")
    .addHelpText(
      "after",
      `
Piped, each line has: attempt, number, ISO time, level, message, facts; with tabs
between them. A gap has the level gap, and as its message how many lines are missing.

Examples:
  $ muster logs t-1042
  $ muster logs t-1042 --follow --level warn
  $ muster logs t-1042 --attempt 2 --grep 'page [0-9]+ is empty'
  $ muster logs t-1042 --json | jq -r .message`,
    )
    .action((id: string, options: Options, self: Command) => showLogs(id, options, self, io));
  addConnectionOptions(command);
}

async function showLogs(text: string, options: Options, command: Command, io: Io): Promise<void> {
  // An attempt's id is what other commands print.
  const [, taskId = text, attempt] = /^(?:task:)?(t-\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  const filter = {
    attempt: options.attempt ?? Number(attempt ?? 0),
    minLevel: options.level ?? LogLevel.UNSPECIFIED,
    contains: "",
    ...(options.since === undefined ? {} : { maxAge: durationFromMs(options.since) }),
  };
  await withApiSession(command, io, async (session) => {
    const show = (record: TaskLogRecord): void => {
      if (record.missingCount === 0n && !matches(record, options.grep)) return;
      if (options.json) writeJsonLine(io.stdout, TaskLogRecordSchema, record);
      else writeLogRecord(record, io.stdout);
    };
    if (options.follow) {
      const outage = (why: string): void => {
        if (!options.json) io.stderr.write(`${io.stderr.colors.dim(`${why}; retrying`)}\n`);
      };
      await followLogs(session, taskId, filter, { show, outage }, io.clock);
    } else if ((await list(session, taskId, filter, show)) === 0) {
      hintNone(
        io,
        "no lines are kept",
        "`--follow` shows new ones as they come; workers keep lines of ctx.log unless WORKER_TASK_LOGS is off",
      );
    }
  });
}

/** Shows every page; returns how many records there were. */
async function list(
  { tasks, call }: ApiSession,
  taskId: string,
  filter: LogFilter,
  show: (record: TaskLogRecord) => void,
): Promise<number> {
  let count = 0;
  for (let pageToken: string | undefined; pageToken !== ""; ) {
    const request = { taskId, filter, pageSize: PAGE_SIZE, pageToken: pageToken ?? "" };
    const page = await tasks.listTaskLogs(request, call);
    for (const record of page.records) show(record);
    count += page.records.length;
    pageToken = page.nextPageToken;
  }
  return count;
}

function matches({ message, fieldsJson }: TaskLogRecord, grep: RegExp | undefined): boolean {
  return grep === undefined || grep.test(message) || grep.test(fieldsJson);
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new RangeError(
      `"${text}" is no regular expression: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
