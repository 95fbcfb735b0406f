/** Logs the monitor line and stuck tasks. */
import type { Launches } from "../dispatch/launches/launches.ts";
import type { ClassIndex } from "../dispatch/matching/class-index.ts";
import { formatTaskId } from "../domain/ids.ts";
import { largest } from "../domain/largest.ts";
import { type MonitorFacts, monitorLine } from "../domain/monitor-line.ts";
import { RecentCompletions } from "../domain/recent-completions.ts";
import { RECENT_MS, recentCount } from "../domain/workers/completions.ts";
import { Slices } from "../slices.ts";
import type { FleetStore, QueueStore, StatisticsStore } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** Stuck tasks that are named; all of them are counted. */
const MAX_NAMED = 20;

/** Task types that are named in the line and classes in the details. */
const MAX_TYPES = 20;

/**
 * Logs one line that sums up the fleet's work, warns of stuck tasks by name, and lists the launches that have not
 * registered. Logs nothing while there is neither work nor a worker. The numbers are the database's: every scheduler
 * logs the same.
 */
export class Monitor {
  readonly #parts: MonitorParts;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, classes, log, launches } = this.#parts;
    await logSummary(store, classes, log);
    await launches.monitor();
  }
}

export interface MonitorParts {
  readonly store: MonitorStore;
  readonly classes: Pick<ClassIndex, "load" | "get">;
  readonly log: Pick<Logger, "info" | "warn" | "debug" | "debugEnabled">;
  readonly launches: Pick<Launches, "monitor">;
}

type MonitorStore = Pick<QueueStore & FleetStore, "depths" | "fleetCounts" | "stuckAttempts" | "workerUse"> &
  Pick<StatisticsStore, "recentCompletions">;

async function logSummary(
  store: MonitorStore,
  classes: MonitorParts["classes"],
  log: MonitorParts["log"],
): Promise<void> {
  const [depths, fleet, stuck, completions] = await Promise.all([
    store.depths(),
    store.fleetCounts(),
    store.stuckAttempts(MAX_NAMED),
    store.recentCompletions(RECENT_MS),
  ]);
  const slices = new Slices();
  const sums = { ready: 0, scheduled: 0, active: 0 };
  const byType = new Map<string, number>();
  await classes.load(depths.map(({ classId }) => classId));
  await slices.next();
  for (const { classId, ready, scheduled, active } of depths) {
    sums.ready += ready;
    sums.scheduled += scheduled;
    sums.active += active;
    const type = classes.get(classId)?.taskClass.type ?? `class ${classId}`;
    if (ready > 0) byType.set(type, (byType.get(type) ?? 0) + ready);
    if (slices.isOver) await slices.next();
  }
  await slices.next();
  const total: MonitorFacts = {
    ...fleet,
    queue: sums.ready,
    scheduled: sums.scheduled,
    processing: sums.active,
    stuck: stuck.count,
  };
  if (total.queue + total.scheduled + total.processing + total.workers === 0) return;
  const queued = largest(byType, MAX_TYPES, (a, b) => b[1] - a[1]);
  const recent = new RecentCompletions(completions);
  const completed = largest(recent.byType(), MAX_TYPES, (a, b) => b[1] - a[1]);
  log.info("monitor", {
    line: monitorLine(total, queued, completed),
    ...(total.gpus > 0 ? { gpus_busy: total.busyGpus, gpus: total.gpus } : {}),
    workers_ready: total.ready,
    workers: total.workers,
    queue: total.queue,
    queue_by_type: Object.fromEntries(queued),
    scheduled: total.scheduled,
    processing: total.processing,
    stuck: total.stuck,
    completed_5min: recent.total,
    completed_5min_by_type: Object.fromEntries(completed),
    ...(recent.ageMs === undefined ? {} : { completed_age_ms: Math.round(recent.ageMs) }),
  });
  if (stuck.count > 0) {
    const tasks = stuck.attempts.map(({ taskId, workerId, type, queue, stuck: verdict }) => ({
      task_id: formatTaskId(taskId),
      task_type: type,
      queue,
      worker_id: workerId,
      phase: verdict.phase,
      elapsed_ms: Math.round(verdict.elapsedMs),
      elapsed_min: Math.floor(verdict.elapsedMs / 60_000),
      warn_after_s: verdict.warnAfterMs / 1_000,
      reported_by: verdict.by,
    }));
    log.warn("tasks.stuck", { count: stuck.count, tasks });
  }
  if (!log.debugEnabled) return;
  log.debug("monitor.workers", {
    workers: (await store.workerUse(MAX_NAMED)).map(({ workerId, active, completions: facts, ageMs }) => ({
      worker_id: workerId,
      processing: active,
      ...(facts ? { completed: facts.total, completed_5min: recentCount(facts, ageMs) } : {}),
      ...(facts?.idleMs === undefined ? {} : { idle_ms: Math.round(facts.idleMs + ageMs) }),
    })),
    left_out: Math.max(0, total.workers - MAX_NAMED),
  });
  const details = depths
    .slice(0, MAX_TYPES)
    .map(({ classId, ready, scheduled, active, oldestReadyAgeMs, oldestFirstAgeMs }) => {
      const taskClass = classes.get(classId)?.taskClass;
      return {
        queue: taskClass?.queue,
        task_type: taskClass?.type,
        ready,
        scheduled,
        active,
        ...(oldestReadyAgeMs === undefined ? {} : { oldest_ready_ms: Math.round(oldestReadyAgeMs) }),
        ...(oldestFirstAgeMs === undefined ? {} : { oldest_first_attempt_ms: Math.round(oldestFirstAgeMs) }),
        ...(taskClass ? { type_completed_5min: recent.ofType(taskClass.queue, taskClass.type) } : {}),
      };
    });
  log.debug("monitor.queues", { classes: details, left_out: Math.max(0, depths.length - MAX_TYPES) });
}
