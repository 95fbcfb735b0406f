/**
 * The thread of a test's scheduler: an embedded PostgreSQL, its schema, and the scheduler. It has a thread of its own, so that a
 * test that blocks the main loop stops the worker under test and not the scheduler.
 */
import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { FromScheduler, SchedulerData } from "./scheduler-messages.ts";

type Package = typeof import("@muster/scheduler");

if (parentPort !== null) await run(parentPort, workerData);

async function run(port: MessagePort, data: SchedulerData): Promise<void> {
  const answer = (message: FromScheduler): void => port.postMessage(message);
  const steps: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) await step();
  };
  // A request to stop waits for a start that is under way.
  const stopRequested = new Promise<void>((resolve) => port.once("message", () => resolve()));
  try {
    await start(data, steps, answer);
    await stopRequested;
    await stop();
    answer({ kind: "stopped" });
  } catch (error) {
    await stop().catch(() => {
      // The error of the start says more.
    });
    answer({ kind: "failed", missing: isMissing(error), message: textOf(error) });
  }
  port.close();
}

async function start(
  { folder, databaseUrl, args }: SchedulerData,
  steps: (() => Promise<unknown>)[],
  answer: (message: FromScheduler) => void,
): Promise<void> {
  steps.push(() => rm(folder, { recursive: true, force: true }));
  const scheduler: Package = await import("@muster/scheduler");
  const surroundings = { cwd: folder, inCheckout: false, isTerminal: false };
  const config = scheduler.loadConfig(args, {}, surroundings);
  let url = databaseUrl;
  if (url === undefined) {
    // PostgreSQL runs as an account of its own when the tests run as root.
    await chmod(folder, 0o711);
    const postgres = await scheduler.startEmbeddedPostgres({
      dataDir: join(folder, "data"),
      stateRoot: join(folder, "state"),
      log: () => {},
    });
    steps.push(() => postgres.stop());
    url = postgres.url;
  }
  await scheduler.migrateDatabase(url);
  const line =
    (level: "info" | "warn" | "error") =>
    (event: string, fields: object = {}) =>
      answer({ kind: "log", level, event, fields: plain(fields) });
  const log = {
    debug: () => {},
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    debugEnabled: false,
  };
  const running = await scheduler.startScheduler({ config, databaseUrl: url, log });
  steps.push(() => running.stop());
  const { grpcAddress, httpAddress } = running;
  answer({
    kind: "ready",
    grpc: `${grpcAddress.host}:${grpcAddress.port}`,
    http: `http://${httpAddress.host}:${httpAddress.port}`,
    databaseUrl: url,
  });
}

/** Facts of a line as plain values: a message takes no function and no class. */
function plain(fields: object): Record<string, unknown> {
  const text = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? value.message : typeof value === "bigint" ? Number(value) : value,
  );
  return JSON.parse(text);
}

function isMissing(error: unknown): boolean {
  return (
    Object(error).code === "ERR_MODULE_NOT_FOUND" &&
    String(Object(error).message).includes("@muster/scheduler")
  );
}

function textOf(error: unknown): string {
  const faults: unknown = Object(error).faults;
  if (Array.isArray(faults)) return faults.join("; ");
  return error instanceof Error ? error.message : String(error);
}
