/** `muster schedule set NAME`: makes a schedule, or replaces it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { type CatchUpPolicy, OverlapPolicy, ScheduleSchema, type ScheduleSpecSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { parseMoment } from "../../arguments/moment.ts";
import { argument, enumChoices, enumNameOf, wholeNumber } from "../../arguments/parse.ts";
import { type Payload, readPayload } from "../../arguments/tasks/payload.ts";
import { addTaskOptions, type TaskOptions, taskFields } from "../../arguments/tasks/task-options.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { momentCell } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { CATCH_UP } from "../../output/tasks/schedule-view.ts";
import { oneLine } from "../../output/text.ts";

interface Options extends TaskOptions {
  readonly type: string;
  readonly payload?: string;
  readonly contentType?: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly every?: number;
  readonly jitter?: number;
  readonly catchUp?: CatchUpPolicy;
  readonly catchUpLimit?: number;
  readonly overlap?: OverlapPolicy;
  readonly start?: Date;
  readonly end?: Date;
  readonly reason?: string;
  readonly json?: true;
}

export function defineScheduleSet(command: Command, io: Io): void {
  const duration = argument(parseDuration);
  command
    .argument("<name>", "name of the schedule; one of this name is replaced")
    .description("Makes or replaces a schedule, which submits a task at each tick.")
    .requiredOption("--type <type>", "task type: the name of its handler")
    .option("--payload <payload>", "JSON, @FILE for a file's content, or - for standard input")
    .option("--content-type <type>", "media type of the payload")
    .option("--cron <expression>", "minute, hour, day, month and day of the week; six fields with the second")
    .option("--timezone <name>", "time zone of --cron, for example Europe/Berlin; default: UTC")
    .option("--every <duration>", "time from tick to tick, instead of --cron", duration)
    .option("--jitter <duration>", "submit each tick up to this much later; default: none", duration)
    .option(
      "--overlap <policy>",
      `while a task of an earlier tick is open: ${enumChoices(OverlapPolicy).join(", ")}; default: skip`,
      enumNameOf(OverlapPolicy),
    )
    .option(
      "--catch-up <policy>",
      `missed ticks to submit: ${enumChoices(CATCH_UP).join(", ")}; default: last`,
      enumNameOf(CATCH_UP),
    )
    .option("--catch-up-limit <n>", "most ticks of --catch-up all; default 100", wholeNumber(1, 1_000))
    .option("--start <time>", "no tick before this moment, in ISO 8601", argument(parseMoment))
    .option("--end <time>", "no tick after this moment, in ISO 8601", argument(parseMoment));
  addTaskOptions(command)
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Schedule as JSON")
    .addHelpText(
      "after",
      `
A schedule that keeps its timing, start and end keeps its place: a tick that is due is
not lost. Otherwise the first tick is after now. A pause goes on.

Examples:
  $ muster schedule set nightly-report --type report.build --cron "30 2 * * *" --timezone Europe/Berlin
  $ muster schedule set poll --type feed.poll --every 15m --jitter 1m --overlap allow
  $ muster schedule set bill --type bill.run --payload '{"dry": false}' --cron "0 6 1 * *" --catch-up all`,
    )
    .action((name: string, options: Options, self: Command) => set(name, options, self, io));
  addConnectionOptions(command);
}

async function set(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const payload = await readPayload(options.payload, options.contentType, io.stdin);
  const reason = signed(options.reason);
  const request = { schedule: specOf(name, options, payload), reason };
  const { schedule } = await withApiSession(command, io, ({ schedules, call }) =>
    schedules.setSchedule(request, call),
  );
  const made = present(schedule, "a schedule");
  if (options.json) {
    writeJson(io.stdout, ScheduleSchema, made);
    return;
  }
  const next = momentCell(made.nextTimes[0], io.clock.now());
  const when = made.pauseTime
    ? "it is paused"
    : next
      ? `next tick ${next.text}`
      : "it has no tick: its end has passed";
  io.stdout.write(`the schedule ${oneLine(name)} is set; ${when}\n`);
}

function specOf(
  name: string,
  options: Options,
  { bytes, contentType }: Payload,
): MessageInitShape<typeof ScheduleSpecSchema> {
  const { jitter, catchUp, catchUpLimit, overlap, start, end } = options;
  return {
    name,
    task: {
      ...{ taskType: options.type, payload: bytes, contentType },
      ...taskFields(options),
    },
    timing: timingOf(options),
    ...(jitter === undefined ? {} : { jitter: durationFromMs(jitter) }),
    ...(catchUp === undefined ? {} : { catchUp }),
    ...(catchUpLimit === undefined ? {} : { catchUpLimit }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(start === undefined ? {} : { startTime: timestampFromDate(start) }),
    ...(end === undefined ? {} : { endTime: timestampFromDate(end) }),
  };
}

type Timing = NonNullable<MessageInitShape<typeof ScheduleSpecSchema>["timing"]>;

function timingOf({ cron, timezone, every }: Options): Timing {
  if ((cron === undefined) === (every === undefined))
    throw usage("give exactly one of --cron and --every", 'for example --cron "30 2 * * *", or --every 15m');
  if (every !== undefined && timezone !== undefined)
    throw usage("--timezone belongs to --cron", "leave it out: --every is the same in every time zone");
  if (cron === undefined) return { case: "every", value: durationFromMs(every ?? 0) };
  return { case: "cron", value: { expression: cron, timezone: timezone ?? "" } };
}

function usage(message: string, remedy: string): CliError {
  return new CliError(message, { exitCode: ExitCode.USAGE, remedy });
}
