/** A worker's file in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { processEnvironment } from "../options/connection-options.ts";
import type { LogRecord } from "./log-record.ts";
import type { TestNetwork } from "./test-network.ts";

/** Options of `TestKit.spawn()`. */
export interface SpawnOptions {
  /** Variables that are added to those of the test. @default none */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Node, for example `["--import", "tsx"]`. @default none */
  readonly nodeOptions?: readonly string[];
}

/** How a process ended. */
export interface ProcessEnd {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  /** Signal that ended it; null when it exited. */
  readonly signal: NodeJS.Signals | null;
}

/** Lines that are kept. */
const MAX_LINES = 10_000;

/** Lines of an error. */
const SHOWN_LINES = 20;

/** A worker that runs in a process of its own, which a test may kill. */
export class WorkerProcess {
  /** Id of the worker. */
  readonly id: string;
  /** The network between it and the scheduler. */
  readonly network: TestNetwork;
  /** Resolves when the process has ended. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  readonly #log: LogRecord[] = [];
  readonly #lines: string[] = [];
  readonly #waiters = new Set<() => void>();
  #over = false;

  /** @internal */
  constructor(
    file: string | URL,
    id: string,
    network: TestNetwork,
    { env = {}, nodeOptions = [] }: SpawnOptions,
  ) {
    this.id = id;
    this.network = network;
    const path = file instanceof URL ? fileURLToPath(file) : resolve(file);
    const { NODE_TEST_CONTEXT: _, ...own } = processEnvironment;
    this.#child = spawn(process.execPath, [...nodeOptions, path], {
      env: { ...own, MUSTER_SCHEDULER_ADDR: network.address, WORKER_ID: id, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#read(line));
    this.ended = new Promise((done) => {
      const end = (how: ProcessEnd): void => {
        this.#over = true;
        done(how);
        this.#wake();
      };
      this.#child.once("error", (error) => {
        this.#lines.push(error.message);
        end({ code: null, signal: null });
      });
      this.#child.once("close", (code, signal) => end({ code, signal }));
    });
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lines of its log so far that are JSON; the newest 10,000. */
  get log(): readonly LogRecord[] {
    return this.#log;
  }

  /** @internal Resolves when the worker takes tasks. */
  async ready(): Promise<void> {
    await this.until((log) =>
      log.some(({ fields }) => fields.event === "worker.startup.phase" && fields.phase === "ready"),
    );
  }

  /**
   * Resolves when the condition holds for the log; it is tested now and after every line.
   *
   * @throws Error with its last lines when the process ends and the condition does not hold.
   */
  async until(condition: (log: readonly LogRecord[]) => boolean): Promise<void> {
    while (!condition(this.#log)) {
      if (this.#over) {
        const { code, signal } = await this.ended;
        throw new Error(
          `The worker ${this.id} ended with ${signal ?? `code ${code}`} before. Its last lines:\n${this.#lines.slice(-SHOWN_LINES).join("\n")}`,
        );
      }
      await new Promise<void>((wake) => this.#waiters.add(wake));
    }
  }

  /** Ends the process at once with a signal. */
  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<ProcessEnd> {
    // A process that is suspended takes no other signal before it goes on.
    if (signal !== "SIGKILL" && !this.#over) this.resume();
    this.#child.kill(signal);
    return this.ended;
  }

  /** Stops the whole process (SIGSTOP) until `resume()`: it neither runs nor answers, and its connections stay. */
  suspend(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Ends `suspend()`. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Asks the worker to drain (SIGTERM), and waits for its end. */
  stop(): Promise<ProcessEnd> {
    return this.kill("SIGTERM");
  }

  #read(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > MAX_LINES) this.#lines.shift();
    const record = recordOf(line);
    if (record !== undefined) this.#log.push(record);
    if (this.#log.length > MAX_LINES) this.#log.shift();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}

const LEVELS: ReadonlySet<string> = new Set(["debug", "info", "warn", "error"]);

function recordOf(line: string): LogRecord | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const { level, msg = "", ...fields }: Record<string, unknown> = JSON.parse(line);
    return typeof level === "string" && LEVELS.has(level)
      ? { level: level as LogRecord["level"], fields, message: String(msg) }
      : undefined;
  } catch {
    // A line of the program itself.
    return undefined;
  }
}
