import type { Candidate } from "../../matching/match.ts";
import { HELLO, madeBeat, madeRunning, madeTask } from "../../testing/made-records.ts";
import type { QuarantineRecord } from "../../workers/quarantine.ts";
import type { WorkerRecord, WorkerState } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";

/** Facts that the tests of explanations share: a task, a heartbeat, a worker and a fixed time. */
export const NOW = new Date("2025-06-01T12:00:00Z");
export const ago = (ms: number) => new Date(NOW.getTime() - ms);

export const TASK = madeTask({ type: "ocr", createTime: ago(60_000) });
export const BROKE = { failureClass: "retryable", code: "BROKE", message: "it broke" } as const;

/** A worker that failed nearly everything, with two peers, since 40 s ago. */
export const QUARANTINE: QuarantineRecord = {
  failed: 28,
  finished: 30,
  peerCount: 2,
  peersTogether: { failed: 1, finished: 60 },
  peers: [
    { workerId: "w-3", failed: 1, finished: 40 },
    { workerId: "w-4", failed: 0, finished: 20 },
  ],
  windowMs: 300_000,
  errors: [{ attemptId: "t-3.1", code: "CUDA_ERROR", message: "no device" }],
  failedProbes: 0,
  since: ago(40_000),
  probeTime: ago(-20_000),
};

export const BEAT = madeBeat({ slots: 2 });

export function running(attemptId: string, phase: string, phaseAgeMs: number) {
  return { ...madeRunning(attemptId), phase, phaseAgeMs };
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
    hello: { ...HELLO, types: [{ type: "ocr", concurrency: 0 }], slots: 2 },
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
      slots: 2,
      credit: 2,
      capacities: new Map(),
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
