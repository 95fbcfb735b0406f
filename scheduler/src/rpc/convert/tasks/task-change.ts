// A change of many tasks: its filter and what it does, checked, and how far it is.
import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { NAME, NAME_RULE, PHASE_NAME } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type { ChangeTasksRequest, ChangeTasksResponseSchema, RetryTasks, TaskFilter } from "@muster/protocol";
import type { ChangeProgress } from "../../../dispatch/changes/change-tally.ts";
import type { ChangeRequest } from "../../../dispatch/changes/task-changer.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { formatTaskId, parseTaskId } from "../../../domain/ids.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { parseBatchId } from "../../../domain/tasks/batch.ts";
import {
  allowedStates,
  type ChangeFilter,
  SKIPS,
  type TaskChange,
} from "../../../domain/tasks/task-change.ts";
import type { TaskState } from "../../../domain/tasks/task-state.ts";
import type { ChangePosition } from "../../../store/store.ts";
import { optional } from "../values/optional.ts";
import { storable } from "../values/text.ts";
import { durationFault, MAX_MS, toMs } from "../values/time.ts";
import { STEP_NAME_RULE, toStepCondition } from "./attempts/step.ts";
import { toTags } from "./tags.ts";
import { toTaskState } from "./task.ts";
import { toErrorText } from "./task-list.ts";

const MAX_IDS = 10_000;
const MAX_STATES = 16;
const MAX_VALUES = 100;
const MAX_PRIORITY = 1_000;
const MAX_KEY_BYTES = 512;
const MAX_REASON = 1_024;

/** Violations that are kept; more do not fit into an error, and are counted. */
const MAX_VIOLATIONS = 50;

type Report = (field: string, description: string) => void;

/**
 * A valid change from what a caller sent.
 *
 * @throws Refusal `INVALID_REQUEST` with every fault at once, `INVALID_PAGE_TOKEN`
 */
export function toChangeRequest(request: ChangeTasksRequest): ChangeRequest {
  const violations: Violation[] = [];
  const report: Report = (field, description) => violations.push({ field, description });
  const change = toChange(request, report);
  const given = toFilter(request.filter, change, report);
  const filter = withStep(given, change);
  if (!change) report(NO_CHANGE.field, NO_CHANGE.description);
  const isMissing = !request.all && isEmpty(filter);
  if ((isMissing || (request.all && !isEmpty(given))) && violations.length === 0)
    report(
      "all",
      request.all
        ? "is true, and the filter has a condition; leave one of them out"
        : "is false, and the filter has no condition: set a condition, or all for every task",
    );
  const [first, ...further] = violations;
  if (first || !change) throw invalidRequest(first ?? NO_CHANGE, ...further.slice(0, MAX_VIOLATIONS - 1));
  return {
    change,
    filter,
    reason: storable(request.reason, MAX_REASON) || "asked by a caller",
    dryRun: request.dryRun,
    from: request.continueToken === "" ? undefined : parseToken(request.continueToken, change, filter),
  };
}

const NO_CHANGE: Violation = {
  field: "change",
  description:
    "is not set, or one of a newer version; set cancel_tasks, retry_tasks, move_tasks, set_priority or delete_tasks",
};

function toChange({ change }: ChangeTasksRequest, report: Report): TaskChange | undefined {
  switch (change.case) {
    case "cancelTasks":
      return { kind: "cancel" };
    case "retryTasks":
      return toRetry(change.value, report);
    case "deleteTasks":
      return { kind: "delete" };
    case "moveTasks": {
      const { queue, createQueue } = change.value;
      if (!NAME.test(queue)) report("move_tasks.queue", `${quoted(queue, 140)} ${NAME_RULE}`);
      return { kind: "move", queue, createQueue };
    }
    case "setPriority": {
      const { priority } = change.value;
      if (Math.abs(priority) > MAX_PRIORITY)
        report("set_priority.priority", `${priority} is not between -${MAX_PRIORITY} and ${MAX_PRIORITY}`);
      return { kind: "set_priority", priority };
    }
    case undefined:
      return undefined;
    default:
      throw new TypeError(`unknown change ${JSON.stringify(change satisfies never)}`);
  }
}

function toRetry({ afresh, step }: RetryTasks, report: Report): TaskChange {
  if (step === "") return { kind: "retry", afresh };
  if (!PHASE_NAME.test(step)) report("retry_tasks.step", `${quoted(step, 70)} ${STEP_NAME_RULE}`);
  if (afresh)
    report(
      "retry_tasks.step",
      "is given with afresh; leave one of them out: a step alone runs with what the others have kept",
    );
  return { kind: "retry", step };
}

/** Of a retry of a step alone, only tasks of which it has failed; those that are named are reported instead. */
function withStep(filter: ChangeFilter, change: TaskChange | undefined): ChangeFilter {
  const step = change?.kind === "retry" ? change.step : undefined;
  if (step === undefined || filter.step || filter.taskIds.length > 0) return filter;
  return { ...filter, step: { name: step, states: ["failed"] } };
}

function toFilter(
  given: TaskFilter | undefined,
  change: TaskChange | undefined,
  report: Report,
): ChangeFilter {
  const list = (field: string, values: readonly string[], most = MAX_VALUES): readonly string[] => {
    if (values.length > most) report(field, `has ${values.length} entries; at most ${most} are allowed`);
    values.forEach((value, index) => {
      if (value === "") report(`${field}[${index}]`, "is empty; leave it out");
    });
    return [...new Set(values.slice(0, most).map((value) => storable(value, 256)))];
  };
  const age = (field: string, duration: Duration | undefined): number | undefined => {
    const fault = duration && durationFault(duration, MAX_MS);
    if (fault) report(`filter.${field}`, fault);
    return toMs(duration);
  };
  const batchId = given?.batchId ? parseBatchId(given.batchId) : undefined;
  if (given?.batchId && batchId === undefined)
    report("filter.batch_id", `${quoted(given.batchId)} is no id of a batch; ids look like b-1042`);
  const uniqueKey = given?.uniqueKey ?? "";
  if (Buffer.byteLength(uniqueKey) > MAX_KEY_BYTES || uniqueKey.includes("\0"))
    report("filter.unique_key", `must have at most ${MAX_KEY_BYTES} bytes and no NUL`);
  return {
    taskIds: list("filter.task_ids", given?.taskIds ?? [], MAX_IDS).flatMap((text, index) => {
      const id = parseTaskId(text);
      if (id === undefined)
        report(`filter.task_ids[${index}]`, `${quoted(text)} is no id of a task; ids look like t-1042`);
      return id ?? [];
    }),
    states: toStates(given?.states ?? [], change, report),
    queues: list("filter.queues", given?.queues ?? []),
    types: list("filter.task_types", given?.taskTypes ?? []),
    details: list("filter.details", given?.details ?? []),
    failureCodes: list("filter.failure_codes", given?.failureCodes ?? []),
    tags:
      toTags([...new Set(given?.tags)], (field, description) => report(`filter.${field}`, description)) ?? [],
    errorText: toErrorText(given?.errorText ?? "", "filter.error_text", report),
    ...optional("topFrame", toTopFrame(given?.topFrame ?? "", report)),
    workerId: storable(given?.workerId ?? "", 256) || undefined,
    batchId,
    uniqueKey: uniqueKey || undefined,
    minAgeMs: age("min_age", given?.minAge),
    maxAgeMs: age("max_age", given?.maxAge),
    minEndedAgeMs: age("min_ended_age", given?.minEndedAge),
    maxEndedAgeMs: age("max_ended_age", given?.maxEndedAge),
    ...optional("step", toStepCondition(given?.step, "filter.step", report)),
  };
}

/** A longer text than a frame is ever shown with would meet no task. */
const MAX_FRAME = 300;

function toTopFrame(text: string, report: Report): string | undefined {
  if ([...text].length > MAX_FRAME || text.includes("\0"))
    report("filter.top_frame", `${quoted(text, 60)} must have at most ${MAX_FRAME} characters and no NUL`);
  return text === "" ? undefined : text;
}

function toStates(
  given: TaskFilter["states"],
  change: TaskChange | undefined,
  report: Report,
): readonly TaskState[] {
  if (given.length > MAX_STATES)
    report("filter.states", `has ${given.length} entries; at most ${MAX_STATES} are allowed`);
  const allowed = change ? allowedStates(change) : [];
  return given.slice(0, MAX_STATES).flatMap((value, index) => {
    const state = toTaskState(value);
    if (state === undefined || (change && !allowed.includes(state)))
      report(
        `filter.states[${index}]`,
        `${state ?? value} is no state of tasks for this change; allowed are ${allowed.join(", ")}`,
      );
    return state ?? [];
  });
}

function isEmpty(filter: ChangeFilter): boolean {
  return Object.values(filter).every(
    (value) => value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

/** How far a change is, in protobuf. */
export function fromProgress(
  { change, filter }: Pick<ChangeRequest, "change" | "filter">,
  { matched, done, requested, examined, skipped, left }: ChangeProgress,
): MessageInitShape<typeof ChangeTasksResponseSchema> {
  return {
    matchedCount: BigInt(matched),
    doneCount: BigInt(done),
    requestedCount: BigInt(requested),
    examinedCount: BigInt(examined),
    skipped: Array.from(skipped, ([code, { count, taskIds }]) => ({
      code,
      message: SKIPS[code],
      skippedCount: BigInt(count),
      taskIds: taskIds.map(formatTaskId),
    })),
    continueToken: left ? toToken(left, change, filter) : "",
    finished: left === undefined,
  };
}

type Left = NonNullable<ChangeProgress["left"]>;

/** The token has a digest of what it belongs to: it would skip tasks of another filter. */
function toToken({ cutOff, position }: Left, change: TaskChange, filter: ChangeFilter): string {
  const place =
    position.source === "open"
      ? [position.source, position.id, position.classId, position.priority]
      : [position.source, position.id];
  const text = JSON.stringify([digestOf(change, filter), cutOff.taskId, cutOff.timeMs, ...place]);
  return Buffer.from(`c1:${text}`).toString("base64url");
}

function parseToken(token: string, change: TaskChange, filter: ChangeFilter): Left {
  const text = Buffer.from(token, "base64url").toString("utf8");
  const [, digest, taskId, timeMs, source = "", id, classId, priority] = TOKEN.exec(text) ?? [];
  if (digest === undefined)
    throw refusedToken(token, "is not from ChangeTasks; pass continue_token unchanged");
  if (digest !== digestOf(change, filter))
    throw refusedToken(
      token,
      "belongs to another filter or change; pass it with those that it was given for",
    );
  return {
    cutOff: { taskId: Number(taskId), timeMs: Number(timeMs) },
    position: toPosition(source, Number(id), Number(classId), Number(priority)),
  };
}

const TOKEN =
  /^c1:\["([0-9a-f]{16})",(\d{1,16}),(\d{1,15}(?:\.\d{1,6})?),"(ids|members|open|ended)",(\d{1,16})(?:,(\d{1,10}),(-?\d{1,5}))?\]$/;

function toPosition(source: string, id: number, classId: number, priority: number): ChangePosition {
  if (source === "ids" || source === "members" || source === "ended") return { source, id };
  return { source: "open", id, classId: classId || 0, priority: priority || 0 };
}

function digestOf(change: TaskChange, filter: ChangeFilter): string {
  return createHash("sha256")
    .update(JSON.stringify([change, filter]))
    .digest("hex")
    .slice(0, 16);
}

function refusedToken(token: string, description: string): Refusal {
  return new Refusal("invalid", "INVALID_PAGE_TOKEN", `continue_token ${quoted(token)} ${description}`);
}
