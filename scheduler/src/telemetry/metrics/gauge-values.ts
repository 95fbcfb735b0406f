/** The values that the gauges show. */

/** States of open tasks, the label of `muster_tasks`: `scheduled` waits for its time or a retry. */
export const TASK_STATES = ["queued", "scheduled", "assigned", "running"] as const;

/** States of living workers. */
export const WORKER_STATES = [
  "launching",
  "connecting",
  "registered",
  "ready",
  "draining",
  "suspect",
] as const;

/** Open tasks of a queue and type. */
export interface TaskGauges {
  readonly queue: string;
  readonly type: string;
  readonly counts: Readonly<Record<(typeof TASK_STATES)[number], number>>;
  /** Seconds since the creation of the oldest queued task; 0 when none is queued. */
  readonly oldestQueuedS: number;
  /** The same of tasks without an attempt that counts. */
  readonly oldestFirstAttemptS: number;
  /** Tasks that succeeded within the last five minutes. */
  readonly recentCompleted: number;
  /** Queued tasks that no ready worker can run. */
  readonly unserved: number;
}

/** Where the launches of a pool stand, the label of `muster_pool_workers`. */
export const POOL_WORKER_STATES = ["starting", "ready", "draining"] as const;

/** States of a launch guard, the label of `muster_pool_launch_guard`. */
export const GUARD_STATES = ["closed", "open", "half_open"] as const;

/** A pool, or those without a label of their own together. */
export interface PoolGauges {
  readonly pool: string;
  /** Workers that are wanted, within the bounds. */
  readonly wanted: number;
  readonly max: number;
  /** Tasks that could start now and that count for it. */
  readonly waiting: number;
  readonly workers: Readonly<Record<(typeof POOL_WORKER_STATES)[number], number>>;
  /** Pools by the state of their guard: of a single one, 1 for its state. */
  readonly guard: Readonly<Record<(typeof GUARD_STATES)[number], number>>;
}

/** What the gauges show. */
export interface Gauges {
  /** Of the whole database; undefined while that does not answer. */
  readonly database:
    | {
        readonly tasks: Iterable<TaskGauges>;
        readonly workers: Iterable<{ readonly pool: string; readonly state: string; readonly count: number }>;
        readonly pools: Iterable<PoolGauges>;
      }
    | undefined;
  readonly databaseUp: boolean;
  readonly streams: number;
  /** Workers of this scheduler that take no new work, by who asks for it. */
  readonly paused: Readonly<Record<"operator" | "worker", number>>;
  /** Of this scheduler's workers together, by the name of the capacity. */
  readonly capacities: ReadonlyMap<string, { readonly total: number; readonly used: number }>;
  /** Circuits of the whole database that are not closed. */
  readonly circuits: { readonly open: number; readonly halfOpen: number };
  /** Workers that are quarantined. */
  readonly quarantined: number;
  /** Rate limit keys that are paused. */
  readonly pausedKeys: number;
  /** Fairness keys of which tasks wait in this scheduler's memory. */
  readonly fairnessKeys: number;
  readonly stuck: ReadonlyMap<string, number>;
  readonly loops: Iterable<{ readonly name: string; readonly lastRunS: number; readonly intervalS: number }>;
  readonly process: {
    readonly cpuS: number;
    readonly rssBytes: number;
    readonly startedS: number;
    readonly descriptors: { readonly used: number; readonly limit: number | undefined };
  };
}
