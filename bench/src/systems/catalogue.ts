/** A queue system in one configuration, as the measures compare it. */
export interface SystemSpec {
  /** Short name: in JSON, and what `--systems` takes. */
  readonly key: string;
  /** What tables call it. */
  readonly label: string;
  readonly driver: "muster" | "graphile-worker" | "pg-boss" | "bullmq" | "floor";
  readonly settings: Readonly<Record<string, number>>;
  /** Worker processes. */
  readonly processes: number;
  /** Most tasks in one throughput run: a slow configuration is measured on fewer. */
  readonly taskLimit?: number;
}

/** Settings of the peers are those that their own documentation or benchmark names as fastest. */
export const SYSTEMS: readonly SystemSpec[] = [
  {
    key: "muster",
    label: "Muster",
    driver: "muster",
    settings: { concurrency: 1_000, prefetch: 1_000 },
    processes: 1,
  },
  {
    key: "floor",
    label: "floor (the same SQL, bare)",
    driver: "floor",
    settings: { batch: 500, lanes: 3 },
    processes: 1,
  },
  {
    key: "graphile-1000",
    label: "graphile-worker 24/1000",
    driver: "graphile-worker",
    settings: { concurrency: 24, localQueue: 1_000, batchDelay: 0 },
    processes: 1,
  },
  {
    key: "graphile-500",
    label: "graphile-worker 24/500",
    driver: "graphile-worker",
    settings: { concurrency: 24, localQueue: 500, batchDelay: 0 },
    processes: 1,
  },
  {
    key: "graphile-1000x2",
    label: "graphile-worker 24/1000, two processes",
    driver: "graphile-worker",
    settings: { concurrency: 24, localQueue: 1_000, batchDelay: 0 },
    processes: 2,
  },
  {
    key: "graphile-500x2",
    label: "graphile-worker 24/500, two processes",
    driver: "graphile-worker",
    settings: { concurrency: 24, localQueue: 500, batchDelay: 0 },
    processes: 2,
  },
  {
    key: "graphile-default",
    label: "graphile-worker default",
    driver: "graphile-worker",
    settings: {},
    processes: 1,
    taskLimit: 5_000,
  },
  {
    key: "pg-boss-work",
    label: "pg-boss work, batches of 1000",
    driver: "pg-boss",
    settings: { batch: 1_000, localConcurrency: 2 },
    processes: 1,
  },
  {
    key: "pg-boss-fetch",
    label: "pg-boss, 4 fetch loops of 1000",
    driver: "pg-boss",
    settings: { batch: 1_000, loops: 4 },
    processes: 1,
  },
  {
    key: "bullmq",
    label: "BullMQ (Redis)",
    driver: "bullmq",
    settings: { concurrency: 100 },
    processes: 1,
  },
];

/** One configuration of each driver: enough to see that the harness works. */
export const QUICK_SYSTEMS: readonly string[] = [
  "muster",
  "floor",
  "graphile-1000",
  "pg-boss-work",
  "bullmq",
];

/** The systems with these keys. @throws RangeError that names what there is. */
export function systemsOf(keys: readonly string[] | undefined): readonly SystemSpec[] {
  if (keys === undefined) return SYSTEMS;
  return keys.map((key) => {
    const found = SYSTEMS.find((system) => system.key === key);
    if (!found)
      throw new RangeError(
        `"${key}" is no system; there are ${SYSTEMS.map((system) => system.key).join(", ")}`,
      );
    return found;
  });
}
