/** Shows one task as text. */
import { timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "@muster/common/text/duration-text";
import type { Attempt, Task, TaskStep } from "@muster/protocol";
import {
  FailureClass,
  parentOf,
  RetryPolicySource,
  StepState,
  TaskState,
  UniqueWhile,
} from "@muster/protocol";
import { showConcurrencyKey } from "../../arguments/tasks/concurrency.ts";
import { isText } from "../../arguments/tasks/media-type.ts";
import type { Colors, Io } from "../../io/io.ts";
import { ageCell, durationCell, enumName, labelsText, momentCell, taskStateCell } from "../cells.ts";
import type { Cell } from "../table.ts";
import { writeFields, writeTable } from "../table.ts";
import { cut, formatBytes, oneLine, printable } from "../text.ts";
import { backoffText, delaysText } from "../words/backoff-text.ts";
import { describeEncoded, isEncodedType } from "../words/encoded.ts";
import { factsText, sumsText } from "../words/facts-text.ts";
import { progressLine } from "../words/progress-text.ts";
import { rateText } from "../words/rate-text.ts";

/** Characters of a result or payload that are shown. */
const EXCERPT = 400;

const ATTEMPT_COLUMNS = [
  { title: "ATTEMPT" },
  { title: "OUTCOME", shrink: "last" },
  { title: "WORKER", shrink: "first" },
  { title: "ASSIGNED" },
  { title: "TOOK" },
  { title: "FAILURE", shrink: "last" },
] as const;

/** Shows one task with all its fields. @param expected What its handler has said of its silence. */
export function writeTask(task: Task, { stdout, clock }: Io, expected?: string): void {
  const now = clock.now();
  const { colors } = stdout;
  const state = taskStateCell(task, colors);
  const detail = task.detail === state.text ? "" : task.detail;
  writeFields(stdout, [
    ["id", task.id],
    [
      "state",
      { ...state, text: detail === "" ? state.text : `${state.text} (${detail})`, plain: state.text },
    ],
    ["detail", stdout.isTTY ? undefined : task.detail],
    ["type", task.taskType],
    ["queue", task.queue],
    ["priority", task.priority === 0 ? undefined : String(task.priority)],
    ["unique key", unlessEmpty(task.uniqueKey)],
    ["key held while", heldWhile(task)],
    ["concurrency", unlessEmpty(task.concurrency.map(showConcurrencyKey).join(" "))],
    ["rate limits", unlessEmpty(task.rateLimits.map((limit) => `${limit.key}=${rateText(limit)}`).join(" "))],
    ["circuit", task.circuit?.key],
    ["schedule", scheduleCell(task)],
    ["fairness", task.fairness && `${task.fairness.key}, weight ${task.fairness.weight}`],
    ["hold reason", task.hold?.reason],
    ["held since", momentCell(task.hold?.holdTime, now)],
    ["parent", parentOf(task.tags)],
    ["tags", unlessEmpty(task.tags.join(" "))],
    ["requires", unlessEmpty(requirementsText(task))],
    ["cost", unlessEmpty(costText(task))],
    ["headers", unlessEmpty(labelsText(task.headers))],
    ["worker", unlessEmpty(workerText(task))],
    ["attempt", unlessEmpty(attemptText(task))],
    ["retries", retryText(task)],
    ["iterations", unlessEmpty(iterationsText(task))],
    ["progress", unlessEmpty([task.phase, progressLine(task.progress, now)].filter(Boolean).join(" "))],
    ["expected", expected],
    ["earlier progress", unlessEmpty(progressLine(task.earlierProgress, now))],
    ["checkpoint", checkpointText(task, now)],
    ...task.steps.map((step): [string, Cell] => ["step", stepCell(step, colors)]),
    ["submitted", momentCell(task.createTime, now)],
    ["may start", momentCell(task.runTime, now)],
    ["assigned", momentCell(task.assignTime, now)],
    ["accepted", momentCell(task.acceptTime, now)],
    ["started", momentCell(task.startTime, now)],
    ["ended", momentCell(task.finishTime, now)],
    ["cancel requested", momentCell(task.cancelTime, now)],
    ["cancel reason", unlessEmpty(task.cancelReason)],
    ["took", task.metrics?.runDuration && durationCell(task.metrics.runDuration)],
    ["phases", unlessEmpty(phasesText(task))],
    ["peak memory", memoryCell(task)],
    ["measured", unlessEmpty(sumsText(task.measured))],
    ["failure", task.failure && { text: failureText(task), paint: colors.red }],
    ...task.warnings.map(({ step, code, message }): [string, Cell] => [
      "warning",
      { text: `${step}: ${code} ${message}`, paint: colors.yellow },
    ]),
    ["payload", bodyCell(task.payload, task.contentType)],
    [
      "result",
      task.state === TaskState.SUCCEEDED ? bodyCell(task.output, task.outputContentType) : undefined,
    ],
    ...(stdout.isTTY ? [] : task.attempts.map(earlierAttempt)),
    ...(stdout.isTTY || task.omittedAttemptCount === 0
      ? []
      : [["omitted attempts", String(task.omittedAttemptCount)] as [string, string]]),
  ]);
  if (!stdout.isTTY) return;
  if (task.attempts.length > 0) {
    stdout.write("\n");
    const measured = task.attempts.some((attempt) => Object.keys(attempt.measured).length > 0);
    writeTable(
      stdout,
      measured ? [...ATTEMPT_COLUMNS, { title: "MEASURED", shrink: "last" }] : ATTEMPT_COLUMNS,
      task.attempts.map((attempt) => [
        ...attemptRow(attempt, now),
        ...(measured ? [sumsText(attempt.measured)] : []),
      ]),
    );
    if (task.omittedAttemptCount > 0)
      stdout.write(`${colors.dim(`${task.omittedAttemptCount} more attempts in the middle are omitted`)}\n`);
  }
  const traceback = task.failure?.traceback ?? "";
  const details = task.failure?.details ?? "";
  if (details !== "") stdout.write(`\n${colors.dim("details")}\n${printable(details)}\n`);
  if (traceback !== "") stdout.write(`\n${colors.dim("traceback")}\n${printable(traceback).trimEnd()}\n`);
}

/** The failure of a task in one line. */
export function failureText({ failure }: Pick<Task, "failure">): string {
  if (failure === undefined) return "";
  const name =
    failure.failureClass === FailureClass.UNSPECIFIED ? "" : enumName(FailureClass, failure.failureClass);
  // The code NON_RETRYABLE of the class non_retryable is shown once.
  const kind = name === "" || name === failure.code.toLowerCase() ? "" : ` (${name})`;
  return oneLine(
    [`${failure.code}${kind}`, failure.message, factsText(failure.facts)].filter(Boolean).join(" "),
  );
}

function earlierAttempt(attempt: Attempt): [string, string] {
  return [
    "earlier attempt",
    [attempt.id, attempt.outcome, workerText(attempt), failureText(attempt), sumsText(attempt.measured)]
      .filter(Boolean)
      .join(" "),
  ];
}

/** `gpu-7`, or `gpu-7 (build 12)`. */
function workerText({ workerId, buildId }: { readonly workerId: string; readonly buildId: string }): string {
  return buildId === "" ? workerId : `${workerId} (build ${buildId})`;
}

function attemptRow(attempt: Attempt, now: number): (Cell | string)[] {
  const { assignTime, endTime, startTime } = attempt;
  const began = startTime ?? assignTime;
  const took =
    began === undefined || endTime === undefined
      ? undefined
      : { seconds: endTime.seconds - began.seconds, nanos: endTime.nanos - began.nanos };
  return [
    attempt.id,
    attempt.outcome,
    workerText(attempt),
    ageCell(assignTime, now),
    took === undefined ? "" : durationCell({ $typeName: "google.protobuf.Duration", ...took }),
    failureText(attempt),
  ];
}

function attemptText({ attemptId, attemptCount, retryPolicy }: Task): string {
  if (attemptId === "") return "";
  const retries = retryPolicy?.maxRetryCount;
  return `${attemptId}, number ${attemptCount}${retries === undefined ? "" : outOf(attemptCount, retries + 1)}`;
}

/** A policy may allow fewer than there were: it was edited, or a mode lets attempts go beyond it. */
function outOf(count: number, allowed: number): string {
  return count <= allowed ? ` of ${allowed}` : `; its policy allows ${allowed}`;
}

/** Iterations that have begun, with the budget. */
function iterationsText({ iterationCount, maxIterationCount }: Task): string {
  if (maxIterationCount > 0) return `${iterationCount} of ${maxIterationCount}`;
  return iterationCount > 0 ? String(iterationCount) : "";
}

/** A named step, with why it failed. */
function stepCell({ name, state, optional, code, message }: TaskStep, colors: Colors): Cell {
  const word = enumName(StepState, state).toLowerCase();
  const why = state === StepState.FAILED ? `: ${code} ${message}` : "";
  const text = `${name} ${word}${optional ? " (optional)" : ""}${why}`;
  return state === StepState.FAILED ? { text, paint: optional ? colors.yellow : colors.red } : { text };
}

/** The last checkpoint, with its size and age. */
function checkpointText({ checkpoint }: Task, now: number): string | undefined {
  if (checkpoint === undefined) return undefined;
  const { attemptId, valueBytes, contentType, updateTime } = checkpoint;
  const age = updateTime === undefined ? "" : `, stored ${formatAge(now - timestampMs(updateTime))}`;
  return `${formatBytes(Number(valueBytes))} of ${contentType} by ${attemptId}${age}`;
}

/** The policy that applies now, with the source of each part. */
function retryText({ retryPolicy, retryPolicySources, queue }: Task): string | undefined {
  if (retryPolicy === undefined || retryPolicySources === undefined) return undefined;
  const from = (source: RetryPolicySource) => RETRY_SOURCES[source]?.(queue) ?? "source unknown";
  const { maxRetryCount, backoff, lostBackoff } = retryPolicySources;
  const lost = retryPolicy.lostBackoff;
  return [
    `${retryPolicy.maxRetryCount} (${from(maxRetryCount)})`,
    `waits ${backoffText(retryPolicy.backoff)} (${from(backoff)})`,
    ...(lost === undefined ? [] : [`after a lost worker ${delaysText(lost)} (${from(lostBackoff)})`]),
  ].join(", ");
}

const RETRY_SOURCES: Readonly<Partial<Record<RetryPolicySource, (queue: string) => string>>> = {
  [RetryPolicySource.TASK]: () => "of the task",
  [RetryPolicySource.QUEUE]: (queue) => `default of queue ${queue}`,
  [RetryPolicySource.SCHEDULER]: () => "default of the scheduler",
  [RetryPolicySource.BUILT_IN]: () => "built-in default",
};

function requirementsText({ requirements }: Task): string {
  if (requirements === undefined) return "";
  return [labelsText(requirements.labels), requirements.resources.join(" ")].filter(Boolean).join(" ");
}

function costText({ requirements }: Task): string {
  return Object.entries(requirements?.cost ?? {})
    .map(([name, amount]) => `${name}=${amount}`)
    .join(" ");
}

function phasesText({ metrics }: Task): string {
  const phases = metrics?.phases ?? [];
  return phases
    .map(
      ({ phase, duration, failed }) => `${phase} ${durationCell(duration).text}${failed ? " (failed)" : ""}`,
    )
    .join(", ");
}

/** The schedule that submitted it, with the tick. */
function scheduleCell({ scheduleTick }: Task): string | undefined {
  if (scheduleTick?.tickTime === undefined) return undefined;
  const tick = timestampDate(scheduleTick.tickTime).toISOString();
  return `${scheduleTick.schedule}, ${scheduleTick.manual ? "run on request at" : "tick of"} ${tick}`;
}

/** How long the task holds its unique key, where that is not the default. */
function heldWhile({ uniqueRule }: Task): string | undefined {
  if (uniqueRule === undefined) return undefined;
  const { heldWhile: states, window } = uniqueRule;
  if (states === UniqueWhile.OPEN_OR_SUCCEEDED && window === undefined) return undefined;
  const most = window === undefined ? "" : `, and for ${durationCell(window).text} after its submit`;
  return `${enumName(UniqueWhile, states)}${most}`;
}

function memoryCell({ metrics }: Task): Cell | undefined {
  const bytes = Number(metrics?.peakRssBytes ?? 0n);
  return bytes === 0 ? undefined : { text: formatBytes(bytes), plain: String(bytes) };
}

function bodyCell(bytes: Uint8Array, contentType: string): Cell {
  if (bytes.byteLength === 0) return { text: "none" };
  const kind = contentType || "application/json";
  if (isEncodedType(kind)) return { text: oneLine(printable(describeEncoded(bytes))) };
  const size = `${formatBytes(bytes.byteLength)} of ${kind}`;
  if (!isText(kind)) return { text: size };
  const text = oneLine(new TextDecoder().decode(bytes.subarray(0, 4 * EXCERPT)));
  return { text: `${size}: ${cut(text, EXCERPT)}` };
}

function unlessEmpty(text: string): string | undefined {
  return text === "" ? undefined : text;
}
