/** `muster submit TYPE`: submits a task. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { whileFull } from "@muster/common/while-full";
import type { CircuitRule, CostRaise, SubmittedTask, TaskSpecSchema, Warning } from "@muster/protocol";
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
import { type After, after } from "../../arguments/after.ts";
import { circuitRule } from "../../arguments/circuit.ts";
import { type ConcurrencyKey, concurrencyKey } from "../../arguments/concurrency.ts";
import { costAmount, costRaise } from "../../arguments/cost.ts";
import { parseDuration } from "../../arguments/duration.ts";
import { argument, collect, enumChoices, enumNameOf, keyValue, wholeNumber } from "../../arguments/parse.ts";
import type { Payload } from "../../arguments/payload.ts";
import { readPayload } from "../../arguments/payload.ts";
import { type KeyRate, keyRate, rateLimitMessage } from "../../arguments/rate.ts";
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

interface Options {
  readonly queue?: string;
  readonly priority?: number;
  readonly delay?: number;
  readonly uniqueKey?: string;
  readonly uniqueWhile?: UniqueWhile;
  readonly uniqueWindow?: number;
  readonly onConflict?: UniqueConflictPolicy;
  readonly concurrency?: ConcurrencyKey[];
  readonly cost?: Record<string, bigint>;
  readonly rateLimit?: KeyRate[];
  readonly circuit?: CircuitRule;
  readonly after?: After[];
  readonly batch?: string;
  readonly header?: Record<string, string>;
  readonly label?: Record<string, string>;
  readonly resource?: string[];
  readonly fairnessKey?: string;
  readonly fairnessWeight?: number;
  readonly maxRetries?: number;
  readonly retryTimeouts: boolean;
  readonly oomLabel?: Record<string, string>;
  readonly oomCost?: Record<string, CostRaise>;
  readonly runTimeout?: number;
  readonly queueTimeout?: number;
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
    .description("Submits a task and prints its id. Exit code 0 means that the task is stored durably.")
    .option("--queue <name>", "queue name; default: default")
    .option("--priority <n>", "-1000 to 1000, higher first; default 0", wholeNumber(-1000, 1000))
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
      "--concurrency <key=n>",
      "start only while fewer than n tasks hold this key; repeatable; see below",
      concurrencyKey,
    )
    .option(
      "--cost <name=n>",
      "take n of this capacity of the worker, for example slots=2; repeatable",
      costAmount,
    )
    .option(
      "--rate-limit <key=n/period>",
      "start only n tasks with this key in each period, for example smtp=100/1m, or smtp=100/1m:10 with a burst of 10; repeatable",
      keyRate,
    )
    .option(
      "--circuit <rule>",
      "circuit breaker: KEY, or KEY,rate=0.5,window=1m,samples=10,open=30s,max-open=10m,probes=1",
      argument(circuitRule),
    )
    .option(
      "--after <id>",
      "start when this task has succeeded, or with id:ended when it has ended; repeatable; see below",
      after,
    )
    .option("--fairness-key <key>", "tasks of the queue take turns by their keys, for example by tenant")
    .option("--fairness-weight <n>", "share of the key, 1 to 1000; default 1", wholeNumber(1, 1_000))
    .option("--batch <id>", "make it a member of this batch; `muster batch create` prints an id")
    .option("--header <k=v>", "metadata for the worker; repeatable", keyValue)
    .option("--label <k=v>", "require a worker with this label; repeatable", keyValue)
    .option("--resource <name>", "require a worker with this resource loaded; repeatable", collect)
    .option(
      "--max-retries <n>",
      "maximum number of retries after the first attempt; default 3",
      wholeNumber(0, 1000),
    )
    .option("--run-timeout <duration>", "time limit of an attempt; default: none", duration)
    .option(
      "--oom-label <k=v>",
      "require a worker with this label after the task ran out of memory; repeatable",
      keyValue,
    )
    .option(
      "--oom-cost <name=raise>",
      "raise this cost each time that the task ran out of memory: memory_mb=x2, memory_mb=+4000, with a limit memory_mb=x2,max=24000; repeatable",
      costRaise,
    )
    .option("--no-retry-timeouts", "fail at the first attempt that passes its time limit; default: retry")
    .option(
      "--queue-timeout <duration>",
      "time limit of the wait for the first start; default: none",
      duration,
    )
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
  const { delay, runTimeout, queueTimeout } = options;
  return {
    taskType: type,
    payload: bytes,
    contentType,
    queue: options.queue ?? "",
    priority: options.priority ?? 0,
    uniqueKey: options.uniqueKey ?? "",
    ...uniqueRule(options),
    concurrency: options.concurrency ?? [],
    rateLimits: (options.rateLimit ?? []).map(rateLimitMessage),
    ...(options.circuit === undefined ? {} : { circuit: options.circuit }),
    after: options.after ?? [],
    ...fairness(options),
    batchId: options.batch ?? "",
    headers: options.header ?? {},
    requirements: {
      labels: options.label ?? {},
      resources: options.resource ?? [],
      cost: options.cost ?? {},
    },
    ...(delay === undefined ? {} : { schedule: { case: "delay", value: durationFromMs(delay) } }),
    ...retryPolicy(options),
    timeouts: {
      ...(runTimeout === undefined ? {} : { run: durationFromMs(runTimeout) }),
      ...(queueTimeout === undefined ? {} : { queueWait: durationFromMs(queueTimeout) }),
    },
  };
}

function retryPolicy({ maxRetries, retryTimeouts, oomLabel, oomCost }: Options) {
  const changes = oomLabel !== undefined || oomCost !== undefined;
  if (maxRetries === undefined && retryTimeouts && !changes) return {};
  return {
    retryPolicy: {
      ...(maxRetries === undefined ? {} : { maxRetryCount: maxRetries }),
      ...(retryTimeouts ? {} : { retryTimeouts }),
      ...(changes ? { onOutOfMemory: { labels: oomLabel ?? {}, cost: oomCost ?? {} } } : {}),
    },
  };
}

function fairness({ fairnessKey: key, fairnessWeight: weight }: Options) {
  if (key === undefined && weight === undefined) return {};
  return { fairness: { key: key ?? "", weight: weight ?? 0 } };
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
