/** A scheduler under test. */
import { Program } from "./program.ts";

/** Timings of the fault tests: everything within seconds, heartbeats far from the noise of a busy machine. */
export const FAST = { heartbeatMs: 200, leaseMs: 1_000, graceMs: 800, acceptDeadlineMs: 1_000 } as const;

const FAST_ARGS = [
  ["--heartbeat", FAST.heartbeatMs],
  ["--lease", FAST.leaseMs],
  ["--reconnect-grace", FAST.graceMs],
  ["--accept-deadline", FAST.acceptDeadlineMs],
  ["--poll-interval", 200],
  ["--monitor-interval", 500],
].flatMap(([flag, ms]) => [String(flag), String(Number(ms) / 1_000)]);

/** Twenty are opened at a start if they may be, and each takes 10 ms of processor time. */
const CONNECTIONS = ["--database-connections", "12"];

/** A scheduler process that serves. */
export interface TestScheduler {
  readonly program: Program;
  readonly id: string;
  /** `host:port` for workers and clients. */
  readonly grpc: string;
  /** `http://host:port`. */
  readonly http: string;
}

/**
 * Starts a scheduler process with the fast timings, on free ports unless told otherwise.
 *
 * @param options.args Further flags; later ones win.
 */
export async function startTestScheduler(options: {
  databaseUrl: string;
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** File descriptors that it may have. */
  descriptorLimit?: number;
}): Promise<TestScheduler> {
  const program = Program.start("scheduler", "../../../scheduler/bin/muster-scheduler.js", {
    base: import.meta.url,
    args: [
      ...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"],
      ...FAST_ARGS,
      ...CONNECTIONS,
      ...(options.args ?? []),
    ],
    env: { DATABASE_URL: options.databaseUrl, ...options.env },
    ...(options.descriptorLimit === undefined
      ? {}
      : { through: ["prlimit", `--nofile=${options.descriptorLimit}`] }),
  });
  const line = await program.line("scheduler.started");
  return {
    program,
    id: String(line.scheduler_id),
    grpc: String(line.grpc_addr),
    http: `http://${String(line.http_addr)}`,
  };
}

/** Starts a worker process from `workers/`; ready when this returns unless `waitReady` is false. */
export async function startTestWorker(options: {
  scheduler: string;
  id: string;
  /** File in `workers/`; `basic.ts` by default. */
  file?: string;
  env?: Readonly<Record<string, string>>;
  waitReady?: boolean;
}): Promise<Program> {
  const program = Program.start(options.id, `../workers/${options.file ?? "basic.ts"}`, {
    base: import.meta.url,
    env: {
      MUSTER_SCHEDULER_ADDR: options.scheduler,
      WORKER_ID: options.id,
      WORKER_LOG_LEVEL: "debug",
      ...options.env,
    },
  });
  if (options.waitReady ?? true) await program.line("worker.startup.phase", ({ phase }) => phase === "ready");
  return program;
}
