/** The entry of the link's thread. */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { processAgeMs, systemClock, wallClockIso } from "../clock.ts";
import { Connection } from "./connection/connection.ts";
import type { FromLink, ToLink } from "./messages.ts";
import { SharedState } from "./shared.ts";
import type { LinkData } from "./thread-data.ts";

/** Longest time for main to end the worker before the process is killed. */
const MAIN_GRACE_MS = 2000;

/** Interval at which this loop records that it turns. */
const TURN_MS = 100;

/** Wait for a blocked main thread after the end of a drain timeout, and the interval of the checks. */
const DRAIN_GRACE_MS = 3000;
const LOOK_AGAIN_MS = 1000;

/** Time for the acknowledgement of the last results of a drain whose main thread is blocked. */
const DRAIN_FLUSH_MS = 2000;

const data: LinkData = workerData;
const port = parentPort;
if (port === null) throw new Error("link/thread is the entry of a worker thread; it cannot run by itself");

const shared = new SharedState(data.shared);
const LEVELS = ["debug", "info", "warn"] as const;

/** A main loop that has not turned for this long writes no log lines: they are written here. */
const BLOCKED_MS = 500;

let batch: FromLink[] = [];

/** How long main had been blocked when the thread began to end the drain itself; undefined when it has not. */
let killsAtEnd: number | undefined;

/** Writes a line for a main thread that is blocked; false when main can, or its log is elsewhere. */
function loggedHere(message: Extract<FromLink, { kind: "log" }>): boolean {
  const { stdoutLogLevel } = data;
  const { level, event, fields } = message;
  if (stdoutLogLevel === undefined || level === "debug") return false;
  if (systemClock.monotonicMs() - shared.lastTickMs < BLOCKED_MS) return false;
  if (LEVELS.indexOf(level) < LEVELS.indexOf(stdoutLogLevel)) return true;
  writeLine({ level, event, fields, msg: message.message });
  return true;
}

function writeLine({ fields, ...line }: { fields: object; level: string; event: string; msg: string }): void {
  const { level, event, msg } = line;
  const all = { level, time: wallClockIso(), worker_id: data.workerId, event, ...fields, msg };
  try {
    writeSync(1, `${JSON.stringify(all)}\n`);
  } catch {
    // A closed or full standard output must not stop the thread's work.
  }
}

function emit(message: FromLink): void {
  batch.push(message);
  if (batch.length > 1) return;
  setImmediate(() => {
    const messages = batch;
    batch = [];
    port?.postMessage(messages);
  });
}

const connection = new Connection(data, systemClock, shared, (message) => {
  if (message.kind === "verdict" || message.kind === "superseded") {
    const name = message.kind === "verdict" ? "VerdictError" : "SupersededError";
    enforceExit("worker.fatal", name, message.message);
  }
  if (message.kind === "registered") cancelRegisterTimeout();
  if (message.kind === "ended" && killsAtEnd !== undefined) {
    killProcess(
      "worker.killed",
      `the drain is over and the main thread has been blocked for ${killsAtEnd} ms`,
    );
  }
  if (message.kind === "log" && loggedHere(message)) return;
  emit(message);
});

const cancelRegisterTimeout = systemClock.after(data.registerInMs, () => {
  if (connection.registered) return;
  const lastError =
    connection.lastError || `no dial of ${data.addresses.join(", ")} has been answered or refused yet`;
  connection.abandon();
  enforceExit("worker.startup_timeout_unregistered", "StartupTimeoutError", lastError);
  emit({ kind: "startupTimeout", lastError });
});

port.on("message", (messages: readonly ToLink[]) => {
  for (const message of messages) {
    connection.handle(message);
    if (message.kind === "draining" && data.program) boundDrain(message.deadlineMs + DRAIN_GRACE_MS);
  }
});

/**
 * Ends a drain in time when a handler blocks the main loop: finished results are delivered, everything else is
 * released by Goodbye, and the process is killed.
 */
function boundDrain(inMs: number): void {
  systemClock.after(inMs, () => {
    if (shared.mainExits) return;
    const blockedMs = systemClock.monotonicMs() - shared.lastTickMs;
    if (blockedMs < MAIN_GRACE_MS) return boundDrain(LOOK_AGAIN_MS);
    connection.handle({ kind: "finish", reason: "drain", flushMs: DRAIN_FLUSH_MS });
    killsAtEnd = Math.round(blockedMs);
  });
}

// The first turn comes after the first dial has begun: until then main allows for a slow start.
systemClock.every(TURN_MS, () => shared.linkTurned());
connection.start();

if (data.http !== undefined) void serve(data.http);

async function serve(at: NonNullable<LinkData["http"]>): Promise<void> {
  try {
    // Loaded here, so that workers without it need not wait for it before their first dial.
    const { serveHttp } = await import("./health/http.ts");
    emit({ kind: "serving", address: await serveHttp(at, connection) });
  } catch (error) {
    emit({ kind: "cannotServe", message: error instanceof Error ? error.message : String(error) });
  }
}

/**
 * Main has a message that the worker must end, and cannot read it while its loop is blocked: then this thread writes
 * the log line and kills the process, which no handler of main can prevent.
 */
function enforceExit(event: string, exceptionClass: string, message: string): void {
  if (!data.program) return;
  systemClock.after(MAIN_GRACE_MS, () => {
    if (shared.mainExits) return;
    writeLine({
      level: "error",
      event,
      fields: {
        phase: event === "worker.fatal" ? "startup" : "startup_timeout_unregistered",
        scheduler_addr: data.addresses.join(","),
        pid: process.pid,
        uid: data.host.uid,
        gid: data.host.gid,
        cwd: data.host.cwd,
        elapsed_ms: Math.round(data.processAgeMs + processAgeMs()),
        exception_class: exceptionClass,
        exception_message: message,
        last_phase: connection.lastPhase,
        last_error: message,
      },
      msg: "the main thread is blocked and does not react: the process is killed",
    });
    process.kill(process.pid, "SIGKILL");
  });
}

/** Ends the process when its main thread cannot. */
function killProcess(event: string, why: string): void {
  writeLine({
    level: "warn",
    event,
    fields: { pid: process.pid, signal: "SIGKILL" },
    msg: `${why}: the process is killed`,
  });
  process.kill(process.pid, "SIGKILL");
}
