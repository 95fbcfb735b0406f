/** One run of a case: its scheduler, its worker processes, and what happened. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { must } from "./mismatch.ts";
import { Changes } from "./peer/changes.ts";
import { Scheduler } from "./peer/scheduler.ts";
import { Transcript } from "./peer/transcript.ts";
import { WorkerProcess } from "./peer/worker-process.ts";
import type { WelcomeFields, WorkerStream } from "./peer/worker-stream.ts";

/** Slots that a worker must have (variable `SLOTS`). */
export const SLOTS = 4;

/** The token that a worker must send. */
export const TOKEN = "conformance-token";

/** What a case runs with. */
export interface TrialOptions {
  /** The worker's command line. */
  readonly command: readonly string[];
  /** The environment of the suite, which the worker inherits. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Factor of every upper limit of time, for a machine that is busy; 1 on one that is not. */
  readonly patience: number;
}

type Variables = Readonly<Record<string, string>>;

/** A worker with its scheduler and its first stream. */
export interface Registered {
  readonly scheduler: Scheduler;
  readonly worker: WorkerProcess;
  readonly stream: WorkerStream;
}

/** Starts schedulers and workers, and ends them with the case. */
export class Trial {
  readonly changes: Changes;
  readonly transcript: Transcript;
  readonly workers: WorkerProcess[] = [];
  readonly #options: TrialOptions;
  readonly #schedulers: Scheduler[] = [];

  constructor(options: TrialOptions) {
    this.#options = options;
    this.changes = new Changes(options.clock, options.patience);
    this.transcript = new Transcript(() => this.changes.nowMs);
    this.changes.over = () => this.#over();
  }

  /** How late something may be that has to come within `ms`. */
  late(ms: number): number {
    return ms * this.#options.patience;
  }

  /** A scheduler on a port of its own. */
  async scheduler(): Promise<Scheduler> {
    const scheduler = await Scheduler.start(this.transcript, this.changes);
    this.#schedulers.push(scheduler);
    return scheduler;
  }

  /** Starts a worker that dials these addresses. */
  start(addresses: string, variables: Variables = {}): WorkerProcess {
    const env = {
      ...this.#options.env,
      MUSTER_SCHEDULER_ADDR: addresses,
      MUSTER_TOKEN: TOKEN,
      WORKER_ID: `conformance-${randomBytes(4).toString("hex")}`,
      WORKER_REGISTER_TIMEOUT_S: "30",
      WORKER_DRAIN_TIMEOUT_S: "20",
      SLOTS: String(SLOTS),
      ...variables,
    };
    const worker = new WorkerProcess(this.#options.command, env, this);
    this.workers.push(worker);
    return worker;
  }

  /** Waits for the n-th stream of a scheduler, from 1, and its Hello. */
  stream(scheduler: Scheduler, number: number, withinMs?: number): Promise<WorkerStream> {
    return this.changes.until(
      `stream ${number} with Hello`,
      () => scheduler.streams.find((each) => each.number === number && each.hello !== undefined),
      { ...(withinMs && { withinMs }), came: () => `${scheduler.streams.length} streams came` },
    );
  }

  /** Waits until a worker has reported the phase `ready`, in its Hello or after it. */
  async ready(stream: WorkerStream): Promise<void> {
    const phases = () => [
      ...(stream.hello?.startupPhases ?? []),
      ...stream.all("startupPhase").map(({ value }) => value),
    ];
    await this.changes.until(`startup phase "ready" on stream ${stream.number}`, () =>
      stream.hello?.ready || phases().some(({ phase }) => phase === "ready") ? true : undefined,
    );
  }

  /** A worker that is registered and ready. @param welcome Further fields of Welcome. */
  async begin(welcome: WelcomeFields = {}, variables: Variables = {}): Promise<Registered> {
    const scheduler = await this.scheduler();
    scheduler.answer = (stream) => stream.welcome(welcome);
    const worker = this.start(scheduler.address, variables);
    const stream = await this.stream(scheduler, 1);
    await this.ready(stream);
    // The first heartbeat follows Welcome: the worker has read it.
    await this.changes.until("the first heartbeat", () => stream.heartbeats[0]);
    return { scheduler, worker, stream };
  }

  /** Waits until the worker's process has ended with a code other than zero, and returns the code. */
  async failed(worker: WorkerProcess, why: string, withinMs?: number): Promise<number> {
    const { code, signal } = await worker.ended(`the end of the worker's process ${why}`, withinMs);
    must(code !== null && code !== 0, `an exit code other than 0 ${why}`, `it ended with ${signal ?? code}`);
    return code;
  }

  /** Waits until the worker's process has ended with code 0. */
  async finished(worker: WorkerProcess, why: string, withinMs?: number): Promise<void> {
    const { code, signal } = await worker.ended(`the end of the worker's process ${why}`, withinMs);
    must(code === 0, `exit code 0 ${why}`, `it ended with ${signal ?? code}`);
  }

  /** Ends every process and every scheduler. */
  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await Promise.all(this.#schedulers.map((scheduler) => scheduler.stop()));
  }

  /** Nothing comes any more once every worker and every stream has ended. */
  #over(): string | undefined {
    for (const worker of this.workers) worker.check();
    if (this.workers.length === 0 || this.workers.some(({ exit }) => exit === undefined)) return undefined;
    if (this.#schedulers.some(({ open }) => open.length > 0)) return undefined;
    const [exit] = this.workers.map((worker) => worker.exit);
    return `the worker's process had ended with ${exit?.signal ?? `exit code ${exit?.code}`}`;
  }
}
