import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Client, type SubmitOptions } from "@muster/worker/client";
import { cpuOfFamily } from "../lab/child.ts";
import type { Lab } from "../lab/lab.ts";
import { monotonicMs } from "../lab/monotonic.ts";
import { type BenchDatabase, type PostgresServer, settleDatabase } from "../lab/postgres.ts";
import { startScheduler } from "../lab/scheduler.ts";
import { PROBE, Probed } from "../measured/probed.ts";
import { makePayload, type Payload } from "../systems/driver.ts";
import { WorkerProcess } from "./workers.ts";
import type { HandlerKind } from "./workers-program.ts";

/** A whole Muster to measure: what differs between variants. */
export interface StackPlan {
  readonly schedulers?: number;
  /** Worker processes, spread over the schedulers. */
  readonly processes?: number;
  /** SDK workers in each. */
  readonly workersPerProcess?: number;
  readonly concurrency?: number;
  readonly prefetch?: number;
  readonly handler?: HandlerKind;
  /** Task types; every worker runs all of them. */
  readonly types?: readonly string[];
  readonly schedulerArgs?: readonly string[];
  readonly schedulerExecArgv?: readonly string[];
  /** Every task belongs to a trace of its own, and one in so many is sampled. */
  readonly tracedOneIn?: number;
  /** Further environment of schedulers and workers. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a drain took. */
export interface Drain {
  readonly drain_per_s: number;
  readonly worker_cpu_us: number;
  readonly scheduler_cpu_us: number;
  readonly server_cpu_us: number;
}

const BATCH = 1_000;
const LANES = 4;
const LOOK_EVERY_MS = 5;
const QUEUE = "default";

/** Longest drain; a measure that takes longer is broken. */
const LIMIT_MS = 120_000;

/** Schedulers on one database with real workers and a client. */
export class Stack {
  readonly client: Client;
  readonly database: BenchDatabase;
  readonly schedulers: readonly Probed[];
  readonly workers: WorkerProcess[];
  /** `host:port` of each scheduler. */
  readonly addresses: readonly string[];
  readonly #lab: Lab;
  readonly #clients: readonly Client[];
  readonly #server: PostgresServer;
  readonly #types: readonly string[];
  readonly #tracedOneIn: number | undefined;

  private constructor(parts: {
    server: PostgresServer;
    database: BenchDatabase;
    schedulers: readonly Probed[];
    workers: WorkerProcess[];
    addresses: readonly string[];
    lab: Lab;
    clients: readonly Client[];
    client: Client;
    types: readonly string[];
    tracedOneIn: number | undefined;
  }) {
    this.#server = parts.server;
    this.database = parts.database;
    this.schedulers = parts.schedulers;
    this.workers = parts.workers;
    this.addresses = parts.addresses;
    this.#lab = parts.lab;
    this.#clients = parts.clients;
    this.client = parts.client;
    this.#types = parts.types;
    this.#tracedOneIn = parts.tracedOneIn;
  }

  /** Sets everything up; workers are ready. @param database One that is there already; a new one by default. */
  static async start(lab: Lab, plan: StackPlan, database?: BenchDatabase): Promise<Stack> {
    const server = await lab.postgres();
    const own = database ?? (await server.createDatabase("stack"));
    const types = plan.types ?? ["noop"];
    const schedulers = [];
    for (let index = 0; index < (plan.schedulers ?? 1); index++) {
      schedulers.push(
        await startScheduler(lab.cleanup, {
          databaseUrl: own.url,
          args: plan.schedulerArgs ?? [],
          env: plan.env ?? {},
          execArgv: [...PROBE, ...(plan.schedulerExecArgv ?? [])],
        }),
      );
    }
    const addresses = schedulers.map(({ grpc }) => grpc);
    const clients = addresses.map((scheduler) => new Client({ scheduler }));
    const [client] = clients;
    if (!client) throw new RangeError("a stack needs a scheduler");
    const processes = plan.processes ?? 1;
    const workers = Array.from({ length: processes }, (_, index) =>
      WorkerProcess.start(lab.cleanup, `worker ${index + 1}`, plan.env),
    );
    await Promise.all(
      workers.map((worker, index) =>
        worker.open({
          workers: plan.workersPerProcess ?? 1,
          address: addresses[index % addresses.length] ?? "",
          types,
          concurrency: plan.concurrency ?? 1_000,
          prefetch: plan.prefetch ?? 1_000,
          handler: plan.handler ?? "noop",
        }),
      ),
    );
    const parts = {
      server,
      database: own,
      workers,
      addresses,
      lab,
      clients,
      client,
      types,
      tracedOneIn: plan.tracedOneIn,
    };
    return new Stack({ ...parts, schedulers: schedulers.map(({ child }) => new Probed(child)) });
  }

  /**
   * Submits in bulk; answers tasks a second.
   *
   * @param optionsOf Further options of the task at this place, from 0.
   */
  async submit(
    tasks: number,
    payloadBytes: number,
    optionsOf?: (index: number) => SubmitOptions,
  ): Promise<number> {
    const payload: Payload = makePayload(payloadBytes);
    // A batch must stay below the largest message.
    const batch = Math.max(1, Math.min(BATCH, Math.floor(2_000_000 / (payloadBytes + 100))));
    const startedAt = monotonicMs();
    let left = tasks;
    const lane = async (client: Client) => {
      while (left > 0) {
        const from = left;
        const size = Math.min(batch, from);
        left -= size;
        await client.submitMany(
          Array.from({ length: size }, (_, index) => ({
            type: this.#types[(from - index) % this.#types.length] ?? "",
            payload,
            ...optionsOf?.(tasks - from + index),
            ...(this.#tracedOneIn ? { headers: traceHeaders((from - index) % this.#tracedOneIn === 0) } : {}),
          })),
        );
      }
    };
    await Promise.all(
      Array.from({ length: LANES }, (_, index) =>
        lane(this.#clients[index % this.#clients.length] ?? this.client),
      ),
    );
    return (tasks * 1_000) / (monotonicMs() - startedAt);
  }

  /** Opens one more process with a worker at the first scheduler. @param worker.gaps True: times every start. */
  async addWorker(worker: {
    readonly concurrency: number;
    readonly prefetch: number;
    readonly gaps: boolean;
  }): Promise<WorkerProcess> {
    const process = WorkerProcess.start(this.#lab.cleanup);
    this.workers.push(process);
    await process.reset({ gaps: worker.gaps });
    await process.open({
      ...{ workers: 1, address: this.addresses[0] ?? "", types: this.#types, handler: "noop" },
      ...{ concurrency: worker.concurrency, prefetch: worker.prefetch },
    });
    return process;
  }

  /** Holds the queue back, submits, lets the database settle. */
  async load(
    tasks: number,
    payloadBytes: number,
    optionsOf?: (index: number) => SubmitOptions,
  ): Promise<number> {
    await this.hold();
    const rate = await this.submit(tasks, payloadBytes, optionsOf);
    await settleDatabase(this.#server, this.database);
    return rate;
  }

  /** No task is assigned until `drain`. */
  async hold(): Promise<void> {
    for (const client of this.#clients) await client.fleet.pauseQueue({ queue: QUEUE, reason: "bench" });
  }

  /** Lets the workers take what was loaded; measured from the first handler's start to the last durable end. */
  async drain(tasks: number): Promise<Drain> {
    for (const worker of this.workers) await worker.reset();
    const before = await this.#cpu();
    for (const client of this.#clients) await client.fleet.resumeQueue({ queue: QUEUE });
    const { firstAt, endAt } = await this.#drained(tasks);
    const after = await this.#cpu();
    return {
      drain_per_s: (tasks * 1_000) / (endAt - firstAt),
      worker_cpu_us: (after.workersUs - before.workersUs) / tasks,
      scheduler_cpu_us: (after.schedulersUs - before.schedulersUs) / tasks,
      server_cpu_us: ((after.serverMs - before.serverMs) * 1_000) / tasks,
    };
  }

  /** Handlers that began since the last drain's start. */
  async handled(): Promise<number> {
    const handled = await Promise.all(this.workers.map((worker) => worker.handled()));
    return handled.reduce((sum, { count }) => sum + count, 0);
  }

  /** Processor time of all schedulers so far. */
  async schedulerCpuUs(): Promise<number> {
    return (await this.#cpu()).schedulersUs;
  }

  /** Ends everything. @param options.keepDatabase True: the database stays for the next stack. */
  async close({ keepDatabase = false } = {}): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await Promise.all(this.schedulers.map(({ child }) => child.stop()));
    if (!keepDatabase) await this.database.drop();
  }

  async #drained(tasks: number): Promise<{ firstAt: number; endAt: number }> {
    const deadline = monotonicMs() + LIMIT_MS;
    for (;;) {
      const handled = await Promise.all(this.workers.map((worker) => worker.handled()));
      if (handled.reduce((sum, { count }) => sum + count, 0) >= tasks) {
        const firsts = handled.filter(({ count }) => count > 0).map(({ firstAt }) => firstAt);
        while (await this.#pending()) await delay(1);
        return { firstAt: Math.min(...firsts), endAt: monotonicMs() };
      }
      if (monotonicMs() > deadline)
        throw new Error(`${tasks} tasks were not drained within ${LIMIT_MS / 1_000} s`);
      await delay(LOOK_EVERY_MS);
    }
  }

  async #pending(): Promise<boolean> {
    const [row] = await this.database.query("select exists(select 1 from muster.task) as found");
    return row?.found === true;
  }

  async #cpu(): Promise<{ workersUs: number; schedulersUs: number; serverMs: number }> {
    const sum = async (parts: readonly { usage(collect: boolean): Promise<{ cpuUs: number }> }[]) =>
      (await Promise.all(parts.map((part) => part.usage(false)))).reduce(
        (total, { cpuUs }) => total + cpuUs,
        0,
      );
    return {
      workersUs: await sum(this.workers),
      schedulersUs: await sum(this.schedulers),
      serverMs: this.#server.pid === undefined ? 0 : await cpuOfFamily(this.#server.pid),
    };
  }
}

/** What a producer that traces says of a task: W3C trace context of version 00. */
function traceHeaders(sampled: boolean): Record<string, string> {
  const ids = `${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}`;
  return { traceparent: `00-${ids}-${sampled ? "01" : "00"}` };
}
