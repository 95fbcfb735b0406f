/** What the monitor counts, over all schedulers of the database. */
export interface MonitorFacts {
  /** GPUs that living workers declare, and those of workers that run something. */
  readonly gpus: number;
  readonly busyGpus: number;
  readonly workers: number;
  readonly ready: number;
  /** Tasks that could start now. */
  readonly queue: number;
  /** Tasks that wait for their time or their retry. */
  readonly scheduled: number;
  /** Tasks that a worker holds. */
  readonly processing: number;
  readonly stuck: number;
}

/**
 * The monitor's line: `MONITOR: GPUs: 2/5, Workers: 3/3, Queue: 197, Processing: 3, Stuck: 0 | queued
 * llm:197; completed in 5 min ocr:12`. GPUs are left out when no worker declares any.
 *
 * @param queued Waiting tasks by type, most first.
 * @param completed Tasks that succeeded within five minutes, by type, most first.
 */
export function monitorLine(
  facts: MonitorFacts,
  queued: readonly (readonly [string, number])[],
  completed: readonly (readonly [string, number])[],
): string {
  const parts = [
    ...(facts.gpus > 0 ? [`GPUs: ${facts.busyGpus}/${facts.gpus}`] : []),
    `Workers: ${facts.ready}/${facts.workers}`,
    `Queue: ${facts.queue}`,
    `Processing: ${facts.processing}`,
    `Stuck: ${facts.stuck}`,
  ];
  const details = [
    ...(queued.length > 0 ? [`queued ${byType(queued)}`] : []),
    ...(facts.scheduled > 0 ? [`scheduled ${facts.scheduled}`] : []),
    ...(completed.length > 0 ? [`completed in 5 min ${byType(completed)}`] : []),
  ];
  return `MONITOR: ${parts.join(", ")}${details.length > 0 ? ` | ${details.join("; ")}` : ""}`;
}

function byType(counts: readonly (readonly [string, number])[]): string {
  return counts.map(([type, count]) => `${type}:${count}`).join(", ");
}
