import { processAgeMs } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/options.ts";
import { processFacts } from "./link-data.ts";

/** How many attempts of a process ended in which way. */
export interface Totals {
  completed: number;
  failed: number;
  cancelled: number;
  released: number;
}

/** What every line about a worker's start has, whatever it says: who, where to, which process, since when. */
export function startFacts(options: CompiledOptions): Readonly<Record<string, unknown>> {
  return {
    scheduler_addr: options.connection.addresses.join(","),
    ...processFacts(),
    elapsed_ms: Math.round(processAgeMs()),
  };
}

/** The first line of a worker: what it is and what it can run. */
export function logStarted(log: Logger, options: CompiledOptions): void {
  const fields = {
    event: "worker.started",
    ...startFacts(options),
    pool: options.pool,
    labels: options.labels,
    types: [...options.tasks.keys()],
    queues: options.queues,
    slots: options.concurrency,
    prefetch: options.prefetch,
    resources: options.resources,
  };
  log.info(fields, `worker ${options.id} starting`);
}

/** The last line of a worker, after a drain and after a crash. */
export function logStopped(log: Logger, reason: string, totals: Totals): void {
  const { completed, failed, cancelled, released } = totals;
  const fields = {
    event: "worker.stopped",
    reason,
    tasks_completed: completed,
    tasks_failed: failed,
    tasks_cancelled: cancelled,
    tasks_released: released,
    elapsed_ms: Math.round(processAgeMs()),
  };
  const tasks = `${completed} task${completed === 1 ? "" : "s"}`;
  log.info(fields, `worker stopped (${reason}): completed ${tasks}`);
}
