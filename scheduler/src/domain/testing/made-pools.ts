/** Pools and launches for unit tests. */
import type { PoolFacts } from "../pools/decision/pool-decision.ts";
import { NEW_GUARD } from "../pools/guard.ts";
import type { PoolRecord, PoolSpec } from "../pools/pool.ts";
import type { KnownLaunch, LaunchObservation, LaunchSession, PoolLaunch } from "../pools/pool-launch.ts";
import { DEFAULT_ROLLOUT, NO_ROLLOUT } from "../pools/rollout-record.ts";
import type { LaunchRecord } from "../workers/launch.ts";

export const NOW_MS = 1_000_000_000;

export function madeSpec(given: Partial<PoolSpec> = {}): PoolSpec {
  return {
    name: "gpu",
    offer: { types: ["ocr"], queues: ["default"], labels: {}, resources: [], capacities: {}, slots: 1 },
    minWorkers: 0,
    maxWorkers: 5,
    maxStarting: 10,
    scheduledMinimums: [],
    startupTimeoutMs: 60_000,
    idleTimeoutMs: 30_000,
    drainTimeoutMs: 120_000,
    scale: { stabilizationMs: 0, minTaskAgeMs: 0 },
    guard: {
      windowMs: 600_000,
      minSamples: 3,
      failureRate: 0.5,
      firstBackoffMs: 30_000,
      maxBackoffMs: 900_000,
      maxUnaccepted: 3,
    },
    rollout: DEFAULT_ROLLOUT,
    template: { driver: "process", command: ["worker"], env: {}, secrets: [], directory: "" },
    ...given,
  };
}

export function madePool(given: Partial<PoolRecord> = {}): PoolRecord {
  return {
    spec: madeSpec(),
    version: 1,
    templateVersion: 1,
    createMs: 0,
    updateMs: 0,
    pause: undefined,
    deletion: undefined,
    memory: { guard: NEW_GUARD, wanted: [] },
    rollout: NO_ROLLOUT,
    launcher: { id: "host-1", session: "s", hostname: "host", untilMs: NOW_MS + 10_000 },
    ...given,
  };
}

export function madeLaunch(given: Partial<PoolLaunch> = {}): PoolLaunch {
  const launchId = given.launchId ?? "gpu-1";
  return {
    launchId,
    pool: "gpu",
    workerId: launchId,
    templateVersion: 1,
    reason: "1 task could start and wait for a worker",
    probe: false,
    orderMs: NOW_MS - 10_000,
    launcherId: "host-1",
    sendMs: NOW_MS - 10_000,
    observation: undefined,
    readyMs: undefined,
    stop: undefined,
    end: undefined,
    ...given,
  };
}

export function madeObservation(given: Partial<LaunchObservation> = {}): LaunchObservation {
  return {
    phase: "running",
    reason: "",
    detail: "",
    signal: "",
    outOfMemory: false,
    outputBytes: 0,
    outputAgeMs: undefined,
    logTail: "",
    atMs: NOW_MS,
    ...given,
  };
}

export function madeSession(given: Partial<LaunchSession> = {}): LaunchSession {
  return {
    id: 7,
    build: "",
    ready: true,
    draining: false,
    live: true,
    phases: [],
    goneMs: undefined,
    goneReason: "",
    held: 0,
    idleMs: 0,
    recentCompletions: 0,
    unaccepted: 0,
    accepted: false,
    loopAgeMs: 0,
    ...given,
  };
}

export function madeSupervised(given: Partial<LaunchRecord> = {}): LaunchRecord {
  return {
    command: "worker",
    hostname: "host",
    pid: 1,
    supervisor: "muster run (pid 2)",
    startNumber: 1,
    registerTimeoutMs: 60_000,
    lastError: "",
    rowId: 1,
    id: "gpu-1",
    workerId: "gpu-1",
    pool: "gpu",
    phases: [],
    launchTime: new Date(NOW_MS - 10_000),
    reportTime: new Date(NOW_MS),
    end: undefined,
    ...given,
  };
}

/** A launch whose process is known only by what is given. */
export function known(launch: Partial<PoolLaunch> = {}, rest: Partial<KnownLaunch> = {}): KnownLaunch {
  return { launch: madeLaunch(launch), session: undefined, supervised: undefined, rejection: "", ...rest };
}

/** A ready worker that has been idle for so long. */
export function idle(launchId: string, idleMs: number, session: Partial<LaunchSession> = {}): KnownLaunch {
  return known({ launchId, readyMs: NOW_MS - 100_000 }, { session: madeSession({ idleMs, ...session }) });
}

export function madeFacts(given: Partial<PoolFacts> = {}): PoolFacts {
  let count = 0;
  return {
    pool: madePool(),
    open: [],
    waiting: 0,
    usualStartMs: undefined,
    nowMs: NOW_MS,
    nextTime: () => undefined,
    newId: () => `gpu-new-${++count}`,
    ...given,
  };
}
