/** Measures a worker. */
import type { InFlightAttempts } from "../outbox/in-flight.ts";
import type { SharedState } from "../shared.ts";
import type { Counters } from "./counters.ts";
import type { Measures } from "./measures.ts";
import type { ProcessMetrics } from "./process-metrics.ts";

const OUTCOMES = ["succeeded", "failed", "cancelled", "released"];

/** Measures the worker now. */
export function measureWorker(parts: {
  readonly counters: Counters;
  readonly inFlight: InFlightAttempts;
  readonly processMetrics: ProcessMetrics;
  readonly shared: SharedState;
  readonly slots: number;
  readonly limits: ReadonlyMap<string, { readonly limit: number }>;
  readonly connected: boolean;
}): Measures {
  const { counters, inFlight, processMetrics, shared, slots, limits, connected } = parts;
  return {
    concurrentJobs: inFlight.runningCount,
    slots,
    outboxSize: inFlight.pendingResults,
    heartbeats: counters.get("heartbeats"),
    heartbeatFailures: counters.get("heartbeat_failures"),
    reconnects: counters.get("reconnects"),
    duplicates: {
      assignment: counters.get("duplicate_assignments"),
      artifact: counters.get("artifact_skips"),
    },
    pauses: counters.pauses.counts(),
    probeFailures: counters.get("probe_failures"),
    retries: counters.retries.counts(),
    batches: counters.batches.counts(),
    batchMembers: counters.batchMembers.counts(),
    limits: Object.fromEntries(Array.from(limits, ([type, { limit }]) => [type, limit])),
    limitChanges: counters.limitChanges.counts(),
    shed: {
      progress: counters.get("progress_shed") + counters.get("progress_coalesced"),
      output: counters.get("output_shed"),
      event: counters.get("events_dropped"),
    },
    logLines: counters.get("task_log_lines"),
    logLinesDropped: counters.droppedLines.counts(),
    finished: Object.fromEntries(OUTCOMES.map((outcome) => [outcome, counters.get(`tasks_${outcome}`)])),
    eventLoopDelayS: Math.max(shared.delayP99Ms, processMetrics.loopAgeMs) / 1000,
    connected,
    cpuS: processMetrics.cpuS,
    rssBytes: processMetrics.rssBytes,
    heapUsedBytes: shared.heapUsedBytes,
  };
}
