// A task and its attempts in protobuf.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type AttemptSchema, TaskSchema, TaskState } from "@muster/protocol";
import { formatAttemptId, formatTaskId } from "../../../domain/ids.ts";
import { HELD_DETAIL } from "../../../domain/tasks/hold.ts";
import { withoutCircuitLock } from "../../../domain/tasks/limits/circuit.ts";
import type { ResolvedRetry } from "../../../domain/tasks/outcome/retry-defaults.ts";
import {
  type AttemptRecord,
  type Attempts,
  type TaskState as DomainTaskState,
  hasEnded,
  type TaskRecord,
} from "../../../domain/tasks/task.ts";
import { fromScheduleTick } from "../schedules/schedule-tick.ts";
import { fromCost } from "../values/amounts.ts";
import { optional, optionalTime } from "../values/optional.ts";
import { timestampFromDate } from "../values/time.ts";
import { fromFailure } from "./attempts/failure.ts";
import { fromProgress } from "./attempts/progress.ts";
import { fromMetrics } from "./attempts/result.ts";
import { fromSteps } from "./attempts/step.ts";
import { fromCircuitRule } from "./limits/circuit.ts";
import { fromConcurrency } from "./limits/concurrency.ts";
import { fromRateLimit } from "./limits/rate-limits.ts";
import { fromRetryPolicy, fromRetrySources, fromTimeouts, fromWatchdogs } from "./options.ts";
import { fromUniqueRule } from "./unique-rule.ts";

const TASK_STATES: Readonly<Record<DomainTaskState, TaskState>> = {
  queued: TaskState.QUEUED,
  assigned: TaskState.ASSIGNED,
  running: TaskState.RUNNING,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
};

/** A state in protobuf. */
export function fromTaskState(state: DomainTaskState): TaskState {
  return TASK_STATES[state];
}

/** Domain name of a state; undefined for a state of a newer version. */
export function toTaskState(state: TaskState): DomainTaskState | undefined {
  return (Object.keys(TASK_STATES) as DomainTaskState[]).find((name) => TASK_STATES[name] === state);
}

/** A task in protobuf. */
export function fromTask(
  task: TaskRecord,
  retry: ResolvedRetry,
  { kept = [], omitted = 0, lastMeasured }: Partial<Attempts> = {},
) {
  const earlier = task.options?.earlierProgress;
  return create(TaskSchema, {
    id: formatTaskId(task.id),
    queue: task.queue,
    taskType: task.type,
    state: TASK_STATES[task.state],
    detail: taskDetail(task),
    priority: task.priority,
    payload: task.payload ?? new Uint8Array(),
    contentType: task.contentType,
    headers: { ...task.headers },
    uniqueKey: task.uniqueKey ?? "",
    requirements: {
      labels: { ...task.requirements.labels },
      resources: [...task.requirements.resources],
      cost: fromCost(task.requirements.cost),
    },
    rateLimits: (task.rateLimits ?? []).map(fromRateLimit),
    concurrency: fromConcurrency(task.concurrency && withoutCircuitLock(task.concurrency)),
    ...optional("circuit", task.circuit && fromCircuitRule(task.circuit)),
    ...optional("scheduleTick", task.options?.tick && fromScheduleTick(task.options.tick)),
    ...optional("fairness", task.fairness),
    tags: [...(task.options?.tags ?? [])],
    ...optional(
      "hold",
      task.hold && { reason: task.hold.reason, holdTime: timestampFromDate(task.hold.since) },
    ),
    retryPolicy: fromRetryPolicy(retry.policy),
    retryPolicySources: fromRetrySources(retry.sources),
    maxIterationCount: task.options?.maxIterations ?? 0,
    iterationCount: task.options?.iterations ?? 0,
    steps: task.options?.steps ? fromSteps(task.id, task.options.steps) : [],
    ...optional("timeouts", task.options?.timeouts && fromTimeouts(task.options.timeouts)),
    ...optional("watchdogs", task.options?.watchdogs && fromWatchdogs(task.options.watchdogs)),
    attemptCount: task.attemptCount,
    attemptId: task.epoch > 0 ? formatAttemptId({ taskId: task.id, epoch: task.epoch }) : "",
    workerId: task.workerId ?? "",
    buildId: task.build ?? "",
    createTime: timestampFromDate(task.createTime),
    ...optionalTime("runTime", task.runTime),
    ...optionalTime("assignTime", task.assignTime),
    ...optionalTime("acceptTime", task.acceptTime),
    ...optionalTime("startTime", task.startTime),
    ...optionalTime("finishTime", task.finishTime),
    phase: task.phase ?? "",
    ...optionalTime("phaseTime", task.phaseTime),
    ...optional("progress", task.progress && fromProgress(task.progress)),
    ...optional("earlierProgress", earlier && fromProgress({ ...earlier, at: new Date(earlier.at) })),
    output: task.output ?? new Uint8Array(),
    outputContentType: task.state === "succeeded" ? task.outputContentType : "",
    ...optional("failure", task.failure && fromFailure(task.failure)),
    warnings: [...task.warnings],
    ...optional("metrics", task.metrics && fromMetrics(task.metrics)),
    measured: lastMeasured?.epoch === task.epoch ? { ...lastMeasured.sums } : {},
    attempts: kept.map((attempt) => fromAttempt(task.id, attempt)),
    ...optionalTime("cancelTime", task.cancelTime),
    cancelReason: task.cancelReason ?? "",
    payloadBytes: BigInt(task.payloadBytes ?? 0),
    outputBytes: BigInt(task.outputBytes ?? 0),
    omittedAttemptCount: omitted,
    ...optional(
      "uniqueRule",
      task.uniqueKey === undefined ? undefined : fromUniqueRule(task.options?.unique),
    ),
    omittedFields: [
      ...(task.payloadBytes && task.payload === undefined ? ["payload"] : []),
      ...(task.outputBytes && task.output === undefined ? ["output"] : []),
      ...(task.unread ?? []),
    ],
  });
}

/** What a task's state means in detail. */
export function taskDetail(task: TaskRecord): string {
  if (hasEnded(task.state)) return task.detail ?? "";
  if (task.state !== "queued") return task.cancelTime ? "cancelling" : "";
  if (task.hold) return HELD_DETAIL;
  if (task.waitsForTasks) return "waiting_for_tasks";
  if (!task.runTime) return "ready";
  return task.failure ? "retry" : "scheduled";
}

function fromAttempt(taskId: number, attempt: AttemptRecord): MessageInitShape<typeof AttemptSchema> {
  return {
    id: formatAttemptId({ taskId, epoch: attempt.epoch }),
    number: attempt.number,
    workerId: attempt.workerId ?? "",
    buildId: attempt.build ?? "",
    outcome: attempt.outcome,
    ...optional("failure", attempt.failure && fromFailure(attempt.failure)),
    measured: { ...attempt.measured },
    ...optionalTime("assignTime", attempt.assignTime),
    ...optionalTime("acceptTime", attempt.acceptTime),
    ...optionalTime("startTime", attempt.startTime),
    ...optionalTime("endTime", attempt.endTime),
  };
}
