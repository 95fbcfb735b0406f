import { setTimeout as sleep } from "node:timers/promises";
import { WorkerState } from "@muster/protocol";
import { Client, MusterError } from "@muster/worker/client";
import type { Cleanup } from "../lab/cleanup.ts";
import type { PostgresServer } from "../lab/postgres.ts";
import { startScheduler } from "../lab/scheduler.ts";
import { Streams } from "./streams.ts";

/** A scheduler's death with many workers connected. */
export interface StormPlan {
  readonly workers: number;
  /** Submits under way at once, all the time. */
  readonly producers: number;
}

/** How the fleet came back; times since the scheduler was killed, milliseconds. */
export interface StormResult {
  readonly plan: StormPlan;
  /** The new scheduler serves. */
  readonly servingMs: number;
  /** Every worker is registered and ready again. */
  readonly allReadyMs: number;
  /** Dials that the new scheduler refused or left unanswered. */
  readonly failedDials: number;
  /** Tasks that were running, and how many of them were started a second time. */
  readonly held: number;
  readonly rerun: number;
  readonly submits: SubmitTally;
}

/** What producers saw from before the kill until after the storm. */
export interface SubmitTally {
  readonly done: number;
  /** Refused by a scheduler for good. */
  readonly failed: number;
  /** Tries that found no scheduler (UNAVAILABLE) and were made again, as the client's users do. */
  readonly retries: number;
  /** Calls under way when the scheduler died, which the client reports with another code; made again by their key. */
  readonly cut: number;
  /** Longest from the first try to the acceptance, milliseconds. */
  readonly slowestMs: number;
  /** Accepted tasks that a worker had ended when the measure was over. */
  readonly ended: number;
}

const HELD = "held";
const TYPES = [HELD, "noop"];
const RETRY_MS = 50;
const LIMIT_MS = 60_000;

/** Kills the scheduler while every worker runs a task, and starts it again at once on the same address. */
export async function measureStorm(
  cleanup: Cleanup,
  server: PostgresServer,
  plan: StormPlan,
): Promise<StormResult> {
  const database = await server.createDatabase("storm");
  const first = await startScheduler(cleanup, { databaseUrl: database.url });
  const fleet = new Streams(cleanup, "fleet");
  await fleet.open(plan.workers, {
    address: first.grpc,
    types: TYPES,
    slots: 2,
    prefetch: 0,
    holdType: HELD,
    reconnect: true,
  });
  const client = new Client({ scheduler: first.grpc });
  await client.submitMany(Array.from({ length: plan.workers }, () => ({ type: HELD, payload: {} })));
  await until("every task is held", async () => (await fleet.totals()).held === plan.workers);
  await sleep(500);
  const producers = new Producers(client, plan.producers);
  await sleep(500);

  const killedAt = performance.timeOrigin + performance.now();
  const before = await fleet.totals();
  first.child.kill("SIGKILL");
  await first.child.ended;
  const second = await startScheduler(cleanup, {
    databaseUrl: database.url,
    args: ["--grpc-addr", first.grpc],
  });
  const servingAt = performance.timeOrigin + performance.now();
  await until("every worker is ready again", async () => {
    const { ready, welcomes } = await fleet.totals();
    return ready === plan.workers && welcomes >= before.welcomes + plan.workers;
  });
  const after = await fleet.totals();
  await sleep(1_000);
  const tally = await producers.stop();
  await until("what was submitted has ended", async () => {
    const [row] = await database.query("select count(*)::int as n from muster.task_finished");
    return row?.n === tally.done;
  });
  const ready = await countReady(client);
  if (ready !== plan.workers)
    throw new Error(`the scheduler calls ${ready} of ${plan.workers} workers ready`);
  const [rerun] = await database.query("select count(*)::int as n from muster.task where epoch > 1");
  client.close();
  await fleet.kill();
  await second.child.stop();
  await database.drop();
  return {
    plan,
    servingMs: servingAt - killedAt,
    allReadyMs: after.lastReadyAt - killedAt,
    failedDials: after.failedDials - before.failedDials,
    held: plan.workers,
    rerun: Number(rerun?.n),
    submits: { ...tally, ended: tally.done },
  };
}

/** Submits one task after the other in several lanes and tries again while no scheduler answers. */
class Producers {
  readonly #client: Client;
  readonly #lanes: Promise<void>[];
  #stopped = false;
  readonly #tally = { done: 0, failed: 0, retries: 0, cut: 0, slowestMs: 0 };

  constructor(client: Client, lanes: number) {
    this.#client = client;
    this.#lanes = Array.from({ length: lanes }, (_, lane) => this.#run(lane));
  }

  async stop(): Promise<Omit<SubmitTally, "ended">> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    return this.#tally;
  }

  async #run(lane: number): Promise<void> {
    for (let serial = 0; !this.#stopped; serial++) {
      const began = performance.now();
      // The key makes a try whose answer was lost the same task as the next one.
      await this.#submit(`${lane}-${serial}`);
      this.#tally.slowestMs = Math.max(this.#tally.slowestMs, performance.now() - began);
      await sleep(5);
    }
  }

  async #submit(uniqueKey: string): Promise<void> {
    for (;;) {
      try {
        await this.#client.submit("noop", {}, { uniqueKey });
        this.#tally.done++;
        return;
      } catch (error) {
        if (!(error instanceof MusterError)) throw error;
        if (error.transient) this.#tally.retries++;
        // Without a reason no scheduler has answered.
        else if (error.reason === "") this.#tally.cut++;
        else {
          this.#tally.failed++;
          return;
        }
        await sleep(error.retryAfterMs ?? RETRY_MS);
      }
    }
  }
}

async function countReady(client: Client): Promise<number> {
  let ready = 0;
  let pageToken = "";
  do {
    const page = await client.fleet.listWorkers({ pageSize: 1_000, pageToken });
    ready += page.workers.filter(({ state }) => state === WorkerState.READY).length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return ready;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS / 1_000} s: ${what}`);
    await sleep(100);
  }
}
