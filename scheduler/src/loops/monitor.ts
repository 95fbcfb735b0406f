import type { Dispatch } from "../dispatch/dispatch.ts";
import { STUCK_AFTER_MS } from "../domain/stuck.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";

/** One line that sums up what is going on; silent when nothing is. */
export async function monitorOnce(store: Store, dispatch: Dispatch, log: Logger): Promise<void> {
  const depths = await store.depths();
  const sum = (pick: (depth: (typeof depths)[number]) => number) =>
    depths.reduce((total, depth) => total + pick(depth), 0);
  const queued = sum(({ ready }) => ready);
  const scheduled = sum(({ scheduled }) => scheduled);
  const processing = sum(({ active }) => active);
  const sessions = [...dispatch.registry.all()];
  if (queued + scheduled + processing + sessions.length === 0) return;
  const stuck = stuckAttempts(dispatch);
  const ready = sessions.filter((session) => session.ready).length;
  const line = `MONITOR: Workers: ${ready}/${sessions.length}, Queue: ${queued}, Scheduled: ${scheduled}, Processing: ${processing}, Stuck: ${stuck.length}`;
  const fields = {
    workers_ready: ready,
    workers: sessions.length,
    queue: queued,
    scheduled,
    processing,
    stuck: stuck.length,
    line,
  };
  log.info("monitor", fields);
  if (stuck.length > 0) log.warn("tasks.stuck", { tasks: stuck.slice(0, 20), count: stuck.length });
}

/** Attempts that have been in one phase for too long. */
export function stuckAttempts({ registry, clock }: Dispatch) {
  const now = clock.monotonic();
  return [...registry.all()].flatMap((session) =>
    [...session.attempts.values()]
      .filter((attempt) => attempt.acceptedAt !== undefined && now - attempt.phaseAt > STUCK_AFTER_MS)
      .map((attempt) => ({
        task: `t-${attempt.taskId}`,
        worker: session.workerId,
        phase: attempt.phase ?? "",
        elapsed_ms: Math.round(now - attempt.phaseAt),
      })),
  );
}
