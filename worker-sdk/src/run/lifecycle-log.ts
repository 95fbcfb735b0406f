/** Logs the life of a worker. */
import { processAgeMs } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import { processFacts } from "./link-data.ts";

/** Number of attempts of this process by outcome. */
export interface Totals {
  completed: number;
  failed: number;
  cancelled: number;
  released: number;
}

/** Facts of every log line about the start: address of the scheduler, process, age. */
export function startFacts(options: CompiledOptions): Readonly<Record<string, unknown>> {
  return {
    scheduler_addr: options.connection.addresses.join(","),
    ...(options.connection.isDefaultAddress ? { scheduler_addr_source: "default" } : {}),
    ...processFacts(),
    elapsed_ms: Math.round(processAgeMs()),
  };
}

/** Logs the first line of a worker, with its options. */
export function logStarted(log: Logger, options: CompiledOptions): void {
  const fields = {
    event: "worker.started",
    ...startFacts(options),
    pool: options.pool,
    ...(options.buildId === "" ? {} : { build_id: options.buildId }),
    labels: options.labels,
    types: [...options.tasks.keys()],
    queues: options.queues,
    slots: options.concurrency,
    prefetch: options.prefetch,
    ...(Object.keys(options.capacities).length === 0 ? {} : { capacities: options.capacities }),
    resources: options.resources,
  };
  log.info(fields, `worker ${options.id} starting`);
}

/** Logs the last line of a worker, after a drain or a failure. */
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
