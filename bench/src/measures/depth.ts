/** Measures how claims, counts and memory change with the depth of a queue. */
import { setTimeout as delay } from "node:timers/promises";
import { migrateDatabase, type Store } from "@muster/scheduler";
import { openSession, timeClaims } from "../depth/claims.ts";
import { addWaiting, clearWaiting, fillFinished, makeClasses, openStore } from "../depth/fill.ts";
import { monotonicMs } from "../lab/monotonic.ts";
import { type BenchDatabase, settleDatabase } from "../lab/postgres.ts";
import { median, quantile } from "../report/statistics.ts";
import { figure } from "../report/table.ts";
import { Stack } from "../workers/stack.ts";
import { reportDepth } from "./depth-report.ts";
import type { Context, Measure } from "./measure.ts";

const PAYLOAD_BYTES = 100;

/** How often the queue is counted, as the monitor and listings do. */
const COUNTS = 3;

/** Tasks that compile the code first, where the database is empty. */
const SHALLOW_WARM_UP = 10_000;

/** A scheduler that has just started counts the queue once; its regular work is what is measured. */
const START_MS = 1_500;
const QUICK_START_MS = 50;
const TYPE = "noop";

/** Sizes of a run. */
interface DepthPlan {
  readonly finished: number;
  /** Longest filling of the finished rows, milliseconds. */
  readonly fillMs: number;
  /** Numbers of waiting tasks, rising. */
  readonly waiting: readonly number[];
  /** Windows read and claims of 500 at each depth, and claims of one for each of them. */
  readonly cycles: number;
  readonly ones: number;
  /** Tasks of one slot that are timed one after the other. */
  readonly turns: number;
  /** How long throughput is counted, milliseconds. */
  readonly drainMs: number;
}

const PLAN: DepthPlan = {
  finished: 10_000_000,
  fillMs: 600_000,
  waiting: [1_000, 10_000, 100_000, 1_000_000],
  cycles: 20,
  ones: 20,
  turns: 600,
  drainMs: 10_000,
};
const QUICK: DepthPlan = {
  finished: 2_000,
  fillMs: 5_000,
  waiting: [1_000],
  cycles: 1,
  ones: 5,
  turns: 20,
  drainMs: 200,
};

/** How the scheduler and its statements behave with a deep queue on top of a long history. */
export const depth: Measure = {
  name: "depth",
  summary:
    "claim latency, throughput, memory and start with up to 1,000,000 waiting and 10,000,000 ended tasks",
  compares: false,
  run: async (context) => {
    const plan = context.quick ? QUICK : PLAN;
    const history = await openHistory(context, plan);
    for (let run = 1; run <= context.runs && !context.signal.aborted; run++) {
      await measureOnce(context, plan, history, context.firstRun + run);
    }
    await history.store.close();
    await history.database.drop();
  },
  report: reportDepth,
};

/** A database with ended tasks, on which all runs of an invocation take place. */
interface History {
  readonly store: Store;
  readonly database: BenchDatabase;
  readonly classId: number;
  readonly sessionId: number;
  readonly finished: number;
  /** Replaces what waits. */
  fill(waiting: number): Promise<void>;
}

async function openHistory(context: Context, plan: DepthPlan): Promise<History> {
  const server = await context.lab.postgres();
  const database = await server.createDatabase("depth");
  await migrateDatabase(database.url);
  const store = openStore(database, context.say);
  const [classId = 0] = await makeClasses(store, [TYPE]);
  const startedAt = monotonicMs();
  const finished = await fillFinished(database, classId, plan.finished, PAYLOAD_BYTES, plan.fillMs);
  const fillSeconds = (monotonicMs() - startedAt) / 1_000;
  context.say(`${figure(finished)} ended tasks filled in ${figure(fillSeconds)} s`);
  const sessionId = await openSession(store);
  const fill = async (waiting: number) => {
    await clearWaiting(database);
    await addWaiting(database, [classId], waiting, PAYLOAD_BYTES);
    await settleDatabase(server, database);
  };
  return { store, database, classId, sessionId, finished, fill };
}

async function measureOnce(context: Context, plan: DepthPlan, history: History, run: number): Promise<void> {
  const { store, database, classId, sessionId, finished, fill } = history;
  // Plans and connections are warm before the first depth, as they are before the others.
  await fill(3_000);
  await timeClaims(store, classId, sessionId, plan.ones);
  for (const waiting of plan.waiting) {
    if (context.signal.aborted) break;
    const parameters = { waiting, finished };
    await fill(waiting);
    const claims = await claimsAt(plan, history);
    context.record({ part: "claim", subject: "store", run, parameters, values: claims });
    await fill(waiting);
    const turns = await turnsAt(context, plan, database);
    context.say(
      `${figure(waiting)} waiting: claim of one ${figure(claims.one_p50_ms)} ms, a worker's turn ${figure(turns.turn_p50_ms)} ms`,
    );
    context.record({ part: "turn", subject: "muster", run, parameters, values: turns });
  }
  const deepest = plan.waiting.at(-1) ?? 0;
  await fill(deepest);
  const parameters = { waiting: deepest, finished };
  context.record({
    part: "drain",
    subject: "muster",
    run,
    parameters,
    values: await drainFor(context, plan, database),
  });
  if (context.quick) return;
  // The same load on an empty database, to compare with.
  const server = await context.lab.postgres();
  const shallow = await server.createDatabase("shallow");
  const tasks = 100_000;
  const stack = await Stack.start(context.lab, {}, shallow);
  await stack.load(SHALLOW_WARM_UP, PAYLOAD_BYTES);
  await stack.drain(SHALLOW_WARM_UP);
  await stack.load(tasks, PAYLOAD_BYTES);
  const drain = await stack.drain(tasks);
  await stack.close();
  context.record({
    part: "drain",
    subject: "muster",
    run,
    parameters: { waiting: tasks, finished: 0 },
    values: { ...drain },
  });
}

async function claimsAt(plan: DepthPlan, { store, database, classId, sessionId }: History) {
  const times = { window: [] as number[], one: [] as number[], many: [] as number[] };
  const count: number[] = [];
  for (let cycle = 0; cycle < plan.cycles; cycle++) {
    const some = await timeClaims(store, classId, sessionId, plan.ones);
    for (const kind of ["window", "one", "many"] as const) times[kind].push(...some[kind]);
    // The depth is what is measured: it stays.
    await addWaiting(database, [classId], plan.ones + some.claimed, PAYLOAD_BYTES);
  }
  for (let time = 0; time < COUNTS; time++) {
    const startedAt = monotonicMs();
    await store.depths();
    count.push(monotonicMs() - startedAt);
  }
  return {
    window_p50_ms: median(times.window),
    one_p50_ms: median(times.one),
    one_p99_ms: quantile(times.one, 0.99),
    many_p50_ms: median(times.many),
    count_p50_ms: median(count),
  };
}

/** One slot's turns: from the start of one handler to the start of the next, settle and claim between them. */
async function turnsAt(context: Context, plan: DepthPlan, database: BenchDatabase) {
  const startedAt = monotonicMs();
  const stack = await Stack.start(context.lab, { processes: 0 }, database);
  const startMs = monotonicMs() - startedAt;
  const usage = await stack.schedulers[0]?.usage(true);
  await delay(context.quick ? QUICK_START_MS : START_MS);
  const worker = await stack.addWorker({ concurrency: 1, prefetch: 0, gaps: true });
  let gaps: readonly number[] = [];
  for (const deadline = monotonicMs() + 30_000; gaps.length < plan.turns; ) {
    if (monotonicMs() > deadline) throw new Error(`${gaps.length} of ${plan.turns} turns within 30 s`);
    await delay(20);
    gaps = (await worker.handled()).gapsMs;
  }
  await stack.close({ keepDatabase: true });
  // The first are those of a scheduler that has just started.
  const warm = gaps.slice(Math.floor(plan.turns / 10), plan.turns);
  return {
    turn_p50_ms: median(warm),
    turn_p99_ms: quantile(warm, 0.99),
    scheduler_start_ms: startMs,
    scheduler_heap_mib: (usage?.heapBytes ?? Number.NaN) / 1_048_576,
    scheduler_rss_mib: (usage?.rssBytes ?? Number.NaN) / 1_048_576,
  };
}

/** Throughput with the deepest queue: handlers that begin within a window, after the first tenth of it. */
async function drainFor(context: Context, plan: DepthPlan, database: BenchDatabase) {
  const stack = await Stack.start(context.lab, {}, database);
  await delay(plan.drainMs / 10);
  const before = await stack.handled();
  const startedAt = monotonicMs();
  await delay(plan.drainMs);
  const handled = (await stack.handled()) - before;
  const seconds = (monotonicMs() - startedAt) / 1_000;
  const usage = await stack.schedulers[0]?.usage(true);
  await stack.close({ keepDatabase: true });
  return {
    drain_per_s: handled / seconds,
    scheduler_heap_mib: (usage?.heapBytes ?? Number.NaN) / 1_048_576,
    scheduler_rss_mib: (usage?.rssBytes ?? Number.NaN) / 1_048_576,
  };
}
