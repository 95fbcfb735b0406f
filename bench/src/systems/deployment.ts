import { migrateDatabase } from "@muster/scheduler";
import { type Child, cpuOfFamily } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import type { Lab } from "../lab/lab.ts";
import { settleDatabase } from "../lab/postgres.ts";
import { startScheduler } from "../lab/scheduler.ts";
import { Agent } from "./agent.ts";
import type { SystemSpec } from "./catalogue.ts";

/** A system set up on a database of its own, with its producer and its workers connected and at rest. */
export interface Deployment {
  readonly producer: Agent;
  readonly workers: readonly Agent[];
  /** Tasks that have not durably ended. */
  pending(): Promise<boolean>;
  /** Tasks that have durably succeeded, as the system's own records say. */
  succeeded(): Promise<number>;
  /** Statistics gathered, dirty pages written. */
  settle(): Promise<void>;
  /** CPU used so far by the parts of the system. */
  cpu(): Promise<CpuUse>;
  /** Ends everything and drops the data. */
  close(): Promise<void>;
}

/** CPU time by part, milliseconds; 0 for a part that does not exist or cannot be seen. */
export interface CpuUse {
  readonly workersMs: number;
  readonly schedulerMs: number;
  /** PostgreSQL with all its processes, or Redis. */
  readonly serverMs: number;
}

/** Reasons for which a system cannot be measured here. */
export class MissingPart extends Error {
  override readonly name = "MissingPart";
}

/** How a deployment differs from the usual. */
export interface DeployOptions {
  /** Further arguments of Node for scheduler and workers, for example `--cpu-prof`. */
  readonly execArgv?: readonly string[];
  /** Further flags of the scheduler. */
  readonly schedulerArgs?: readonly string[];
}

/** Sets a system up. @throws MissingPart when the machine lacks what it needs. */
export async function deploy(lab: Lab, spec: SystemSpec, options: DeployOptions = {}): Promise<Deployment> {
  return spec.driver === "bullmq" ? deployOnRedis(lab, spec) : deployOnPostgres(lab, spec, options);
}

async function deployOnPostgres(lab: Lab, spec: SystemSpec, options: DeployOptions): Promise<Deployment> {
  const server = await lab.postgres();
  const database = await server.createDatabase(spec.key);
  const { cleanup } = lab;
  const scheduler =
    spec.driver === "muster"
      ? await startScheduler(cleanup, {
          databaseUrl: database.url,
          args: options.schedulerArgs ?? [],
          execArgv: options.execArgv ?? [],
        })
      : undefined;
  if (spec.driver === "floor") await migrateDatabase(database.url);
  const agents = await startAgents(cleanup, spec, scheduler?.grpc ?? database.url, options);
  const { pending, succeeded } = queriesOf(spec);
  return {
    ...agents,
    pending: async () => (await database.query(pending))[0]?.found === true,
    succeeded: async () => Number((await database.query(succeeded))[0]?.count),
    settle: () => settleDatabase(server, database),
    cpu: () => cpuOf(agents.workers, scheduler?.child, server.pid),
    close: async () => {
      await stopAgents(agents);
      await scheduler?.child.stop();
      await database.drop();
    },
  };
}

function queriesOf({ driver }: SystemSpec): { pending: string; succeeded: string } {
  switch (driver) {
    case "muster":
    case "floor":
      return {
        pending: "select exists(select 1 from muster.task) as found",
        succeeded: "select count(*) from muster.task_finished where state = 3",
      };
    case "graphile-worker":
      return {
        pending: "select exists(select 1 from graphile_worker._private_jobs) as found",
        // It deletes what has succeeded and keeps what has failed.
        succeeded: `select coalesce(pg_sequence_last_value(pg_get_serial_sequence($$graphile_worker._private_jobs$$, $$id$$)), 0)
            - (select count(*) from graphile_worker._private_jobs) as count`,
      };
    case "pg-boss":
      return {
        pending: "select exists(select 1 from pgboss.job where state < 'completed') as found",
        succeeded: "select count(*) from pgboss.job where state = 'completed'",
      };
    case "bullmq":
      throw new Error("BullMQ keeps its tasks in Redis");
    default: {
      const never: never = driver;
      throw new RangeError(`unknown driver ${String(never)}`);
    }
  }
}

async function deployOnRedis(lab: Lab, spec: SystemSpec): Promise<Deployment> {
  const redis = await lab.redis();
  if (redis === undefined)
    throw new MissingPart("redis-server is not on PATH; install Redis to measure BullMQ");
  await redis.flush();
  const agents = await startAgents(lab.cleanup, spec, redis.url, {});
  return {
    ...agents,
    pending: async () => (await redis.lengths("bull:noop:wait", "bull:noop:active")) > 0,
    succeeded: () => redis.cardinality("bull:noop:completed"),
    settle: async () => undefined,
    cpu: () => cpuOf(agents.workers, undefined, redis.pid),
    close: async () => {
      await stopAgents(agents);
      await redis.flush();
    },
  };
}

async function cpuOf(
  workers: readonly Agent[],
  scheduler: Child | undefined,
  server: number | undefined,
): Promise<CpuUse> {
  const of = async (child: Child) => (await child.usage()).cpuMs;
  const ofWorkers = await Promise.all(workers.map(({ child }) => of(child)));
  return {
    workersMs: ofWorkers.reduce((sum, ms) => sum + ms, 0),
    schedulerMs: scheduler ? await of(scheduler) : 0,
    serverMs: server === undefined ? 0 : await cpuOfFamily(server),
  };
}

async function startAgents(cleanup: Cleanup, spec: SystemSpec, target: string, options: DeployOptions) {
  const open = { driver: spec.driver, target, settings: spec.settings };
  // The producer first: it makes the peers' schema.
  const producer = await Agent.start(cleanup, { ...open, role: "producer" });
  const workers = await Promise.all(
    Array.from({ length: spec.processes }, () =>
      Agent.start(cleanup, { ...open, role: "worker", execArgv: options.execArgv ?? [] }),
    ),
  );
  return { producer, workers };
}

async function stopAgents({
  producer,
  workers,
}: {
  producer: Agent;
  workers: readonly Agent[];
}): Promise<void> {
  await Promise.all([producer, ...workers].map((agent) => agent.stop()));
}
