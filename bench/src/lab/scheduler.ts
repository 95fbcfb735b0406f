import { migrateDatabase } from "@muster/scheduler";
import { Child } from "./child.ts";
import type { Cleanup } from "./cleanup.ts";

/** A Muster scheduler in a process of its own. */
export interface BenchScheduler {
  readonly child: Child;
  /** `host:port` for workers and clients. */
  readonly grpc: string;
  /** `http://host:port`. */
  readonly http: string;
}

/**
 * Starts a scheduler with its defaults, apart from `args`, on free ports; serving when this returns. The schema
 * is applied first.
 */
export async function startScheduler(
  cleanup: Cleanup,
  options: {
    readonly databaseUrl: string;
    readonly args?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly execArgv?: readonly string[];
  },
): Promise<BenchScheduler> {
  await migrateDatabase(options.databaseUrl);
  const child = new Child(cleanup, {
    name: "scheduler",
    program: "scheduler-program.ts",
    args: [
      ...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"],
      ...(options.args ?? []),
    ],
    env: { ...options.env, DATABASE_URL: options.databaseUrl },
    execArgv: options.execArgv ?? [],
  });
  const line = await child.line("scheduler.started");
  return { child, grpc: String(line.grpc_addr), http: `http://${String(line.http_addr)}` };
}
