/** Records of tasks and workers for tests. */
import type { TaskRecord } from "../tasks/task.ts";
import type { HeartbeatRecord, RunningRecord, WorkerHello } from "../workers/worker.ts";

/** A queued task 7 of type `t` that was created and ready at `createTime`, with what the test gives. */
export function madeTask({
  createTime,
  ...given
}: Partial<TaskRecord> & Pick<TaskRecord, "createTime">): TaskRecord {
  return {
    id: 7,
    queue: "default",
    type: "t",
    requirements: { labels: {}, resources: [] },
    state: "queued",
    detail: undefined,
    priority: 0,
    payload: undefined,
    contentType: "",
    headers: {},
    uniqueKey: undefined,
    options: undefined,
    attemptCount: 0,
    outOfMemoryCount: 0,
    requeueCounts: undefined,
    classId: 1,
    alone: false,
    epoch: 0,
    sessionId: undefined,
    workerId: undefined,
    createTime,
    readyTime: createTime,
    runTime: undefined,
    assignTime: undefined,
    acceptTime: undefined,
    startTime: undefined,
    finishTime: undefined,
    phase: undefined,
    phaseTime: undefined,
    progress: undefined,
    output: undefined,
    outputContentType: "",
    failure: undefined,
    warnings: [],
    metrics: undefined,
    cancelTime: undefined,
    cancelReason: undefined,
    ...given,
  };
}

/** What a worker with one slot in the queue `default` registers with. */
export const HELLO: WorkerHello = {
  sdk: "",
  pool: "",
  labels: {},
  types: [],
  queues: ["default"],
  slots: 1,
  prefetch: 0,
  resources: [],
  launchId: "",
  features: [],
  host: {
    hostname: "",
    pid: 0,
    uid: undefined,
    gid: undefined,
    cwd: "",
    cpus: 0,
    memoryBytes: 0,
    runtime: "",
  },
};

/** A heartbeat of an idle worker, with what the test gives. */
export function madeBeat(given: Partial<HeartbeatRecord> = {}): HeartbeatRecord {
  return {
    sequence: 1,
    slots: 0,
    running: [],
    loopAgeMs: 0,
    loopDelayP99Ms: 0,
    cpuUsage: 0,
    rssBytes: 0,
    heapUsedBytes: 0,
    resources: [],
    paused: false,
    pauseReason: "",
    counters: {},
    ...given,
  };
}

/** An attempt in a heartbeat, in no phase. */
export function madeRunning(attemptId: string): RunningRecord {
  return {
    attemptId,
    phase: "",
    phaseAgeMs: 0,
    progress: undefined,
    progressAgeMs: undefined,
    resultPending: false,
    cancelling: false,
  };
}
