import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AttemptMetricsSchema,
  type AttemptSchema,
  type EventSchema,
  FailureClass,
  type FailureSchema,
  type HeartbeatSchema,
  type RetryPolicySchema,
  type StartupPhaseSchema,
  TaskSchema,
  TaskState,
  type TaskTimeoutsSchema,
  type TaskWatchdogsSchema,
  WorkerSchema,
  WorkerState,
} from "@muster/protocol";
import { formatAttemptId, formatTaskId } from "../../domain/ids.ts";
import type { Failure } from "../../domain/tasks/failure.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../../domain/tasks/retry.ts";
import {
  type AttemptMetrics,
  type AttemptRecord,
  type TaskState as DomainTaskState,
  hasEnded,
  type TaskRecord,
  type Timeouts,
} from "../../domain/tasks/task.ts";
import type { TaskWatchdogs } from "../../domain/tasks/watchdog.ts";
import {
  type WorkerState as DomainWorkerState,
  type HeartbeatRecord,
  hasRegistered,
  type StartupPhaseRecord,
  type WorkerRecord,
  workerState,
} from "../../domain/workers/worker.ts";
import type { EventRecord } from "../../store/store.ts";
import { fromLaunch } from "./from-launch.ts";
import { durationFromMs, timestampFromDate } from "./time.ts";

const TASK_STATES: Readonly<Record<DomainTaskState, TaskState>> = {
  queued: TaskState.QUEUED,
  assigned: TaskState.ASSIGNED,
  running: TaskState.RUNNING,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
};

const WORKER_STATES: Readonly<Record<DomainWorkerState, WorkerState>> = {
  launching: WorkerState.LAUNCHING,
  connecting: WorkerState.CONNECTING,
  registered: WorkerState.REGISTERED,
  ready: WorkerState.READY,
  draining: WorkerState.DRAINING,
  suspect: WorkerState.SUSPECT,
  lost: WorkerState.LOST,
  gone: WorkerState.GONE,
  refused: WorkerState.REFUSED,
};

const FAILURE_CLASSES: Readonly<Record<Failure["class"], FailureClass>> = {
  retryable: FailureClass.RETRYABLE,
  non_retryable: FailureClass.NON_RETRYABLE,
  timed_out: FailureClass.TIMED_OUT,
  out_of_memory: FailureClass.OUT_OF_MEMORY,
  worker_lost: FailureClass.WORKER_LOST,
};

/** Domain name of a state; undefined for one that this version does not know. */
export function toTaskState(state: TaskState): DomainTaskState | undefined {
  return (Object.keys(TASK_STATES) as DomainTaskState[]).find((name) => TASK_STATES[name] === state);
}

/** Domain name of a worker's state; undefined for one that this version does not know. */
export function toWorkerState(state: WorkerState): DomainWorkerState | undefined {
  return (Object.keys(WORKER_STATES) as DomainWorkerState[]).find((name) => WORKER_STATES[name] === state);
}

/** A task as it is sent. */
export function fromTask(task: TaskRecord, attempts: readonly AttemptRecord[] = [], omittedAttempts = 0) {
  const progress = task.progress;
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
    },
    retryPolicy: fromRetryPolicy(task.options?.retry ?? DEFAULT_RETRY_POLICY),
    ...set("timeouts", task.options?.timeouts && fromTimeouts(task.options.timeouts)),
    ...set("watchdogs", task.options?.watchdogs && fromWatchdogs(task.options.watchdogs)),
    attemptCount: task.attemptCount,
    attemptId: task.epoch > 0 ? formatAttemptId({ taskId: task.id, epoch: task.epoch }) : "",
    workerId: task.workerId ?? "",
    createTime: timestampFromDate(task.createTime),
    ...time("runTime", task.runTime),
    ...time("assignTime", task.assignTime),
    ...time("acceptTime", task.acceptTime),
    ...time("startTime", task.startTime),
    ...time("finishTime", task.finishTime),
    phase: task.phase ?? "",
    ...time("phaseTime", task.phaseTime),
    ...set(
      "progress",
      progress && {
        ...set("fraction", progress.fraction),
        ...set("doneCount", progress.done === undefined ? undefined : BigInt(progress.done)),
        ...set("totalCount", progress.total === undefined ? undefined : BigInt(progress.total)),
        message: progress.message,
        updateTime: timestampFromDate(progress.at),
      },
    ),
    output: task.output ?? new Uint8Array(),
    outputContentType: task.state === "succeeded" ? task.outputContentType : "",
    ...set("failure", task.failure && fromFailure(task.failure)),
    warnings: [...task.warnings],
    ...set("metrics", task.metrics && fromMetrics(task.metrics)),
    attempts: attempts.map((attempt) => fromAttempt(task.id, attempt)),
    ...time("cancelTime", task.cancelTime),
    cancelReason: task.cancelReason ?? "",
    payloadBytes: BigInt(task.payloadBytes ?? 0),
    outputBytes: BigInt(task.outputBytes ?? 0),
    omittedAttemptCount: omittedAttempts,
    omittedFields: [
      ...(task.payloadBytes && task.payload === undefined ? ["payload"] : []),
      ...(task.outputBytes && task.output === undefined ? ["output"] : []),
      ...(task.unread ?? []),
    ],
  });
}

/** A worker's state as it is sent. */
export function fromWorkerState(state: DomainWorkerState): WorkerState {
  return WORKER_STATES[state];
}

/**
 * A worker as it is sent.
 *
 * @param now The database's clock.
 * @param silentAfterMs A supervisor that was not heard of for this long is silent.
 */
export function fromWorker(worker: WorkerRecord, now: Date, silentAfterMs: number) {
  const { hello, launch } = worker;
  return create(WorkerSchema, {
    id: worker.workerId,
    sessionId: worker.sessionUuid,
    state: WORKER_STATES[workerState(worker, now)],
    goneReason: worker.goneReason ?? "",
    pool: hello.pool || (launch?.pool ?? ""),
    labels: { ...hello.labels },
    taskTypes: hello.types.map(({ type, concurrency }) => ({ taskType: type, concurrency })),
    queues: [...hello.queues],
    slotCount: worker.heartbeat?.slots ?? hello.slots,
    activeCount: worker.activeCount,
    resources: [...(worker.heartbeat?.resources ?? hello.resources)],
    host: {
      hostname: hello.host.hostname,
      pid: hello.host.pid,
      ...set("uid", hello.host.uid),
      ...set("gid", hello.host.gid),
      cwd: hello.host.cwd,
      cpuCount: hello.host.cpus,
      memoryBytes: BigInt(hello.host.memoryBytes),
      runtime: hello.host.runtime,
    },
    sdk: hello.sdk,
    schedulerId: worker.schedulerId,
    ...time("connectTime", hasRegistered(worker) ? worker.connectTime : undefined),
    ...time("heartbeatTime", worker.heartbeatTime),
    ...time("goneTime", worker.goneTime),
    startupPhases: worker.phases.map(fromStartupPhase),
    ...set("lastHeartbeat", worker.heartbeat && fromHeartbeat(worker.heartbeat)),
    ...set("fatal", worker.fatal),
    running: worker.heartbeat ? fromHeartbeat(worker.heartbeat).running : [],
    paused: worker.heartbeat?.paused ?? false,
    pauseReason: worker.heartbeat?.pauseReason ?? "",
    ...set("launch", launch && fromLaunch(launch, worker, now, silentAfterMs)),
  });
}

/** An event as it is sent. */
export function fromEvent(event: EventRecord): MessageInitShape<typeof EventSchema> {
  const { taskId, epoch } = event;
  return {
    id: BigInt(event.id),
    time: timestampFromDate(event.time),
    name: event.name,
    taskId: taskId === undefined ? "" : formatTaskId(taskId),
    attemptId: taskId === undefined || !epoch ? "" : formatAttemptId({ taskId, epoch }),
    workerId: event.workerId ?? "",
    attributes: { ...event.attributes },
  };
}

/** What a task's state means in detail. */
export function taskDetail(task: TaskRecord): string {
  if (hasEnded(task.state)) return task.detail ?? "";
  if (task.state !== "queued") return task.cancelTime ? "cancelling" : "";
  if (!task.runTime) return "ready";
  return task.failure ? "retry" : "scheduled";
}

function fromFailure(failure: Failure): MessageInitShape<typeof FailureSchema> {
  return {
    failureClass: FAILURE_CLASSES[failure.class],
    code: failure.code,
    message: failure.message,
    traceback: failure.traceback ?? "",
    ...set(
      "retryAfter",
      failure.retryAfterMs === undefined ? undefined : durationFromMs(failure.retryAfterMs),
    ),
  };
}

function fromMetrics(metrics: AttemptMetrics): MessageInitShape<typeof AttemptMetricsSchema> {
  return {
    runDuration: durationFromMs(Math.round(metrics.runMs)),
    phases: metrics.phases.map(({ phase, durationMs, failed }) => ({
      phase,
      duration: durationFromMs(Math.round(durationMs)),
      failed,
    })),
    peakRssBytes: BigInt(Math.round(metrics.peakRssBytes)),
  };
}

function fromAttempt(taskId: number, attempt: AttemptRecord): MessageInitShape<typeof AttemptSchema> {
  return {
    id: formatAttemptId({ taskId, epoch: attempt.epoch }),
    number: attempt.number,
    workerId: attempt.workerId ?? "",
    outcome: attempt.outcome,
    ...set("failure", attempt.failure && fromFailure(attempt.failure)),
    ...time("assignTime", attempt.assignTime),
    ...time("acceptTime", attempt.acceptTime),
    ...time("startTime", attempt.startTime),
    ...time("endTime", attempt.endTime),
  };
}

function fromRetryPolicy(policy: RetryPolicy): MessageInitShape<typeof RetryPolicySchema> {
  const { backoff } = policy;
  const counts = { maxRetryCount: policy.maxRetries, maxOutOfMemoryCount: policy.maxOutOfMemory };
  if (backoff.kind === "fixed") {
    const delays = backoff.delaysMs.map((ms) => durationFromMs(ms));
    return { ...counts, backoff: { case: "fixed", value: { delays } } };
  }
  return {
    ...counts,
    backoff: {
      case: "exponential",
      value: {
        initialDelay: durationFromMs(backoff.initialMs),
        factor: backoff.factor,
        maxDelay: durationFromMs(backoff.maxMs),
        jitter: backoff.jitter,
      },
    },
  };
}

function fromTimeouts(timeouts: Timeouts): MessageInitShape<typeof TaskTimeoutsSchema> {
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : durationFromMs(ms));
  return {
    ...set("queueWait", duration(timeouts.queueWaitMs)),
    ...set("run", duration(timeouts.runMs)),
    phases: Object.fromEntries(
      Object.entries(timeouts.phasesMs ?? {}).map(([phase, ms]) => [phase, durationFromMs(ms)]),
    ),
  };
}

function fromWatchdogs(watchdogs: TaskWatchdogs): MessageInitShape<typeof TaskWatchdogsSchema> {
  return {
    ...set("run", watchdogs.runMs === undefined ? undefined : durationFromMs(watchdogs.runMs)),
    phases: Object.fromEntries(
      Object.entries(watchdogs.phasesMs ?? {}).map(([phase, ms]) => [phase, durationFromMs(ms)]),
    ),
  };
}

/** A startup phase as it is sent. */
export function fromStartupPhase(phase: StartupPhaseRecord): MessageInitShape<typeof StartupPhaseSchema> {
  return {
    phase: phase.phase,
    outcome: phase.outcome,
    elapsed: durationFromMs(Math.round(phase.elapsedMs)),
    detail: phase.detail,
    attributes: { ...phase.attributes },
  };
}

function fromHeartbeat(beat: HeartbeatRecord) {
  const running = beat.running.map((attempt) => ({
    attemptId: attempt.attemptId,
    phase: attempt.phase,
    phaseAge: durationFromMs(Math.round(attempt.phaseAgeMs)),
    ...set("progress", attempt.progress),
    ...set(
      "progressAge",
      attempt.progressAgeMs === undefined ? undefined : durationFromMs(Math.round(attempt.progressAgeMs)),
    ),
    resultPending: attempt.resultPending,
    cancelling: attempt.cancelling,
    revoked: attempt.revoked ?? false,
    ...set("warnAfter", attempt.warnAfterMs === undefined ? undefined : durationFromMs(attempt.warnAfterMs)),
    ...set("resultAge", attempt.resultAgeMs === undefined ? undefined : durationFromMs(attempt.resultAgeMs)),
    stuckPhases: (attempt.stuckPhases ?? []).map((stuck) => ({
      phase: stuck.phase,
      age: durationFromMs(stuck.ageMs),
      stallAge: durationFromMs(stuck.stillMs),
      warnAfter: durationFromMs(stuck.warnAfterMs),
      warningCount: stuck.warnings,
    })),
  }));
  return {
    sequence: BigInt(beat.sequence),
    slotCount: beat.slots,
    running,
    eventLoopAge: durationFromMs(Math.round(beat.loopAgeMs)),
    eventLoopDelayP99: durationFromMs(Math.round(beat.loopDelayP99Ms)),
    cpuUsage: beat.cpuUsage,
    rssBytes: BigInt(Math.round(beat.rssBytes)),
    heapUsedBytes: BigInt(Math.round(beat.heapUsedBytes)),
    resources: [...beat.resources],
    paused: beat.paused,
    pauseReason: beat.pauseReason,
    counters: Object.fromEntries(Object.entries(beat.counters).map(([name, value]) => [name, BigInt(value)])),
  } satisfies MessageInitShape<typeof HeartbeatSchema>;
}

/** `{ [name]: value }`, or nothing when there is no value: optional fields must be absent, not undefined. */
function set<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: V });
}

function time<K extends string>(name: K, date: Date | undefined) {
  return set(name, date && timestampFromDate(date));
}
