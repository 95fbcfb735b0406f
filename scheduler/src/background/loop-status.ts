/** The liveness of the background services. */
import type { Clock } from "../clock.ts";
import type { LoopStatus } from "../domain/reports.ts";
import type { Loop } from "./loop.ts";

/** How the loops do. @param startedAt When they were started, monotonic milliseconds. */
export function loopStatuses(loops: readonly Loop[], clock: Clock, startedAt: number): LoopStatus[] {
  const now = clock.monotonic();
  return loops.map(({ name, intervalMs, lastRunAt, lastError }) => ({
    name,
    intervalMs,
    ageMs: Math.round(now - (lastRunAt ?? startedAt)),
    error: lastError === undefined ? "" : lastError instanceof Error ? lastError.message : String(lastError),
  }));
}
