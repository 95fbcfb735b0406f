/** The scheduler and the workers of the demo. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Child, type LogLine, startChild } from "./children.ts";

/** The first start makes a database cluster; a cold machine takes a few seconds for it. */
const START_TIMEOUT_MS = 120_000;
/** Long enough to ask why a killed worker is gone before it is started again. */
const RESTART_DELAY = "5s";
const MUSTER = "../../cli/bin/muster.js";
const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** A scheduler and its supervised workers as processes that the demo starts, kills and stops. */
export class DemoFleet {
  readonly dataDir = join(".muster", "demo");
  readonly children: Child[] = [];
  readonly #say: (text: string) => void;
  readonly #signal: AbortSignal;
  readonly #workerPids = new Map<string, number>();
  /** The next connection of each worker to the scheduler that was started last, with the attempts that it kept. */
  readonly #connections = new Map<string, PromiseWithResolvers<number>>();
  #scheduler: Child | undefined;
  #grpc = "127.0.0.1:0";
  #http = "127.0.0.1:0";

  /** @param parts.signal Ends every start that is under way. */
  constructor(parts: { say: (text: string) => void; signal: AbortSignal }) {
    this.#say = parts.say;
    this.#signal = parts.signal;
  }

  /** Where the scheduler serves gRPC; known once it has started, and the same after a restart. */
  get grpc(): string {
    return this.#grpc;
  }

  async startScheduler(): Promise<void> {
    const where = ["--grpc-addr", this.#grpc, "--http-addr", this.#http];
    const args = ["serve", "--data-dir", this.dataDir, "--log-format", "json", ...where];
    await this.#started("the scheduler", (ready) => {
      const child = startChild("the scheduler", MUSTER, args, {}, (line) => {
        if (line.event === "database.embedded_started")
          this.#say(`  PostgreSQL ${line.version} in ${line.data_dir}`);
        if (line.event === "worker.registered" || line.event === "worker.reconnected")
          this.#connections.get(String(line.worker_id))?.resolve(Number(line.kept));
        if (line.event !== "scheduler.started") return;
        this.#grpc = String(line.grpc_addr);
        this.#http = String(line.http_addr);
        this.#say(`  scheduler: gRPC on ${this.#grpc}, HTTP on http://${this.#http}`);
        ready();
      });
      this.#scheduler = child;
      return child;
    });
  }

  /** Kills the scheduler without a warning and starts it again on the same data and addresses. */
  async restartScheduler(): Promise<void> {
    const killed = this.#scheduler;
    for (const id of this.#workerPids.keys()) this.#connections.set(id, Promise.withResolvers());
    await killed?.kill();
    await this.startScheduler();
  }

  /** A worker under `muster run`, which reports how it ends and starts it again. */
  async startWorker(id: string): Promise<void> {
    const env = { MUSTER_SCHEDULER_ADDR: this.#grpc, WORKER_ID: id };
    const command = [process.execPath, ...process.execArgv, WORKER];
    const args = ["run", "--restart", "always", "--restart-delay", RESTART_DELAY, "--", ...command];
    const phases: string[] = [];
    await this.#started(id, (ready) =>
      startChild(id, MUSTER, args, env, (line) => {
        if (line.event !== "worker.startup.phase") return;
        this.#onPhase(id, line, phases);
        if (line.phase === "ready") ready();
      }),
    );
  }

  /** Kills the worker's process, not its supervisor. */
  killWorker(id: string): void {
    const pid = this.#workerPids.get(id);
    if (pid === undefined) throw new Error(`the worker ${id} has not said its pid`);
    process.kill(pid, "SIGKILL");
  }

  /** Resolves when the worker has connected to the restarted scheduler, with the attempts that it kept. */
  async whenReconnected(id: string): Promise<number> {
    return this.#within(id, this.#connections.get(id)?.promise ?? Promise.resolve(0));
  }

  /** Runs the command line as a reader would; answers the command and what it printed, indented. */
  async cli(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...process.execArgv, fileURLToPath(new URL(MUSTER, import.meta.url)), ...args],
      { env: { ...process.env, MUSTER_SCHEDULER_ADDR: this.#grpc } },
    );
    const shown = stdout.trimEnd().replace(/(^ +\| .*\n?)+/gm, "        | (the last lines of its output)\n");
    return `\n    $ npx muster ${args.join(" ")}\n${shown.replaceAll(/^(?=.)/gm, "    ")}\n`;
  }

  /** Workers first: they deliver what they hold while the scheduler is there. */
  async stop(): Promise<void> {
    for (const child of this.children.toReversed()) await child.stop();
  }

  #onPhase(id: string, line: LogLine, phases: string[]): void {
    if (typeof line.pid === "number") this.#workerPids.set(id, line.pid);
    if (line.phase === "boot") phases.length = 0;
    phases.push(`${line.phase} ${line.elapsed_ms} ms`);
    if (line.phase === "ready") this.#say(`  ${id}: ${phases.join(", ")}`);
  }

  /** Resolves when the child says that it is ready; rejects when it ends or takes too long. */
  async #started(name: string, start: (ready: () => void) => Child): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const child = start(resolve);
    this.children.push(child);
    child.ended.then((how) => reject(new Error(`${name} ended (${how}) before it was ready`)), reject);
    await this.#within(name, promise);
  }

  async #within<T>(name: string, wanted: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`${name} was not ready in time`)), START_TIMEOUT_MS);
    const onAbort = () => reject(this.#signal.reason);
    this.#signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([wanted, promise]);
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", onAbort);
    }
  }
}
