import type { Candidate } from "../../matching/match.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { HeartbeatRecord, WorkerRecord, WorkerState } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";

/** Facts that the tests of explanations share: a task, a heartbeat, a worker and a fixed time. */
export const NOW = new Date("2025-06-01T12:00:00Z");
export const ago = (ms: number) => new Date(NOW.getTime() - ms);

export const TASK: TaskRecord = {
  id: 7,
  queue: "default",
  type: "ocr",
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
  createTime: ago(60_000),
  readyTime: ago(60_000),
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
};
export const BROKE = { failureClass: "retryable", code: "BROKE", message: "it broke" } as const;

export const BEAT: HeartbeatRecord = {
  sequence: 1,
  slots: 2,
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
};

export function running(attemptId: string, phase: string, phaseAgeMs: number) {
  const idle = { progress: undefined, progressAgeMs: undefined, resultPending: false, cancelling: false };
  return { attemptId, phase, phaseAgeMs, ...idle };
}

export function held(attemptId: string, phase: string, phaseAgeMs: number) {
  return { attemptId, type: "ocr", phase, phaseAgeMs, ageMs: phaseAgeMs + 10_000, resultPending: false };
}

export function member(
  options: {
    id?: string;
    state?: WorkerState;
    candidate?: Partial<Candidate>;
    record?: Partial<WorkerRecord>;
    more?: Partial<FleetMember>;
  } = {},
): FleetMember {
  const workerId = options.id ?? "w-1";
  const record: WorkerRecord = {
    sessionId: 1,
    sessionUuid: "",
    workerId,
    schedulerId: "s",
    hello: {
      sdk: "",
      pool: "",
      labels: {},
      types: [{ type: "ocr", concurrency: 0 }],
      queues: ["default"],
      slots: 2,
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
    },
    phases: [],
    ready: true,
    draining: false,
    connectTime: NOW,
    heartbeatTime: ago(4_000),
    leaseUntil: NOW,
    disconnected: false,
    heartbeat: BEAT,
    goneTime: undefined,
    goneReason: undefined,
    fatal: undefined,
    activeCount: 0,
    ...options.record,
  };
  return {
    record,
    state: options.state ?? "ready",
    candidate: {
      workerId,
      ready: true,
      draining: false,
      pauseReason: undefined,
      queues: new Set(["default"]),
      types: new Map([["ocr", { limit: Number.POSITIVE_INFINITY, active: 0 }]]),
      labels: {},
      resources: new Set(),
      credit: 2,
      ...options.candidate,
    },
    elsewhere: false,
    ageMs: 0,
    held: [],
    asks: new Map(),
    idleMs: 5_000,
    graceLeftMs: options.state === "suspect" ? 9_000 : undefined,
    heartbeatMs: 5_000,
    stalledMs: undefined,
    unreadCount: 0,
    ...options.more,
  };
}
