/** The store as the composition root makes it: all roles together. A part takes the roles that it uses. */
import type { AttemptStore } from "./attempts.ts";
import type { BatchStore } from "./batches.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { CircuitStore } from "./circuits.ts";
import type { ClaimStore } from "./claims.ts";
import type { ClassStore } from "./classes.ts";
import type { ConcurrencyStore } from "./concurrency.ts";
import type { DependencyStore } from "./dependencies.ts";
import type { EventStore } from "./events.ts";
import type { FairnessStore } from "./fairness.ts";
import type { FleetStore } from "./fleet.ts";
import type { HistoryStore } from "./history.ts";
import type { LaunchStore } from "./launches.ts";
import type { MaintenanceStore } from "./maintenance.ts";
import type { MetricStore } from "./metrics.ts";
import type { PollStore } from "./polls.ts";
import type { PoolStore } from "./pools.ts";
import type { QuarantineStore } from "./quarantines.ts";
import type { QueueStore } from "./queues.ts";
import type { RateLimitStore } from "./rate-limits.ts";
import type { SchedulerStore } from "./schedulers.ts";
import type { ScheduleStore } from "./schedules.ts";
import type { SessionStore } from "./sessions.ts";
import type { StatisticsStore } from "./statistics.ts";
import type { ChangeStore } from "./task-changes.ts";
import type { TaskLogStore } from "./task-logs.ts";
import type { TaskStore } from "./tasks.ts";

export type * from "./attempts.ts";
export type * from "./batches.ts";
export type * from "./checkpoints.ts";
export type * from "./circuits.ts";
export type * from "./claims.ts";
export type * from "./classes.ts";
export type * from "./concurrency.ts";
export type * from "./dependencies.ts";
export type * from "./events.ts";
export type * from "./fairness.ts";
export type * from "./fleet.ts";
export type * from "./history.ts";
export type * from "./launches.ts";
export type * from "./maintenance.ts";
export type * from "./metrics.ts";
export type * from "./polls.ts";
export type * from "./pools.ts";
export type * from "./quarantines.ts";
export type * from "./queues.ts";
export type * from "./rate-limits.ts";
export type * from "./schedulers.ts";
export type * from "./schedules.ts";
export type * from "./sessions.ts";
export type * from "./statistics.ts";
export type * from "./task-changes.ts";
export type * from "./task-logs.ts";
export type * from "./tasks.ts";

/**
 * Everything that is durable. Methods throw DatabaseUnavailableError when the database cannot be reached; reads and
 * fenced writes are tried again inside for a bounded time, because they have the same effect when they run twice.
 */
export interface Store
  extends ClassStore,
    ClaimStore,
    AttemptStore,
    CheckpointStore,
    CircuitStore,
    DependencyStore,
    BatchStore,
    ConcurrencyStore,
    RateLimitStore,
    FairnessStore,
    TaskStore,
    TaskLogStore,
    ChangeStore,
    SessionStore,
    QuarantineStore,
    LaunchStore,
    EventStore,
    SchedulerStore,
    ScheduleStore,
    PollStore,
    PoolStore,
    QueueStore,
    FleetStore,
    HistoryStore,
    StatisticsStore,
    MetricStore,
    MaintenanceStore {
  close(): Promise<void>;
}
