// Refusals that several parts of the scheduler make: one place for their reason, words and retry delay.
import { quoted } from "@muster/common/text/text";
import { type DatabaseUnavailableError, Refusal, type Violation } from "./errors.ts";
import { formatTaskId } from "./ids.ts";
import { formatBatchId } from "./tasks/batch.ts";
import type { EditRefused } from "./tasks/edit.ts";
import type { TaskState } from "./tasks/task.ts";
import type { KeyConflict } from "./tasks/unique-keys/key-plan.ts";
import type { RefusedBecause } from "./tasks/unique-keys/unique-key.ts";

/** What a stop of the scheduler interrupts, what the caller should do, and how long it should wait first. */
const AFTER_STOP = {
  call: { advice: "try again", retryDelayMs: 1_000 },
  watch: { advice: "watch again", retryDelayMs: 1_000 },
  change: {
    advice: "what was done stays: call again with the last continue_token to go on",
    retryDelayMs: 1_000,
  },
  submitStream: {
    advice: "requests without an answer were not applied: submit them again",
    retryDelayMs: 1_000,
  },
  // At once: its lease runs, and another scheduler may take the worker.
  workerStream: { advice: "dial again", retryDelayMs: 0 },
  launcherStream: { advice: "connect again", retryDelayMs: 0 },
} as const satisfies Readonly<Record<string, { readonly advice: string; readonly retryDelayMs: number }>>;

/** Callers are asked to wait this long while the database is away, milliseconds. */
const DATABASE_RETRY_MS = 1_000;

/** A full queue is asked again after this, milliseconds. */
const QUEUE_FULL_RETRY_MS = 1_000;

/** A worker id is at most 128 characters. */
const MAX_QUOTED = 140;

/** More violations do not fit into an error, and are counted. */
const MAX_KEY_VIOLATIONS = 50;

/** `SCHEDULER_STOPPING`: the scheduler stops and takes no more calls. */
export function schedulerStopping(interrupted: keyof typeof AFTER_STOP): Refusal {
  const { advice, retryDelayMs } = AFTER_STOP[interrupted];
  return new Refusal("unavailable", "SCHEDULER_STOPPING", `the scheduler is stopping; ${advice}`, {
    retryDelayMs,
  });
}

/**
 * `DATABASE_UNAVAILABLE`: the database cannot be used.
 *
 * @param consequence What became of the request; nothing is said of it by default.
 */
export function databaseUnavailable(error: DatabaseUnavailableError, consequence?: string): Refusal {
  const message = consequence === undefined ? error.message : `${error.message}: ${consequence}`;
  return new Refusal("unavailable", "DATABASE_UNAVAILABLE", message, {
    retryDelayMs: DATABASE_RETRY_MS,
    cause: error,
  });
}

/** `QUEUE_FULL`: more tasks would wait in the queue than its limit allows. */
export function queueFull(
  { name, max, waiting, reason }: { name: string; max: number; waiting: number; reason: string },
  count: number,
): Refusal {
  const limit = `at most ${max} may wait (${reason})`;
  if (count > max)
    return new Refusal(
      "exhausted",
      "QUEUE_FULL",
      `the request has ${count} tasks for queue ${quoted(name, MAX_QUOTED)}, in which ${limit}: submit them in several requests`,
    );
  return new Refusal(
    "exhausted",
    "QUEUE_FULL",
    `queue ${quoted(name, MAX_QUOTED)} is full: ${waiting > max ? `more than ${max}` : waiting} tasks wait in it, and ${limit}; submit again later`,
    { retryDelayMs: QUEUE_FULL_RETRY_MS },
  );
}

/** `QUEUE_NOT_FOUND`: tasks are to be moved to a queue that does not exist. */
export function queueNotFound(name: string): Refusal {
  return new Refusal(
    "not_found",
    "QUEUE_NOT_FOUND",
    `there is no queue ${quoted(name, MAX_QUOTED)}; \`muster queues\` lists them; to make it, move with create_queue (\`--create-queue\`)`,
  );
}

/** `SCHEDULE_NOT_FOUND`: no schedule has this name. */
export function scheduleNotFound(name: string): Refusal {
  return new Refusal(
    "not_found",
    "SCHEDULE_NOT_FOUND",
    `there is no schedule ${quoted(name, MAX_QUOTED)}; \`muster schedules\` lists them`,
  );
}

/** `POOL_NOT_FOUND`: no pool has this name. */
export function poolNotFound(name: string): Refusal {
  return new Refusal(
    "not_found",
    "POOL_NOT_FOUND",
    `there is no pool ${quoted(name, MAX_QUOTED)}; \`muster pool list\` lists them`,
  );
}

/** `SCHEDULE_OVERLAPS`: a task of the schedule is open, and its overlap policy allows one. */
export function scheduleOverlaps(name: string, taskId: string): Refusal {
  return new Refusal(
    "precondition",
    "SCHEDULE_OVERLAPS",
    `task ${taskId} of schedule ${quoted(name, MAX_QUOTED)} is open, and the schedule skips what would overlap; run it when the task has ended, or set another overlap policy`,
  );
}

/** `TASK_NOT_FOUND`: no task has this id. */
export function taskNotFound(taskId: string): Refusal {
  return new Refusal(
    "not_found",
    "TASK_NOT_FOUND",
    `there is no task ${quoted(taskId)}; ids look like t-1042, and ended tasks are kept for a limited time`,
  );
}

/** `TASK_NOT_FOUND`: a unique key belongs to no task. */
export function noTaskOfKey(queue: string, key: string): Refusal {
  return new Refusal(
    "not_found",
    "TASK_NOT_FOUND",
    `no task of the queue ${quoted(queue, MAX_QUOTED)} has the unique key ${quoted(key, MAX_QUOTED)}; a key belongs to a queue, and ended tasks are kept for a limited time`,
  );
}

/** `WORKER_NOT_FOUND`: no worker of this id registered or was refused. */
export function workerNotFound(workerId: string): Refusal {
  return new Refusal(
    "not_found",
    "WORKER_NOT_FOUND",
    `there is no worker ${quoted(workerId, MAX_QUOTED)} and no trace of one; list them with ListWorkers`,
  );
}

/** `INVALID_REQUEST`: fields of a request are wrong. The message has the first of them. */
export function invalidRequest(first: Violation, ...further: readonly Violation[]): Refusal {
  return new Refusal("invalid", "INVALID_REQUEST", `${first.field} ${first.description}`, {
    violations: [first, ...further],
  });
}

/** `INVALID_HELLO`: a worker's first message is wrong. */
export function invalidHello(message: string, violations: readonly Violation[] = []): Refusal {
  return new Refusal("invalid", "INVALID_HELLO", message, { violations });
}

/** `INVALID_MESSAGE`: a message on a stream is wrong. */
export function invalidMessage(message: string): Refusal {
  return new Refusal("invalid", "INVALID_MESSAGE", message);
}

/** What a caller can do about a key that is held, by why its submit was refused. */
const KEY_REMEDIES: Readonly<Record<RefusedBecause, string>> = {
  asked: "wait until it frees the key, or submit with another one",
  not_queued: "only a queued task can be replaced; wait until it frees the key, or submit with another one",
  other_class:
    "a replacement has the type, the requirements, the concurrency keys and the circuit of the task; submit with the same ones, or with another key",
};

/** `UNIQUE_KEY_HELD`: unique keys of submitted tasks are held by other tasks. */
export function uniqueKeysHeld(conflicts: readonly KeyConflict[]): Refusal {
  const violations = conflicts
    .slice(0, MAX_KEY_VIOLATIONS)
    .map(({ index, key, holderId, holderIndex, holderState, why }): Violation => {
      const holder =
        holderIndex === undefined
          ? `held by ${formatTaskId(holderId)}, which is ${holderState}`
          : `that of tasks[${holderIndex}], too`;
      return {
        field: `tasks[${index}].unique_key`,
        description: `${quoted(key, MAX_QUOTED)} is ${holder}: ${KEY_REMEDIES[why]}`,
      };
    });
  const [first] = violations;
  const more = conflicts.length > 1 ? ` (and ${conflicts.length - 1} more)` : "";
  return new Refusal("precondition", "UNIQUE_KEY_HELD", `${first?.field} ${first?.description}${more}`, {
    violations,
    violationCount: conflicts.length,
  });
}

/** `PREDECESSOR_NOT_FOUND`: submitted tasks are to wait for tasks that do not exist. */
export function predecessorsNotFound(
  unknown: readonly { readonly index: number; readonly position: number; readonly taskId: number }[],
): Refusal {
  const violations = unknown.slice(0, MAX_KEY_VIOLATIONS).map(
    ({ index, position, taskId }): Violation => ({
      field: `tasks[${index}].after[${position}].task_id`,
      description: `there is no task ${formatTaskId(taskId)}: no submit was answered with it, or its record was dropped; leave it out when its work is done`,
    }),
  );
  const [first] = violations;
  const more = unknown.length > 1 ? ` (and ${unknown.length - 1} more)` : "";
  return new Refusal(
    "precondition",
    "PREDECESSOR_NOT_FOUND",
    `${first?.field}: ${first?.description}${more}`,
    {
      violations,
      violationCount: unknown.length,
    },
  );
}

/** `BATCH_NOT_FOUND`: no batch has this id. */
export function batchNotFound(batchId: string): Refusal {
  return new Refusal(
    "not_found",
    "BATCH_NOT_FOUND",
    `there is no batch ${quoted(batchId, MAX_QUOTED)}; ids look like b-1042, and closed batches are kept as long as their tasks`,
  );
}

/** `BATCH_CLOSED` or `BATCH_NOT_FOUND`: a batch takes no tasks of a submit. */
export function batchRefused({
  batchId,
  why,
}: {
  readonly batchId: number;
  readonly why: "closed" | "unknown";
}): Refusal {
  const id = formatBatchId(batchId);
  if (why === "unknown") return batchNotFound(id);
  return new Refusal(
    "precondition",
    "BATCH_CLOSED",
    `batch ${id} is closed and takes no more tasks; create another one`,
  );
}

/** `DEPENDENCY_FAILED`: a task cannot be retried, because one that it waits for has not succeeded. */
export function retryDependencyFailed(
  taskId: number,
  { predecessorId, state }: { readonly predecessorId: number; readonly state: TaskState | undefined },
): Refusal {
  const [task, predecessor] = [formatTaskId(taskId), formatTaskId(predecessorId)];
  const message =
    state === undefined
      ? `task ${task} cannot be retried: it waits for the success of ${predecessor}, whose record was dropped; submit its work again`
      : `task ${task} cannot be retried: it waits for the success of ${predecessor}, which is ${state}; run \`muster retry ${predecessor}\` first, or submit the work of ${task} again without the dependency`;
  return new Refusal("precondition", "DEPENDENCY_FAILED", message);
}

/** `TASK_NOT_RETRYABLE`: a task that waits for others starts when they have ended, and not before. */
export function retryWaitsForTasks(taskId: number): Refusal {
  const task = formatTaskId(taskId);
  return new Refusal(
    "precondition",
    "TASK_NOT_RETRYABLE",
    `task ${task} waits for other tasks and starts when they have ended; run \`muster why ${task}\` to see which`,
  );
}

/** `TASK_HELD`: a task that is held starts when it is released, and not before. */
export function retryHeld(taskId: number): Refusal {
  const task = formatTaskId(taskId);
  return new Refusal(
    "precondition",
    "TASK_HELD",
    `task ${task} waits and is held; run \`muster release ${task}\` to let it start`,
  );
}

/** `TASK_ALREADY_ENDED`: what is asked needs a task that has not ended. */
export function taskEnded(taskId: string): Refusal {
  return new Refusal(
    "precondition",
    "TASK_ALREADY_ENDED",
    `task ${taskId} has already ended; look at it with GetTask`,
  );
}

/** `TASK_NOT_HOLDABLE`: a task that has started is not held. */
export function notHoldable(taskId: string): Refusal {
  return new Refusal(
    "precondition",
    "TASK_NOT_HOLDABLE",
    `task ${taskId} is assigned or running, and only a task that waits can be held; run \`muster cancel ${taskId}\` to stop it, or hold it when it waits again`,
  );
}

/** `TASK_NOT_REVOCABLE`: a task that waits is at no worker. */
export function notRevocable(taskId: string): Refusal {
  return new Refusal(
    "precondition",
    "TASK_NOT_REVOCABLE",
    `task ${taskId} waits, and only a task that is assigned or running can be taken from its worker; run \`muster hold ${taskId}\` to keep it from starting`,
  );
}

/** Why an edit of an open task is refused, and what to do. */
const NOT_EDITABLE: Readonly<Record<Exclude<EditRefused, "ended">, (task: string) => string>> = {
  strict_order: (task) =>
    `task ${task} is assigned or running, and the priority of a task with a strict order can be changed only while it waits; leave the priority out, or edit it when it waits again`,
  started: (task) =>
    `task ${task} is assigned or running, and only a task that waits has a start time; leave the start time out, or run \`muster cancel ${task}\``,
  waits_for_tasks: (task) =>
    `task ${task} waits for other tasks, and its start time begins when they have ended; leave the start time out, or run \`muster hold ${task}\``,
};

/** `TASK_NOT_EDITABLE`, or `TASK_ALREADY_ENDED`: an edit asks for what the task cannot have. */
export function notEditable(taskId: number, why: EditRefused): Refusal {
  const task = formatTaskId(taskId);
  if (why === "ended") return taskEnded(task);
  return new Refusal("precondition", "TASK_NOT_EDITABLE", NOT_EDITABLE[why](task));
}

/** `UNIQUE_KEY_HELD`: an ended task cannot be retried while another task holds its unique key. */
/** A retry of a step that has not failed. @param state Of the step; undefined when the task has none of the name. */
export function stepNotFailed(taskId: number, step: string, state: string | undefined): Refusal {
  const id = formatTaskId(taskId);
  const fault =
    state === undefined
      ? `has no step ${quoted(step, MAX_QUOTED)}`
      : `has the step ${step}, which is ${state}`;
  return new Refusal(
    "precondition",
    "STEP_NOT_FAILED",
    `task ${id} ${fault}; only a step that has failed can be run again alone: run \`muster task ${id}\` for its steps`,
  );
}

export function retryKeyHeld(
  taskId: number,
  { key, holderId, holderState }: Pick<KeyConflict, "key" | "holderId" | "holderState">,
): Refusal {
  return new Refusal(
    "precondition",
    "UNIQUE_KEY_HELD",
    `task ${formatTaskId(taskId)} cannot be retried: its unique key ${quoted(key, MAX_QUOTED)} is held by ${formatTaskId(holderId)}, which is ${holderState}; wait until it frees the key, or submit the work again with another one`,
  );
}
