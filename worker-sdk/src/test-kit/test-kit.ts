/** A scheduler for tests, with workers and faults. */

import type { PlainTask } from "@muster/protocol";
import { Client } from "../client/client.ts";
import type { Logger } from "../logging/logger.ts";
import { checkKnown, type OptionNames } from "../options/known-options.ts";
import type { WorkerOptions } from "../options/worker-options.ts";
import { Worker } from "../worker.ts";
import { type LogRecord, recordingLogger } from "./log-record.ts";
import { TestNetwork } from "./test-network.ts";
import { TestScheduler } from "./test-scheduler.ts";
import { type TaskFilter, type WaitForOptions, waitForTask } from "./wait-for-task.ts";
import { type SpawnOptions, WorkerProcess } from "./worker-process.ts";

const NAMES: OptionNames<TestKitOptions> = { args: true, databaseUrl: true };

/** Options of `testKit()`. */
export interface TestKitOptions {
  /**
   * Flags of `muster serve`, for example `["--lease", "10"]`; they win over those of the kit.
   * @default heartbeats each 0.5 s, leases of 3 s, 2 s to reconnect: a lost worker is noticed within seconds
   */
  readonly args?: readonly string[];
  /**
   * URL of a PostgreSQL database, empty or with Muster's schema, that no other test uses meanwhile.
   * @default an embedded PostgreSQL in a temporary folder, which is removed with the kit
   */
  readonly databaseUrl?: string;
}

/** What a worker needs to connect to a kit. */
export interface KitConnection {
  /** Address of the kit's scheduler, through the network that the kit can cut. */
  readonly scheduler: string;
  /** Id of the worker. */
  readonly id: string;
  /** Keeps the lines of the worker, for `StartedWorker.log`. */
  readonly logger: Logger;
}

/** A worker that a kit has started in this process. */
export interface StartedWorker {
  /** The worker, which the kit stops. */
  readonly worker: Pick<Worker, "id" | "status" | "closed" | "pause" | "resume">;
  /** The network between it and the scheduler. */
  readonly network: TestNetwork;
  /** Lines of its log so far. */
  readonly log: readonly LogRecord[];
  /** Drains and ends it. */
  stop(): Promise<void>;
}

/** Any options of a worker. */
// biome-ignore lint/suspicious/noExplicitAny: handlers of any types; with `unknown` a typed handler would not fit.
type AnyOptions = WorkerOptions<any, any, any>;

/** A worker of any types. */
type AnyWorker = Pick<Worker, "id" | "status" | "closed" | "pause" | "resume" | "start" | "stop">;

/** How long handlers may take when a test ends. */
const STOP_TIMEOUT_S = 1;

/**
 * Starts a scheduler with a PostgreSQL of its own in this process, in about a second. It needs the package `@muster/scheduler`,
 * which `@muster/worker` does not bring along: `npm install --save-dev @muster/scheduler`.
 *
 * @throws Error when that package is missing, or the scheduler cannot be started.
 *
 * @example
 * ```ts
 * await using kit = await testKit();
 * await kit.start({ tasks: { greet: (ctx) => `Hello, ${ctx.payload.name}!` } });
 * const task = await kit.client.submit("greet", { name: "Ada" });
 * assert.equal(await task.result(), "Hello, Ada!");
 * ```
 */
export async function testKit(options: TestKitOptions = {}): Promise<TestKit> {
  checkKnown("testKit", options, NAMES);
  const { args = [], databaseUrl } = options;
  return new TestKit(await TestScheduler.start(args, databaseUrl));
}

/** A running scheduler of a test, its workers and its client. `testKit()` makes it. */
export class TestKit implements AsyncDisposable {
  /** The scheduler: its addresses, its database and its log. */
  readonly scheduler: TestScheduler;
  /** A client of the scheduler. */
  readonly client: Client;
  readonly #ends: (() => Promise<unknown>)[] = [];
  #count = 0;
  #stopping: Promise<void> | undefined;

  /** @internal */
  constructor(scheduler: TestScheduler) {
    this.scheduler = scheduler;
    this.client = new Client({ scheduler: scheduler.address });
  }

  /**
   * Starts a worker in this process; ready when this resolves.
   *
   * @param worker Its options without the scheduler's address, or a function that makes the worker with what it is given.
   * @throws what `Worker.start()` throws.
   *
   * @example
   * ```ts
   * const { network } = await kit.start((connection) => new Worker(connection).handle(resize, shrink));
   * ```
   */
  async start(worker: AnyOptions | ((connection: KitConnection) => AnyWorker)): Promise<StartedWorker> {
    const network = await this.#network();
    const log: LogRecord[] = [];
    const id = this.#nextId();
    const own = typeof worker === "function" ? undefined : worker;
    const connection: KitConnection = {
      scheduler: network.address,
      id: own?.id ?? id,
      logger: recordingLogger(log, own?.logger),
    };
    const made: AnyWorker =
      typeof worker === "function" ? worker(connection) : new Worker({ ...worker, ...connection });
    const stop = (): Promise<void> => made.stop({ timeoutS: STOP_TIMEOUT_S });
    this.#ends.push(stop);
    await made.start();
    return { worker: made, network, log, stop };
  }

  /**
   * Starts a worker's file in a process of its own, which a test may kill; ready when this resolves. `MUSTER_SCHEDULER_ADDR` and
   * `WORKER_ID` are set.
   *
   * @param file Path, or URL: `new URL("./worker.ts", import.meta.url)`.
   * @throws Error with its last lines when the process ends before it is ready.
   */
  async spawn(file: string | URL, options: SpawnOptions = {}): Promise<WorkerProcess> {
    const worker = new WorkerProcess(file, this.#nextId(), await this.#network(), options);
    this.#ends.push(() => worker.kill());
    await worker.ready();
    return worker;
  }

  /**
   * Resolves with the first task that is in the state.
   *
   * @throws Error after `timeoutS`: it says which tasks there were instead, and why they were there (`muster why`).
   *
   * @example
   * ```ts
   * const task = await kit.waitFor({ type: "image.resize", state: "failed" });
   * ```
   */
  waitFor(filter: TaskFilter, options: WaitForOptions = {}): Promise<PlainTask> {
    return waitForTask(this.client, filter, options);
  }

  /** Ends workers, client, scheduler and database. A second call waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    // Workers end before the networks that they were started with.
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
    this.client.close();
    await this.scheduler.stop();
  }

  async #network(): Promise<TestNetwork> {
    const network = await TestNetwork.start(this.scheduler.address);
    this.#ends.push(() => network.stop());
    return network;
  }

  #nextId(): string {
    this.#count += 1;
    return `worker-${this.#count}`;
  }
}
