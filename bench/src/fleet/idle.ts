/** Runs idle workers and measures the scheduler. */
import { setTimeout as sleep } from "node:timers/promises";
import { Child, cpuOfFamily } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import type { PostgresServer } from "../lab/postgres.ts";
import { startScheduler } from "../lab/scheduler.ts";
import { PROBE, Probed } from "../measured/probed.ts";

import { coreShare } from "../measured/usage.ts";
import { Streams } from "./streams.ts";

/** What idle workers are measured with. */
export interface IdlePlan {
  /** Numbers of connected workers, rising. */
  readonly steps: readonly number[];
  readonly heartbeatMs: number;
  /** How long processor time is counted at each step, milliseconds. */
  readonly windowMs: number;
}

/** A server that holds idle workers. */
export interface IdleStep {
  readonly workers: number;
  /** Held after a collection, bytes. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
  /** Shares of one core. */
  readonly serverCores: number;
  readonly postgresCores: number;
  readonly beatsPerSecond: number;
  readonly slowestAckMs: number;
}

/** The server at each step, the first without workers. */
export interface IdleResult {
  readonly server: "muster" | "bare grpc-js";
  readonly steps: readonly IdleStep[];
}

/** One scheduler with idle workers that beat. */
export async function measureIdleFleet(
  cleanup: Cleanup,
  server: PostgresServer,
  plan: IdlePlan,
): Promise<IdleResult> {
  const database = await server.createDatabase("idle");
  const { child, grpc } = await startScheduler(cleanup, {
    databaseUrl: database.url,
    args: heartbeatArgs(plan.heartbeatMs),
    execArgv: [...PROBE],
  });
  const steps = await climb(cleanup, new Probed(child), grpc, plan, server.pid);
  await child.stop();
  await database.drop();
  return { server: "muster", steps };
}

/** The control: a grpc-js server that holds the same streams, takes the same heartbeats and does nothing with them. */
export async function measureBareFleet(cleanup: Cleanup, plan: IdlePlan): Promise<IdleResult> {
  const child = new Child(cleanup, {
    name: "bare server",
    program: "fleet/bare-server.ts",
    args: [String(plan.heartbeatMs)],
    execArgv: [...PROBE],
  });
  const { grpc_addr: address } = await child.line("scheduler.started");
  const steps = await climb(cleanup, new Probed(child), String(address), plan, undefined);
  await child.stop();
  return { server: "bare grpc-js", steps };
}

/** Bytes of heap that one more worker costs, from the first to the last step. */
export function perWorker({ steps }: IdleResult, what: "heapBytes" | "rssBytes" | "externalBytes"): number {
  const first = steps[0];
  const last = steps.at(-1);
  if (!first || !last || first === last) throw new RangeError("a slope needs two steps");
  return (last[what] - first[what]) / (last.workers - first.workers);
}

async function climb(
  cleanup: Cleanup,
  probed: Probed,
  address: string,
  plan: IdlePlan,
  postgresPid: number | undefined,
): Promise<IdleStep[]> {
  const streams = new Streams(cleanup, "idle");
  const steps: IdleStep[] = [];
  let open = 0;
  for (const workers of [0, ...plan.steps]) {
    await streams.open(workers - open, {
      address,
      types: ["noop"],
      slots: 1,
      prefetch: 0,
      holdType: "",
      reconnect: false,
    });
    open = workers;
    // What registration made garbage of is gone, and every worker has beaten.
    await sleep(plan.heartbeatMs * 1.2);
    await probed.usage(true);
    // Heartbeats that came during the collection are answered late; they are not counted.
    await sleep(plan.heartbeatMs * 0.2);
    steps.push(await observe(probed, streams, plan.windowMs, workers, postgresPid));
  }
  await streams.kill();
  return steps;
}

async function observe(
  probed: Probed,
  streams: Streams,
  windowMs: number,
  workers: number,
  postgresPid: number | undefined,
): Promise<IdleStep> {
  await streams.mark();
  const before = await streams.totals();
  const postgresMs = await postgresCpuMs(postgresPid);
  const start = await probed.usage(false);
  await sleep(windowMs);
  const end = await probed.usage(false);
  const seconds = (end.atMs - start.atMs) / 1_000;
  const postgresUsedMs = (await postgresCpuMs(postgresPid)) - postgresMs;
  const after = await streams.totals();
  // Only now: the collection would be one more cause of slow answers.
  const held = await probed.usage(true);
  if (after.ready !== workers)
    throw new Error(`${workers - after.ready} of ${workers} idle workers dropped: ${after.lastError}`);
  return {
    workers,
    heapBytes: held.heapBytes,
    externalBytes: held.externalBytes,
    rssBytes: held.rssBytes,
    serverCores: coreShare(start, end),
    postgresCores: postgresUsedMs / 1_000 / seconds,
    beatsPerSecond: (after.acks - before.acks) / seconds,
    slowestAckMs: after.slowestAckMs,
  };
}

function heartbeatArgs(heartbeatMs: number): string[] {
  // Lease and grace keep the ratio of the defaults.
  const seconds = heartbeatMs / 1_000;
  return [
    ...["--heartbeat", String(seconds), "--lease", String(seconds * 6)],
    ...["--reconnect-grace", String(seconds * 3)],
  ];
}

/** 0 for a server that is not ours. */
async function postgresCpuMs(pid: number | undefined): Promise<number> {
  return pid === undefined ? 0 : cpuOfFamily(pid);
}
