/** The parts that the explainers of tasks, workers and queues share. */
import type { Clock } from "../../clock.ts";
import type { Admission } from "../../dispatch/admission/admission.ts";
import type { PausedQueues } from "../../dispatch/admission/paused-queues.ts";
import type { RetryPolicies } from "../../dispatch/attempts/retry-policies.ts";
import type { Dispatcher } from "../../dispatch/claiming/dispatcher.ts";
import type { Backlog } from "../../dispatch/matching/backlog.ts";
import type { ClassIndex } from "../../dispatch/matching/class-index.ts";
import type { Mechanisms } from "../../dispatch/mechanisms/mechanisms.ts";
import type { PoolController } from "../../dispatch/pools/pool-controller.ts";
import type { Registry } from "../../dispatch/sessions/registry.ts";
import type { FleetView } from "../../dispatch/sessions/workers/fleet-view.ts";
import type { DatabaseAvailability } from "../../domain/database/availability.ts";
import type { WatchSettings } from "../../domain/tasks/attempts/watchdog.ts";
import type {
  BatchStore,
  CircuitStore,
  ClassStore,
  ConcurrencyStore,
  DependencyStore,
  EventStore,
  FleetStore,
  LaunchStore,
  MaintenanceStore,
  PoolStore,
  QueueStore,
  RateLimitStore,
  SchedulerStore,
  ScheduleStore,
  SessionStore,
  TaskStore,
} from "../../store/store.ts";

/** A count this old is good enough for an explanation, milliseconds. */
export const BACKLOG_AGE_MS = 500;

/** Parts that the explainers use. */
export interface ExplainerParts {
  readonly store: Pick<CircuitStore, "listCircuits"> &
    Pick<ClassStore, "waitingTasks"> &
    Pick<ConcurrencyStore, "keyOrders" | "listLocks"> &
    Pick<BatchStore, "getBatch"> &
    Pick<DependencyStore, "predecessors"> &
    Pick<EventStore, "costRaises" | "lastWorkerEvent" | "latestTaskEvents"> &
    Pick<FleetStore, "getWorker" | "knownSizes" | "listWorkers"> &
    Pick<LaunchStore, "earlierStarts" | "listLaunches" | "servedBefore" | "waitingLaunches"> &
    Pick<MaintenanceStore, "databaseTime" | "foreignLock"> &
    Pick<PoolStore, "listPoolLaunches"> &
    Pick<QueueStore, "getQueue" | "limitedQueues"> &
    Pick<RateLimitStore, "listRateLimits"> &
    Pick<SchedulerStore, "listSchedulers" | "otherSchedulers"> &
    Pick<ScheduleStore, "getSchedule" | "openTasks"> &
    Pick<SessionStore, "listContests" | "listRejectedWorkers"> &
    Pick<TaskStore, "getAttempts" | "getTask" | "keyOwner">;
  readonly admission: Admission;
  readonly pausedQueues: PausedQueues;
  readonly retryPolicies: Pick<RetryPolicies, "resolve">;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly mechanisms: Pick<Mechanisms, "modes" | "queueModes">;
  readonly pools: Pick<PoolController, "plan">;
  readonly registry: Registry;
  readonly fleet: FleetView;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly database: Pick<DatabaseAvailability, "run" | "outage">;
  readonly schedulerId: string;
  /** A supervisor without a report for this long is silent. */
  readonly silentAfterMs: number;
  /** Where workers connect, `host:port`. */
  readonly address: () => string;
  /** Since the polling loop last ran, milliseconds; undefined before its first run. */
  readonly pollAgeMs: () => number | undefined;
  readonly watch: WatchSettings;
  readonly acceptDeadlineMs: number;
}

/**
 * The database's clock, read once: the ages in memory are of the moment at which an explanation is made, and reads
 * of a slow database come before it.
 */
export async function readDatabaseClock({
  store,
  clock,
}: Pick<ExplainerParts, "store" | "clock">): Promise<() => Date> {
  const read = await store.databaseTime();
  const at = clock.monotonic();
  return () => new Date(read.getTime() + clock.monotonic() - at);
}
