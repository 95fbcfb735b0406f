/** `muster edit ID`: changes a task that has not ended. */
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { formatDuration } from "@muster/common/text/duration-text";
import { type FieldChange, UpdateTaskResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { parseMoment } from "../../arguments/moment.ts";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly priority?: number;
  readonly runTimeout?: number | "none";
  readonly maxRetries?: number;
  readonly delay?: number;
  readonly runTime?: Date;
  readonly reason?: string;
  readonly json?: true;
}

export function defineEdit(command: Command, io: Io): void {
  const duration = argument(parseDuration);
  command
    .argument("<id>", "task id")
    .description(
      "Changes a task that has not ended; what is not given stays. A new time limit and number of retries apply from the next assignment on.",
    )
    .option("--priority <n>", "-1000 to 1000, higher first", wholeNumber(-1000, 1000))
    .option("--run-timeout <duration>", "time limit of an attempt, or none", (text: string) =>
      text === "none" ? "none" : duration(text),
    )
    .option("--max-retries <n>", "maximum number of retries after the first attempt", wholeNumber(0, 1000))
    .option("--delay <duration>", "start so long after now, 0s for now; only while it waits", duration)
    .option(
      "--run-time <time>",
      "start at this moment, in ISO 8601; only while it waits",
      argument(parseMoment),
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the UpdateTaskResponse as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster edit t-1042 --priority 10
  $ muster edit t-1042 --run-timeout 2h --max-retries 5 --reason "larger input"
  $ muster edit t-1042 --delay 0s`,
    )
    .action((id: string, options: Options, self: Command) => edit(id, options, self, io));
  addConnectionOptions(command);
}

async function edit(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const { priority, runTimeout, maxRetries, delay, runTime } = options;
  if ([priority, runTimeout, maxRetries, delay, runTime].every((value) => value === undefined))
    throw usage("nothing to change is given", "for example `muster edit t-1042 --priority 10`");
  if (delay !== undefined && runTime !== undefined)
    throw usage("--delay and --run-time exclude each other", "give one of them");
  const reason = signed(options.reason);
  const request = {
    ...{ taskId: id, reason },
    ...(priority === undefined ? {} : { priority }),
    ...(runTimeout === undefined
      ? {}
      : { runTimeout: durationFromMs(runTimeout === "none" ? 0 : runTimeout) }),
    ...(maxRetries === undefined ? {} : { maxRetryCount: maxRetries }),
    ...(delay === undefined ? {} : { schedule: { case: "delay", value: durationFromMs(delay) } as const }),
    ...(runTime === undefined
      ? {}
      : { schedule: { case: "runTime", value: timestampFromDate(runTime) } as const }),
  };
  const response = await withApiSession(command, io, ({ tasks, call }) => tasks.updateTask(request, call));
  const task = present(response.task, "a task");
  if (options.json) return writeJson(io.stdout, UpdateTaskResponseSchema, response);
  if (response.changes.length === 0) io.stdout.write(`${task.id} is so already\n`);
  for (const change of response.changes) io.stdout.write(`${task.id} ${inWords(change)}\n`);
}

const NAMES: Readonly<Partial<Record<string, string>>> = {
  run_timeout_ms: "run timeout",
  max_retry_count: "retries",
  run_time: "start",
};

function inWords({ name, before, after }: FieldChange): string {
  const shown = (text: string) => {
    if (name === "run_time") return text || "now";
    if (text === "") return name === "max_retry_count" ? "default" : "none";
    return name === "run_timeout_ms" ? formatDuration(Number(text)) : text;
  };
  return `${NAMES[name] ?? name}: ${shown(before)} -> ${shown(after)}`;
}

function usage(message: string, remedy: string): CliError {
  return new CliError(message, { exitCode: ExitCode.USAGE, remedy });
}
