/** Runs a system under faults, and checks what it promises. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { openTestDatabase } from "../support/database/postgres.ts";
import { until } from "../support/waits.ts";
import { check, type Findings } from "./checks/check.ts";
import type { Run } from "./checks/records.ts";
import { Fleet } from "./fleet.ts";
import { SCHEDULE } from "./limits.ts";
import { Operator } from "./operator.ts";
import { Producer } from "./producer.ts";
import { schedule } from "./schedule.ts";
import { TIMINGS } from "./timings.ts";

/** How a run is made. */
export interface ChaosOptions {
  /** Decides the fault schedule and the tasks. */
  readonly seed: number;
  /** How long faults are injected, milliseconds. */
  readonly lengthMs: number;
  readonly workers: number;
  readonly schedulers: number;
  /** Concurrent submitters. */
  readonly lanes: number;
  /** What is submitted at least: a run on a busy machine goes on after its last fault until it is. */
  readonly least?: { readonly tasks: number; readonly ticks: number };
  readonly say: (line: string) => void;
}

/** What a run did and showed. */
export interface ChaosReport extends Findings {
  readonly seed: number;
  readonly minutes: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Faults whose target had another one at that moment. */
  readonly skipped: number;
  readonly submitRetries: number;
  readonly drainMs: number;
  readonly ends: Readonly<Record<string, string>>;
}

/** After the last fault everything accepted ends within this; longer means that something hangs. */
const QUIESCENCE_MS = 120_000;

/** Open tasks beyond which the producers wait: a few seconds of work for five workers. */
const MAX_OPEN_TASKS = 1_000;

/** Runs the schedule of a seed against a real fleet, waits until all is quiet, and checks what happened. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, lengthMs, say } = options;
  const fleet = await Fleet.start(options);
  try {
    const producer = new Producer(fleet.schedulerAddresses, seed);
    producer.start(options.lanes);
    const operator = new Operator(fleet.schedulerAddresses, seed, producer.accepted, options.workers);
    operator.start();
    const feeding = new AbortController();
    const fed = holdWhenDeep(fleet, producer, feeding.signal);
    const { faults, skipped, failures } = await injectAll(fleet, options);
    if (options.least) await untilSubmitted(fleet.databaseUrl, producer, options.least);
    feeding.abort();
    await fed;
    await producer.stop();
    await operator.stop();
    say(`${producer.accepted.length} tasks accepted; waiting until all have ended`);
    const quietFrom = performance.now();
    await untilQuiet(fleet.databaseUrl, say);
    const drainMs = performance.now() - quietFrom;
    // Sessions of killed workers are given up a lease and a grace after their end.
    await delay(TIMINGS.leaseMs + TIMINGS.graceMs + 4 * TIMINGS.heartbeatMs);
    const db = openTestDatabase(fleet.databaseUrl);
    const runs = parseRuns(await readFile(fleet.historyFile, "utf8"));
    const silence = TIMINGS.leaseMs + TIMINGS.graceMs + 6 * TIMINGS.heartbeatMs;
    const ended = fleet
      .schedulersLogged("worker.quarantine_ended")
      .map(({ worker_id, time }) => ({ worker: String(worker_id), atMs: Date.parse(String(time)) }));
    const findings = await check(
      db,
      { accepted: producer.accepted, runs, acknowledged: operator, quarantineEnds: ended },
      fleet,
      silence,
      fleet.workerCount,
    );
    await db.close();
    // The database's absence is the schedule's doing, and said once each time.
    const errors = fleet.schedulerLines("error").filter((line) => !line.includes('"database.unavailable"'));
    const ends = await fleet.stop();
    const violations = [
      ...findings.violations,
      ...fleet.surprises,
      ...failures,
      ...errors.map((line) => `a scheduler logged an error: ${line}`),
      ...Object.entries(ends).flatMap(([name, how]) =>
        how === "0" ? [] : [`${name} ended with ${how} when asked to stop`],
      ),
    ];
    if (violations.length > 0) say(`the logs are kept in ${await fleet.keepLogs()}`);
    return {
      ...findings,
      violations,
      seed,
      minutes: lengthMs / 60_000,
      faults,
      skipped,
      submitRetries: producer.retries,
      drainMs: Math.round(drainMs),
      ends,
    };
  } finally {
    await fleet.remove();
  }
}

async function injectAll(
  fleet: Fleet,
  { seed, lengthMs, workers, schedulers, say }: ChaosOptions,
): Promise<{ faults: Record<string, number>; skipped: number; failures: readonly string[] }> {
  const start = performance.now();
  const counts: Record<string, number> = {};
  let skipped = 0;
  const failures: string[] = [];
  const underWay: Promise<void>[] = [];
  for (const { atMs, fault } of schedule(seed, lengthMs, { workers, schedulers })) {
    await delay(Math.max(0, atMs - (performance.now() - start)));
    say(`${String(Math.round(atMs / 100) / 10).padStart(7)} s  ${JSON.stringify(fault)}`);
    const injection = fleet.inject(fault).then(
      (done) => {
        if (done) counts[fault.kind] = (counts[fault.kind] ?? 0) + 1;
        else skipped++;
      },
      // The run goes on and reports it: what the other faults showed would be lost with an end here.
      (error: unknown) => void failures.push(`${JSON.stringify(fault)} could not be injected: ${error}`),
    );
    underWay.push(injection);
  }
  await Promise.all(underWay);
  return { faults: counts, skipped, failures };
}

/** Keeps the queue from outgrowing what the workers can finish after the last fault. */
async function holdWhenDeep(fleet: Fleet, producer: Producer, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      producer.held = (await openTasks(fleet.databaseUrl)) > MAX_OPEN_TASKS;
    } catch (error) {
      // The database is away as often as the schedule says; the next look decides.
      if (!(error instanceof Error)) throw error;
    }
    await delay(500);
  }
}

async function untilSubmitted(
  url: string,
  producer: Producer,
  least: { readonly tasks: number; readonly ticks: number },
): Promise<void> {
  let ticks = 0;
  await until(
    `${least.tasks} tasks and ${least.ticks} ticks are submitted`,
    async () => {
      ticks = await countOf(url, TICKS);
      return (producer.accepted.length >= least.tasks && ticks >= least.ticks) || undefined;
    },
    () => `: ${producer.accepted.length} tasks, ${ticks} ticks`,
  );
}

async function untilQuiet(url: string, say: (line: string) => void): Promise<void> {
  const deadline = performance.now() + QUIESCENCE_MS;
  for (;;) {
    const open = await openTasks(url);
    if (open === 0) return;
    if (performance.now() > deadline) {
      say(`${open} tasks have not ended after ${QUIESCENCE_MS / 1_000} s`);
      return;
    }
    await delay(250);
  }
}

const TICKS = `select count(*)
  from (select options from muster.task union all select options from muster.task_finished) t
 where options -> 'tick' ->> 'schedule' = '${SCHEDULE.name}'`;

function openTasks(url: string): Promise<number> {
  return countOf(url, "select count(*) from muster.task");
}

async function countOf(url: string, query: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  // A killed server says so as an event as well as to the statement under way, which is what the caller hears.
  client.on("error", () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ count: string }>(query);
    return Number(rows[0]?.count);
  } finally {
    await client.end();
  }
}

function parseRuns(text: string): Run[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
