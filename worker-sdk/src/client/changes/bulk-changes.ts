/** Changes of many tasks: cancels, retries, moves, reprioritises or deletes those that a filter lets through. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { PHASE_NAME } from "@muster/common/text/name-forms";
import type {
  ChangeTasksRequestSchema,
  ChangeTasksResponse,
  StepFilterSchema,
  Task,
  TaskService,
} from "@muster/protocol";
import { StepState, TaskState } from "@muster/protocol";
import { sleep } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import { Backoff, type Random } from "../../network/backoff.ts";
import { checkKnown, type OptionNames } from "../../options/known-options.ts";
import { checkSeconds } from "../../options/option-checks.ts";
import { OptionsError } from "../../options/options-error.ts";
import { isDropped } from "../connection/dropped.ts";
import { MusterError } from "../errors.ts";

const NAMES: OptionNames<BulkChangeOptions> = {
  ...{ reason: true, dryRun: true, all: true, continueToken: true, signal: true },
};

/** Calls in a row that may end without an answer before a change is given up. */
const MAX_FAILURES = 10;

/** Longest age, in seconds: a century. */
const MAX_AGE_S = 3_162_240_000;

/**
 * What is done to each task.
 *
 * - `"cancel"` ends open tasks; workers of running ones are asked to stop them.
 * - `"retry"` runs failed and cancelled tasks again, others where `states` names them.
 * - `{ retry: { afresh: true } }` does so without their checkpoints and steps.
 * - `{ retry: { step } }` runs this step alone again, of ended tasks of which it has failed.
 * - `"delete"` deletes the records of ended tasks, with attempts and outputs.
 * - `{ moveTo }` moves queued tasks to another queue; `createQueue` makes it when there is none.
 * - `{ priority }` sets the priority of queued tasks.
 */
export type BulkChange =
  | "cancel"
  | "retry"
  | "delete"
  | { readonly retry: { readonly afresh?: boolean; readonly step?: string } }
  | { readonly moveTo: string; readonly createQueue?: boolean }
  | { readonly priority: number };

/** Which tasks: conditions are joined by AND, the values of one by OR. What is left out lets everything through. */
export interface BulkFilter {
  /** Only these; at most 10,000. @default any */
  readonly taskIds?: readonly string[];
  /** Only these states. @default those that the change is for */
  readonly states?: readonly ("queued" | "assigned" | "running" | "succeeded" | "failed" | "cancelled")[];
  /** Only tasks of these queues. @default any */
  readonly queues?: readonly string[];
  /** Only tasks of these types. @default any */
  readonly types?: readonly string[];
  /** Only tasks that ended with one of these details, for example `RETRIES_EXHAUSTED`. @default any */
  readonly details?: readonly string[];
  /** Only tasks whose last failure has one of these codes, also while they wait for a retry. @default any */
  readonly failureCodes?: readonly string[];
  /**
   * Only tasks whose last failure has this text in its code or message, in upper or lower case; at most 256 bytes.
   *
   * @default any
   */
  readonly errorText?: string;
  /**
   * Only tasks whose last failure has this line of its traceback at the top, as the page of errors shows it; at most 300
   * characters.
   *
   * @default any
   */
  readonly topFrame?: string;
  /** Only tasks that have all of these tags. @default any */
  readonly tags?: readonly string[];
  /** Only tasks that this worker holds or held last. @default any */
  readonly workerId?: string;
  /** Only members of this batch. @default any */
  readonly batchId?: string;
  /** Only the task that this unique key belongs to, in each of `queues`, or in every queue. @default any */
  readonly uniqueKey?: string;
  /** Only tasks that were submitted at least so many seconds ago. @default any age */
  readonly minAgeS?: number;
  /** Only tasks that were submitted at most so many seconds ago. @default any age */
  readonly maxAgeS?: number;
  /** Only tasks that ended at least so many seconds ago. @default any */
  readonly minEndedAgeS?: number;
  /** Only tasks that ended at most so many seconds ago. @default any */
  readonly maxEndedAgeS?: number;
  /** Only tasks with this step of their handler. @default any */
  readonly step?: {
    /** Its name, `[a-z][a-z0-9_]{0,63}`. */
    readonly name: string;
    /** Only while it is in this state. @default any */
    readonly state?: "pending" | "done" | "failed";
  };
}

/** Options of `Client.changeTasks()`. */
export interface BulkChangeOptions {
  /** Who asks and why: recorded with each task. @default none */
  readonly reason?: string;
  /** Counts the tasks, and changes none. @default false */
  readonly dryRun?: boolean;
  /** Required for a filter without a condition: the change is for every task. @default false */
  readonly all?: boolean;
  /** `continueToken` of an earlier change with the same filter, which goes on. @default none */
  readonly continueToken?: string;
  /** Stops the change after the step that is under way; the iteration throws the signal's reason. @default none */
  readonly signal?: AbortSignal;
}

/** How far a change of many tasks is. */
export interface BulkProgress {
  /** Tasks that the filter let through: changed and skipped ones. */
  readonly matched: number;
  /** Those that were changed; in a dry run those that would be. */
  readonly done: number;
  /** Of `done`, running tasks whose workers were asked to stop them. */
  readonly requested: number;
  /** Tasks that were looked at, whether they matched or not. */
  readonly examined: number;
  /** Tasks that stayed as they are, by reason. */
  readonly skipped: readonly {
    readonly code: string;
    readonly message: string;
    readonly count: number;
    /** The first of them, at most 10. */
    readonly taskIds: readonly string[];
  }[];
  /** The first tasks, at most 10; only in the last progress of a dry run. */
  readonly examples: readonly Task[];
  /** Goes on from here; empty in the last progress. */
  readonly continueToken: string;
  /** True in the last progress. */
  readonly finished: boolean;
}

/**
 * Carries a change out for as long as it is iterated. A call that breaks is continued.
 *
 * @throws MusterError `INVALID_REQUEST`, `QUEUE_NOT_FOUND`, `BATCH_NOT_FOUND`, or of the tenth break in a row.
 */
export async function* changeTasks(
  tasks: ConnectClient<typeof TaskService>,
  request: MessageInitShape<typeof ChangeTasksRequestSchema>,
  { signal, random }: { readonly signal: AbortSignal | undefined; readonly random: Random },
): AsyncGenerator<BulkProgress, void, undefined> {
  // A caller that leaves the loop ends the call, and so the change.
  const left = new AbortController();
  try {
    const over = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    yield* continued(tasks, request, over, random);
  } finally {
    left.abort();
  }
}

async function* continued(
  tasks: ConnectClient<typeof TaskService>,
  request: MessageInitShape<typeof ChangeTasksRequestSchema>,
  signal: AbortSignal,
  random: Random,
): AsyncGenerator<BulkProgress, void, undefined> {
  const backoff = new Backoff({ baseMs: 200, maxMs: 5_000, random });
  let continueToken = request.continueToken ?? "";
  let before: BulkProgress | undefined;
  let last: BulkProgress | undefined;
  for (;;) {
    try {
      const answers = tasks.changeTasks({ ...request, continueToken }, { signal });
      for await (const answer of answers) {
        backoff.reset();
        continueToken = answer.continueToken;
        last = sum(before, answer);
        yield last;
        if (last.finished) return;
      }
      throw new MusterError("ChangeTasks: the answers ended before the change was finished", {
        code: Code.Unavailable,
      });
    } catch (error) {
      signal.throwIfAborted();
      const mayGoOn = last !== undefined && isDropped(error);
      if (!mayGoOn || backoff.failures >= MAX_FAILURES) throw error;
    }
    before = last;
    await sleep(backoff.next(), signal);
  }
}

/** The counts of several calls that continue each other. */
function sum(before: BulkProgress | undefined, answer: ChangeTasksResponse): BulkProgress {
  const skipped = new Map(before?.skipped.map((each) => [each.code, each]));
  for (const { code, message, skippedCount, taskIds } of answer.skipped) {
    const known = skipped.get(code);
    skipped.set(code, {
      ...{ code, message },
      count: (known?.count ?? 0) + Number(skippedCount),
      taskIds: [...(known?.taskIds ?? []), ...taskIds].slice(0, MAX_EXAMPLES),
    });
  }
  return {
    matched: (before?.matched ?? 0) + Number(answer.matchedCount),
    done: (before?.done ?? 0) + Number(answer.doneCount),
    requested: (before?.requested ?? 0) + Number(answer.requestedCount),
    examined: (before?.examined ?? 0) + Number(answer.examinedCount),
    skipped: [...skipped.values()],
    examples: answer.examples,
    continueToken: answer.continueToken,
    finished: answer.finished,
  };
}

/** Ids of skipped tasks that are kept for each reason. */
const MAX_EXAMPLES = 10;

/** The request of a change. @throws OptionsError for an unknown change, condition or state, and a number out of range. */
export function encodeChange(
  change: BulkChange,
  filter: BulkFilter,
  options: BulkChangeOptions,
): MessageInitShape<typeof ChangeTasksRequestSchema> {
  checkKnown("changeTasks", options, NAMES);
  const { reason = "", dryRun = false, all = false, continueToken = "" } = options;
  checkChange(change, filter);
  const age = (option: string, seconds: number | undefined) => {
    if (seconds === undefined) return undefined;
    checkSeconds("changeTasks", option, seconds, MAX_AGE_S);
    return durationFromMs(seconds * 1_000);
  };
  const ages = {
    minAge: age("minAgeS", filter.minAgeS),
    maxAge: age("maxAgeS", filter.maxAgeS),
    minEndedAge: age("minEndedAgeS", filter.minEndedAgeS),
    maxEndedAge: age("maxEndedAgeS", filter.maxEndedAgeS),
  };
  return {
    filter: {
      taskIds: [...(filter.taskIds ?? [])],
      states: (filter.states ?? []).map((state) => STATES[state]),
      queues: [...(filter.queues ?? [])],
      taskTypes: [...(filter.types ?? [])],
      details: [...(filter.details ?? [])],
      failureCodes: [...(filter.failureCodes ?? [])],
      errorText: filter.errorText ?? "",
      topFrame: filter.topFrame ?? "",
      tags: [...(filter.tags ?? [])],
      workerId: filter.workerId ?? "",
      batchId: filter.batchId ?? "",
      uniqueKey: filter.uniqueKey ?? "",
      ...(filter.step ? { step: encodeStep(filter.step) } : {}),
      ...Object.fromEntries(Object.entries(ages).filter(([, value]) => value !== undefined)),
    },
    ...{ reason, dryRun, all, continueToken },
    change: encodeKind(change),
  };
}

function encodeStep({
  name,
  state,
}: NonNullable<BulkFilter["step"]>): MessageInitShape<typeof StepFilterSchema> {
  return { name, state: state === undefined ? StepState.UNSPECIFIED : STEP_STATES[state] };
}

const STEP_STATES = {
  pending: StepState.PENDING,
  done: StepState.DONE,
  failed: StepState.FAILED,
} as const;

const STATES = {
  queued: TaskState.QUEUED,
  assigned: TaskState.ASSIGNED,
  running: TaskState.RUNNING,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
} as const;

const CONDITIONS = {
  taskIds: true,
  states: true,
  queues: true,
  types: true,
  details: true,
  failureCodes: true,
  errorText: true,
  topFrame: true,
  tags: true,
  workerId: true,
  batchId: true,
  uniqueKey: true,
  minAgeS: true,
  maxAgeS: true,
  minEndedAgeS: true,
  maxEndedAgeS: true,
  step: true,
} as const satisfies Record<keyof BulkFilter, true>;

const MAX_PRIORITY = 1_000;

/** Programs without type checks misspell names: a condition that is left out would let more tasks through. */
function checkChange(change: BulkChange, filter: BulkFilter): void {
  const faults: string[] = [];
  if (
    typeof change === "string"
      ? !NAMED_CHANGES.has(change)
      : !("moveTo" in change || "priority" in change || "retry" in change)
  )
    faults.push(
      `change: ${JSON.stringify(change)} is none of "cancel", "retry", "delete", { retry }, { moveTo } and { priority }`,
    );
  else if (typeof change === "object" && "priority" in change && !isPriority(change.priority))
    faults.push(
      `change: the priority ${change.priority} is not an integer from -${MAX_PRIORITY} to ${MAX_PRIORITY}`,
    );
  for (const name of Object.keys(filter))
    if (!Object.hasOwn(CONDITIONS, name))
      faults.push(`filter: ${name} is none of the conditions ${Object.keys(CONDITIONS).join(", ")}`);
  for (const state of filter.states ?? [])
    if (!Object.hasOwn(STATES, state))
      faults.push(`filter.states: "${state}" is none of ${Object.keys(STATES).join(", ")}`);
  if (filter.step !== undefined) faults.push(...stepFaults(filter.step));
  if (faults.length > 0) throw new OptionsError("changeTasks", faults);
}

function stepFaults(step: unknown): string[] {
  const { name, state } = Object(step);
  return [
    ...(typeof name === "string" && PHASE_NAME.test(name)
      ? []
      : [
          `filter.step.name: ${JSON.stringify(name)} is no name of a step; it must match ${PHASE_NAME.source}`,
        ]),
    ...(state === undefined || Object.hasOwn(STEP_STATES, state)
      ? []
      : [`filter.step.state: ${JSON.stringify(state)} is none of ${Object.keys(STEP_STATES).join(", ")}`]),
  ];
}

const NAMED_CHANGES: ReadonlySet<string> = new Set(["cancel", "retry", "delete"]);

function isPriority(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= MAX_PRIORITY;
}

type Kind = NonNullable<MessageInitShape<typeof ChangeTasksRequestSchema>["change"]>;

function encodeKind(change: BulkChange): Kind {
  if (change === "cancel") return { case: "cancelTasks", value: {} };
  if (change === "retry") return { case: "retryTasks", value: {} };
  if (change === "delete") return { case: "deleteTasks", value: {} };
  if ("retry" in change)
    return {
      case: "retryTasks",
      value: { afresh: change.retry.afresh ?? false, step: change.retry.step ?? "" },
    };
  if ("moveTo" in change)
    return {
      case: "moveTasks",
      value: { queue: change.moveTo, createQueue: change.createQueue ?? false },
    };
  return { case: "setPriority", value: { priority: change.priority } };
}
