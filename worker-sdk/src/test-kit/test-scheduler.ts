/** A scheduler in a thread of the test's process. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker as Thread } from "node:worker_threads";
import { settledWithin, wallClock } from "../clock.ts";
import type { LogRecord } from "./log-record.ts";
import type { FromScheduler, SchedulerData } from "./scheduler-messages.ts";

/** Timings with which tests see the end of a lease within seconds. Those of a production need minutes. */
const FAST_ARGS: readonly string[] = [
  ...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"],
  ...["--heartbeat", "0.5", "--lease", "3", "--reconnect-grace", "2", "--accept-deadline", "3"],
  ...["--poll-interval", "0.2", "--stop-timeout", "5"],
];

/** Longest time for a stop; the process ends PostgreSQL anyway when it ends. */
const STOP_MS = 20_000;

/** Lines of the log that are kept. */
const MAX_LINES = 10_000;

const PREFIX = "muster-kit-";

/** What a killed test has left is removed after a day. */
const LEFT_MS = 86_400_000;

/** A running scheduler of a test. */
export class TestScheduler {
  /** Address for workers and clients, `host:port`. */
  readonly address: string;
  /** Address for HTTP, `http://host:port`. */
  readonly http: string;
  /** The scheduler's database. */
  readonly databaseUrl: string;
  /** Lines of its log so far; the newest 10,000. */
  readonly log: readonly LogRecord[];
  readonly #thread: Thread;
  readonly #exited: Promise<void>;
  #stopping: Promise<void> | undefined;

  private constructor(
    thread: Thread,
    exited: Promise<void>,
    log: readonly LogRecord[],
    ready: Extract<FromScheduler, { kind: "ready" }>,
  ) {
    this.#thread = thread;
    this.#exited = exited;
    this.log = log;
    this.address = ready.grpc;
    this.http = ready.http;
    this.databaseUrl = ready.databaseUrl;
  }

  /** @internal */
  static async start(args: readonly string[], databaseUrl: string | undefined): Promise<TestScheduler> {
    await removeLeft();
    const folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
    const script = import.meta.url.endsWith(".ts") ? "./scheduler-thread.ts" : "./scheduler-thread.js";
    const workerData: SchedulerData = { folder, databaseUrl, args: [...FAST_ARGS, ...args] };
    // Other flags of a test runner (`--input-type`, hooks) are not for this thread.
    const execArgv = conditionsOf(process.execArgv);
    const thread = new Thread(new URL(script, import.meta.url), {
      ...{ workerData, execArgv, argv: [], name: "muster-scheduler" },
    });
    const exited = new Promise<void>((resolve) => thread.once("exit", () => resolve()));
    const log: LogRecord[] = [];
    const ready = await new Promise<Extract<FromScheduler, { kind: "ready" }>>((resolve, reject) => {
      thread.on("message", (message: FromScheduler) => {
        if (message.kind === "ready") resolve(message);
        else if (message.kind === "failed") reject(failure(message));
        else if (message.kind === "log") keep(log, message);
      });
      thread.once("error", reject);
      thread.once("exit", (code) =>
        reject(new Error(`The thread of the scheduler ended with code ${code}.`)),
      );
    });
    // A test that forgets stop() ends all the same; the database ends with its process.
    thread.unref();
    return new TestScheduler(thread, exited, log, ready);
  }

  /** @internal */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#thread.ref();
    this.#thread.postMessage("stop");
    if (!(await settledWithin(this.#exited, STOP_MS))) await this.#thread.terminate();
  }
}

/** The options that choose the entries of packages: `--conditions=x`, or the name and then the value. */
function conditionsOf(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((option, index) => {
    if (option.startsWith("--conditions=")) return [option];
    const value = execArgv[index + 1];
    return (option === "--conditions" || option === "-C") && value !== undefined
      ? [`--conditions=${value}`]
      : [];
  });
}

function keep(log: LogRecord[], { level, event, fields }: Extract<FromScheduler, { kind: "log" }>): void {
  log.push({ level, fields: { event, ...fields }, message: event });
  if (log.length > MAX_LINES) log.shift();
}

function failure({ missing, message }: Extract<FromScheduler, { kind: "failed" }>): Error {
  return new Error(
    missing
      ? "testKit() needs the package @muster/scheduler: npm install --save-dev @muster/scheduler"
      : `The scheduler of testKit() could not be started: ${message}`,
  );
}

/** Removes folders of processes that were killed. Never throws: others may remove them at the same time. */
async function removeLeft(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const [, pid] = /^muster-kit-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const path = join(tmpdir(), name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (wallClock().getTime() - mtimeMs < LEFT_MS) continue;
    await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return Object(error).code !== "ESRCH";
  }
}
