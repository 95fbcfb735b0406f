/** `muster submit TYPE`: submits a task. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { whileFull } from "@muster/common/while-full";
import type { SubmittedTask, TaskSpecSchema, Warning } from "@muster/protocol";
import {
  SubmittedTaskSchema,
  TaskSchema,
  TaskState,
  UniqueConflictOutcome,
  UniqueConflictPolicy,
  UniqueWhile,
} from "@muster/protocol";
import type { Command } from "commander";
import { type ApiSession, present, withApiSession } from "../../api/api-session.ts";
import { awaitTask, badEnd } from "../../api/wait.ts";
import { argument, enumChoices, enumNameOf } from "../../arguments/parse.ts";
import { type After, after } from "../../arguments/tasks/after.ts";
import type { Payload } from "../../arguments/tasks/payload.ts";
import { readPayload } from "../../arguments/tasks/payload.ts";
import { addTaskOptions, type TaskOptions, taskFields } from "../../arguments/tasks/task-options.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { enumName } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { writeResult } from "../../output/result.ts";
import { oneLine } from "../../output/text.ts";

/** Time allowed for the export of the trace, milliseconds. */
const EXPORT_MS = 2_000;

/** The policies by the names that they have here: `return` is a word of too many languages for the API. */
const ON_CONFLICT = {
  RETURN: UniqueConflictPolicy.RETURN_HOLDER,
  REPLACE: UniqueConflictPolicy.REPLACE,
  REFUSE: UniqueConflictPolicy.REFUSE,
} as const;

interface Options extends TaskOptions {
  readonly delay?: number;
  readonly uniqueKey?: string;
  readonly uniqueWhile?: UniqueWhile;
  readonly uniqueWindow?: number;
  readonly onConflict?: UniqueConflictPolicy;
  readonly after?: After[];
  readonly batch?: string;
  readonly roomTimeout?: number;
  readonly contentType?: string;
  readonly wait?: true;
  readonly waitTimeout?: number;
  readonly json?: true;
}

/** `muster submit TYPE [PAYLOAD]`: submits a task. */
export function defineSubmit(command: Command, io: Io): void {
  const duration = argument(parseDuration);
  command
    .argument("<type>", "task type: the name of its handler")
    .argument("[payload]", "JSON, @FILE for a file's content, or - for standard input")
    .description("Submits a task and prints its id. Exit code 0 means that the task is stored durably.");
  addTaskOptions(command)
    .option("--delay <duration>", "delay before the task may start, for example 90s or 1h30m", duration)
    .option("--unique-key <key>", "key that at most one task of the queue holds; see below")
    .option(
      "--unique-while <states>",
      `states that hold the key: ${enumChoices(UniqueWhile).join(", ")}`,
      enumNameOf(UniqueWhile),
    )
    .option("--unique-window <duration>", "hold the key at least this long, in any state", duration)
    .option(
      "--on-conflict <policy>",
      `when the key is held: ${enumChoices(ON_CONFLICT).join(", ")}; default: return`,
      enumNameOf(ON_CONFLICT),
    )
    .option(
      "--after <id>",
      "start when this task has succeeded, or with id:ended when it has ended; repeatable; see below",
      after,
    )
    .option("--batch <id>", "make it a member of this batch; `muster batch create` prints an id")
    .option(
      "--room-timeout <duration>",
      "how long to wait for room in a full queue; default: a full queue is an error",
      duration,
    )
    .option("--content-type <type>", "media type of the payload; default: see below")
    .option("--wait", "show progress on stderr until the task ends, then its result on stdout")
    .option(
      "--wait-timeout <duration>",
      "like --wait, but at most this long; then the exit code is 6",
      duration,
    )
    .option("--json", "print the SubmittedTask, or with --wait the Task, as JSON")
    .addHelpText(
      "after",
      `
Payload: an argument and standard input are sent as application/json unless
--content-type is given. The media type of a file follows from its name (.png is
image/png), else it is application/octet-stream. A JSON payload must be valid;
its byte-order mark is removed. All other bytes are sent unchanged. Without a
payload the task has none.

Unique key: a task holds its key while it is in one of the states of
--unique-while (default: open_or_succeeded; queued with --on-conflict replace).
A submit whose key is held returns the holder. With "replace" a holder that is
queued gets payload and options of this submit; one that is not, and any holder
with "refuse", ends the command with exit code 4 and UNIQUE_KEY_HELD.

Concurrency key: with KEY=N,cancel-newest the task ends at once as cancelled when N
tasks with the key are open. With KEY=N,cancel-running the oldest tasks that have
the key with this policy are cancelled, and the new one starts when they ended.
With KEY=N,strict the tasks that have the key with "strict" start in the order of
their ids: none while an older one waits, whatever for.

Dependencies: with --after t-1 --after t-2:ended the task starts when t-1 has
succeeded and t-2 has ended; --delay and --queue-timeout begin then. When t-1 fails
or is cancelled, the task ends in the same way with DEPENDENCY_FAILED.

With --wait the exit code is 0 when the task succeeded and 1 when it failed or
was cancelled. Ctrl-C ends the wait, not the task; so does --wait-timeout, with
exit code 6.

Examples:
  $ muster submit greet '{"name": "Ada"}' --wait
  $ muster submit greet '{"name": "Ada"}' --wait-timeout 30s
  $ muster submit ocr.page @page.png --wait > page.json
  $ muster submit report.build --concurrency customer-17=1
  $ muster submit model.train @train.json --cost gpu_memory_mb=8000
  $ muster submit site.deploy --concurrency site-4=1,cancel-running
  $ muster submit order.change @change.json --concurrency order-17=1,strict
  $ muster submit mail.send @mail.json --rate-limit smtp=100/1m
  $ muster submit card.charge @card.json --circuit provider-a,rate=0.3,open=1m
  $ muster submit page.index --after t-1042,t-1043
  $ muster submit report.build --fairness-key tenant-7
  $ muster submit order.check - --unique-key order-17 < order.json
  $ muster submit index.site @site.json --delay 5s --unique-key site-4 --on-conflict replace
  $ id=$(muster submit video.cut @cut.json --delay 1h30m --run-timeout 2h)`,
    )
    .action((type: string, payload: string | undefined, options: Options, self: Command) =>
      submit(type, payload, options, self, io),
    );
  addConnectionOptions(command);
}

async function submit(
  type: string,
  argumentText: string | undefined,
  options: Options,
  command: Command,
  io: Io,
): Promise<void> {
  const payload = await readPayload(argumentText, options.contentType, io.stdin);
  // Imported here: other commands need not load it.
  const { startOtel } = await import("@muster/worker/otel");
  const otel = await startOtel({
    serviceName: "muster-cli",
    exportTimeoutMs: EXPORT_MS,
    onError: (why) => warn(`no trace was exported: ${why}`, io),
  });
  try {
    await withApiSession(command, io, (session) => submitIn(session, type, payload, options, io));
  } finally {
    await otel.stop(EXPORT_MS);
  }
}

async function submitIn(
  session: ApiSession,
  type: string,
  payload: Payload,
  options: Options,
  io: Io,
): Promise<void> {
  const request = { tasks: [taskSpec(type, payload, options)] };
  const response = await whileFull(
    () => session.tasks.submitTasks(request, session.call),
    options.roomTimeout ?? 0,
    { monotonicMs: io.clock.monotonic, sleep: (ms) => io.clock.sleep(ms) },
  );
  const submitted = present(response.tasks[0], "the submitted task");
  for (const { code, message } of submitted.warnings) warn(`${code} ${message}`, io);
  if (!options.wait && options.waitTimeout === undefined) {
    if (options.json) writeJson(io.stdout, SubmittedTaskSchema, submitted);
    else writeSubmitted(submitted, io);
    return;
  }
  if (!options.json) noteAnswer(submitted, io);
  const task = await awaitTask(session, submitted.taskId, io, {
    quiet: options.json === true,
    limitMs: options.waitTimeout,
  });
  if (options.json) writeJson(io.stdout, TaskSchema, task);
  const failure = badEnd(task);
  if (failure !== undefined) throw failure;
  if (options.json) return;
  for (const warning of task.warnings) noteWarning(warning, io);
  writeResult(task, io);
}

function taskSpec(
  type: string,
  { bytes, contentType }: Payload,
  options: Options,
): MessageInitShape<typeof TaskSpecSchema> {
  const { delay } = options;
  return {
    taskType: type,
    payload: bytes,
    contentType,
    ...taskFields(options),
    uniqueKey: options.uniqueKey ?? "",
    ...uniqueRule(options),
    after: options.after ?? [],
    batchId: options.batch ?? "",
    ...(delay === undefined ? {} : { schedule: { case: "delay", value: durationFromMs(delay) } }),
  };
}

function uniqueRule({ uniqueWhile, uniqueWindow, onConflict }: Options) {
  if (uniqueWhile === undefined && uniqueWindow === undefined && onConflict === undefined) return {};
  return {
    uniqueRule: {
      ...(uniqueWhile === undefined ? {} : { heldWhile: uniqueWhile }),
      ...(uniqueWindow === undefined ? {} : { window: durationFromMs(uniqueWindow) }),
      ...(onConflict === undefined ? {} : { onConflict }),
    },
  };
}

function writeSubmitted(submitted: SubmittedTask, io: Io): void {
  io.stdout.write(`${submitted.taskId}\n`);
  noteAnswer(submitted, io);
  if (!io.stdout.isTTY || !io.stderr.isTTY) return;
  io.stderr.write(`${io.stderr.colors.dim(`\`muster task ${submitted.taskId}\` shows it`)}\n`);
}

/** A secondary step of a succeeded task failed. */
function noteWarning({ step, code, message }: Warning, io: Io): void {
  warn(`${step}: ${code} ${message}`, io);
}

function warn(text: string, { stderr }: Io): void {
  stderr.write(`${stderr.colors.yellow("warning:")} ${oneLine(text)}\n`);
}

/** What the submit met when its unique key was held, and what its concurrency keys did. */
function noteAnswer(submitted: SubmittedTask, io: Io): void {
  noteConflict(submitted, io);
  const { taskId, concurrency } = submitted;
  if (!concurrency) return;
  const { limitReached, cancelledTaskIds } = concurrency;
  const note = (text: string) => io.stderr.write(`${io.stderr.colors.yellow("note:")} ${oneLine(text)}\n`);
  if (limitReached)
    note(
      `${taskId} was cancelled: the limit of ${limitReached.limit} for the concurrency key ${JSON.stringify(limitReached.key)} is reached by ${limitReached.taskIds.join(", ") || "no task"}`,
    );
  if (cancelledTaskIds.length > 0) note(`${taskId} takes the place of ${cancelledTaskIds.join(", ")}`);
}

/** What the submit met when its unique key was held. */
function noteConflict({ taskId, duplicate, conflict }: SubmittedTask, { stderr }: Io): void {
  const replaced = conflict?.outcome === UniqueConflictOutcome.REPLACED;
  if (!replaced && !duplicate) return;
  const state = conflict === undefined ? "" : `, which is ${enumName(TaskState, conflict.holderState)},`;
  const text = replaced
    ? `the unique key is held: ${taskId} waited, and has the payload and options of this submit now`
    : `the unique key is taken: ${taskId}${state} was submitted earlier`;
  stderr.write(`${stderr.colors.yellow("note:")} ${text}\n`);
}
