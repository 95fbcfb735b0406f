/** `muster queue set`: sets settings of a queue, or takes them back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import {
  type ConfigureQueueRequestSchema,
  type FixedBackoff,
  QueueSchema,
  QueueSetting,
} from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { type ModeChange, parseModes } from "../../arguments/modes.ts";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { type Backoff, parseBackoff, parseDelays } from "../../arguments/tasks/backoff.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { queueSettingsText } from "../../output/words/queue-settings-text.ts";

/** The value of an option that takes the setting back. */
const DEFAULT = "default";

interface Options {
  readonly maxRetries?: number | typeof DEFAULT;
  readonly backoff?: Backoff | typeof DEFAULT;
  readonly lostBackoff?: FixedBackoff | typeof DEFAULT;
  readonly retention?: number | typeof DEFAULT;
  readonly mode?: ModeChange;
  readonly reason?: string;
  readonly json?: true;
}

/** Adds the command to `muster queue`. */
export function defineQueueSet(command: Command, io: Io): void {
  command
    .argument("<name>", "queue name; a queue that does not exist is created")
    .description(
      "Sets settings of a queue. Those that are not named stay as they are; `default` takes one back.",
    )
    .option(
      "--max-retries <n>",
      "retries of tasks that name no number, 0 to 1000, or default",
      orDefault(wholeNumber(0, 1_000)),
    )
    .option(
      "--backoff <waits>",
      "waits before the retries of tasks that name none: 1m,5m,30m, or 1s,factor=2,max=1h,jitter=0.1, or default",
      orDefault(argument(parseBackoff)),
    )
    .option(
      "--lost-backoff <waits>",
      "waits after attempts that were lost with their worker, of tasks that name none: 1m,5m,30m, or default",
      orDefault(argument(parseDelays)),
    )
    .option(
      "--retention <days>",
      "how long its ended tasks are kept: whole days, for example 2d, at most --keep-days of the scheduler, or default",
      orDefault(argument(parseDuration)),
    )
    .option(
      "--mode <mechanism=mode,...>",
      "what unaccepted, forgotten, attempt_limits or poison may do: off, observe, act or default",
      argument(parseModes),
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText(
      "after",
      `
The settings also apply to tasks that were submitted before. The retention counts from
the end of a task; a day of ended tasks is deleted as a whole. A value of the task's
own retry policy goes before the queue, and the queue before the scheduler
(\`muster serve --max-retries\`). \`muster task ID\` shows what applies to a task.

Examples:
  $ muster queue set nightly --max-retries 10 --reason "the mail server is slow"
  $ muster queue set nightly --backoff 10s,factor=2,max=10m
  $ muster queue set previews --retention 2d
  $ muster queue set nightly --mode attempt_limits=observe,poison=observe
  $ muster queue set nightly --max-retries default --backoff default`,
    )
    .action((name: string, options: Options, self: Command) => setQueue(name, options, self, io));
  addConnectionOptions(command);
}

async function setQueue(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const request = { queue: name, ...change(options), reason: signed(options.reason) };
  const queue = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.configureQueue(request, call)).queue, "a queue"),
  );
  if (options.json) return writeJson(io.stdout, QueueSchema, queue);
  const settings = queueSettingsText(queue.settings);
  io.stdout.write(`${queue.name} has ${settings === "" ? "no settings of its own" : settings}\n`);
}

/** @throws CliError when no setting is named. */
function change({
  maxRetries,
  backoff,
  lostBackoff,
  retention,
  mode,
}: Options): MessageInitShape<typeof ConfigureQueueRequestSchema> {
  const cleared = [
    ...(maxRetries === DEFAULT ? [QueueSetting.MAX_RETRY_COUNT] : []),
    ...(backoff === DEFAULT ? [QueueSetting.BACKOFF] : []),
    ...(lostBackoff === DEFAULT ? [QueueSetting.LOST_BACKOFF] : []),
    ...(retention === DEFAULT ? [QueueSetting.RETENTION] : []),
    ...(mode?.clear ?? []),
  ];
  const settings = {
    ...(maxRetries === undefined || maxRetries === DEFAULT ? {} : { maxRetryCount: maxRetries }),
    ...(backoff === undefined || backoff === DEFAULT ? {} : { backoff }),
    ...(lostBackoff === undefined || lostBackoff === DEFAULT ? {} : { lostBackoff }),
    ...(retention === undefined || retention === DEFAULT ? {} : { retention: durationFromMs(retention) }),
    ...mode?.set,
  };
  if (cleared.length === 0 && Object.keys(settings).length === 0)
    throw new CliError("no setting is named; give one, for example --max-retries 10", {
      exitCode: ExitCode.USAGE,
    });
  return { settings, cleared };
}

/** The parser, or `default`. */
function orDefault<T>(parse: (text: string) => T): (text: string) => T | typeof DEFAULT {
  return (text) => (text === DEFAULT ? DEFAULT : parse(text));
}
