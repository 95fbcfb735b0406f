/** What a worker reports of itself: in heartbeats to the scheduler, and as measurements. */
import type { LimitReport } from "../../adaptive/adaptive-limit.ts";
import type { Clock } from "../../clock.ts";
import { adaptiveLimits, resourceStates } from "../codec/wire.ts";
import type { ResourceStateMessage } from "../messages.ts";
import type { InFlightAttempts } from "../outbox/in-flight.ts";
import type { PauseReports } from "../pressure/pause-reports.ts";
import type { SharedState } from "../shared.ts";
import type { LinkData } from "../thread-data.ts";
import type { BlockedStack } from "./blocked-stack.ts";
import type { Counters } from "./counters.ts";
import { measureWorker } from "./measure-worker.ts";
import type { Measures } from "./measures.ts";
import type { ProcessMetrics } from "./process-metrics.ts";

/** Parts that the status of a worker is read from. */
export interface WorkerStatusParts {
  readonly data: Pick<LinkData, "resources" | "types" | "slots">;
  readonly clock: Clock;
  readonly shared: SharedState;
  readonly counters: Counters;
  readonly inFlight: InFlightAttempts;
  readonly processMetrics: ProcessMetrics;
  readonly pauses: Pick<PauseReports, "inHeartbeat">;
  /** Undefined when stacks are not read. */
  readonly blockedStack: BlockedStack | undefined;
}

/** Keeps what the main thread has reported of the worker, and puts it together with what the link measures. */
export class WorkerStatus {
  readonly #parts: WorkerStatusParts;
  /** Resources that are loaded. */
  resources: readonly string[];
  resourceStates: readonly ResourceStateMessage[] = [];
  /** The limits of the types whose concurrency adapts. */
  readonly limits: Map<string, LimitReport>;

  constructor(parts: WorkerStatusParts) {
    this.#parts = parts;
    this.resources = parts.data.resources;
    this.limits = new Map(
      parts.data.types.flatMap(({ type, limit }) => (limit === undefined ? [] : [[type, limit]])),
    );
  }

  /** The content of a heartbeat. */
  heartbeat(sequence: bigint) {
    const { clock, counters, inFlight, processMetrics, pauses, blockedStack, data } = this.#parts;
    const measured = processMetrics.measure();
    blockedStack?.look(processMetrics.loopAgeMs);
    for (const attempt of inFlight.values())
      attempt.peakRssBytes = Math.max(attempt.peakRssBytes, processMetrics.rssBytes);
    counters.set("heartbeats", sequence);
    counters.set("outbox_size", BigInt(inFlight.pendingResults));
    const nowMs = clock.monotonicMs();
    return {
      ...measured,
      ...blockedStack?.inHeartbeat(),
      sequence,
      slotCount: data.slots,
      running: inFlight.describe(nowMs),
      resources: [...this.resources],
      ...pauses.inHeartbeat(),
      counters: counters.totals(),
      resourceStates: resourceStates(this.resourceStates, nowMs),
      adaptiveLimits: adaptiveLimits(this.limits, nowMs),
    };
  }

  /** Measures the worker now. @param connected Its stream is up. */
  measure(connected: boolean): Measures {
    const { counters, inFlight, processMetrics, shared, data } = this.#parts;
    const { slots } = data;
    return measureWorker({
      counters,
      inFlight,
      processMetrics,
      shared,
      slots,
      limits: this.limits,
      connected,
    });
  }
}
