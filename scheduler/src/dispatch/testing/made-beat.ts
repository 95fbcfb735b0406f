import type { HeartbeatRecord, RunningRecord } from "../../domain/workers/worker.ts";

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
