/** Ends many workers at once and measures how their tasks go on. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@muster/worker/client";
import type { Cleanup } from "../lab/cleanup.ts";
import type { BenchDatabase, PostgresServer } from "../lab/postgres.ts";
import { startScheduler } from "../lab/scheduler.ts";
import { Streams } from "./streams.ts";

/** How workers vanish. */
export interface LossPlan {
  /** Workers that hold a task each and vanish at the same moment. */
  readonly workers: number;
  /** `killed`: the kernel closes their connections. `cut off`: nothing more is heard of them. */
  readonly how: "killed" | "cut off";
  /** Lease settings, milliseconds; the scheduler's defaults when left out. */
  readonly timings?: { readonly heartbeatMs: number; readonly leaseMs: number; readonly graceMs: number };
}

/** What became of the tasks; times since the workers vanished, milliseconds, on the database's clock. */
export interface LossResult {
  readonly plan: LossPlan;
  /** When the rules allow the scheduler to give them up: grace alone, or lease and grace. */
  readonly allowedMs: number;
  /** First and last worker called suspect; undefined where the rules have no such moment. */
  readonly suspectMs: Span | undefined;
  readonly requeuedMs: Span;
  /** First and last task accepted by another worker. */
  readonly acceptedMs: Span;
}

/** First and last of many moments. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

const DEFAULTS = { heartbeatMs: 5_000, leaseMs: 30_000, graceMs: 9_000 };

/** Longest wait for what must come. */
const SLACK_MS = 60_000;

const TYPE = "held";

/** Lets workers that hold a task each vanish at once, with as many free ones at hand. */
export async function measureLoss(
  cleanup: Cleanup,
  server: PostgresServer,
  plan: LossPlan,
): Promise<LossResult> {
  const timings = plan.timings ?? DEFAULTS;
  const database = await server.createDatabase("loss");
  const scheduler = await startScheduler(cleanup, {
    databaseUrl: database.url,
    args: [
      ...["--heartbeat", String(timings.heartbeatMs / 1_000), "--lease", String(timings.leaseMs / 1_000)],
      ...["--reconnect-grace", String(timings.graceMs / 1_000)],
    ],
  });
  using client = new Client({ scheduler: scheduler.grpc });
  const options = {
    address: scheduler.grpc,
    types: [TYPE],
    slots: 1,
    prefetch: 0,
    holdType: TYPE,
    reconnect: false,
  };
  const doomed = new Streams(cleanup, "doomed");
  await doomed.open(plan.workers, options);
  await client.submitMany(Array.from({ length: plan.workers }, () => ({ type: TYPE, payload: {} })));
  await until("every worker holds a task", async () => (await doomed.totals()).held === plan.workers);
  const free = new Streams(cleanup, "free");
  await free.open(plan.workers, options);
  // Accepts are written behind the stream.
  await sleep(timings.heartbeatMs + 500);

  const [clock] = await database.query("select clock_timestamp() as at");
  if (plan.how === "killed") await doomed.kill();
  else doomed.signal("SIGSTOP");
  await until("all tasks run elsewhere", async () => (await free.totals()).held === plan.workers);
  // The last accept is written at most 50 ms after it came.
  await sleep(500);
  const result: LossResult = {
    plan,
    allowedMs: plan.how === "killed" ? timings.graceMs : timings.leaseMs + timings.graceMs,
    suspectMs: await span(database, clock?.at, "time from event where name = 'worker.suspect'"),
    requeuedMs: certain(
      await span(database, clock?.at, "time from event where name = 'requeued:stale'"),
      "requeued",
    ),
    acceptedMs: certain(
      await span(database, clock?.at, "accept_time as time from task where epoch = 2"),
      "accepted",
    ),
  };
  await doomed.kill();
  await free.kill();
  await scheduler.child.stop();
  await database.drop();
  return result;
}

async function span(database: BenchDatabase, since: unknown, source: string): Promise<Span | undefined> {
  const [row] = await database.query(
    `select extract(epoch from min(time) - $1)::float8 * 1000 as first,
            extract(epoch from max(time) - $1)::float8 * 1000 as last
       from (select ${source.replace(/ from /, " from muster.")}) moments where time >= $1`,
    [since],
  );
  return typeof row?.first === "number" && typeof row.last === "number"
    ? { first: row.first, last: row.last }
    : undefined;
}

function certain(moments: Span | undefined, what: string): Span {
  if (!moments) throw new Error(`no task was ${what}`);
  return moments;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SLACK_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${SLACK_MS / 1_000} s: ${what}`);
    await sleep(50);
  }
}
