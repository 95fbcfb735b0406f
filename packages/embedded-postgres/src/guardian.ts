/**
 * The guardian of an embedded PostgreSQL, a child process of the scheduler. It stops the database cleanly however the
 * scheduler ends: the kernel closes the channel between the two even on SIGKILL, and a closed channel means stop. It
 * handles one `start` and one `stop` message.
 */
import { type BringUpContext, bringUp, type Database } from "./bring-up.ts";
import { settlesWithin } from "./clock.ts";
import { type FromGuardian, failed, isToGuardian, type StartOrder } from "./messages.ts";
import { FAST_SHUTDOWN_MS, IMMEDIATE_SHUTDOWN_MS } from "./server/postmaster.ts";

/** The longest that stopping the database may take. */
const STOP_MS = FAST_SHUTDOWN_MS + IMMEDIATE_SHUTDOWN_MS;

const ending = new AbortController();
let database: Database | undefined;
let working: Promise<number> | undefined;

// Files created here are accessible to their owner alone, except where a mode is given.
process.umask(0o077);

/** Resolves when the message is sent, or the channel is closed. */
function report(message: FromGuardian): Promise<void> {
  return new Promise((resolve) => {
    // A channel that breaks now emits "disconnect", which stops the guardian in order.
    if (process.send && process.connected) process.send(message, () => resolve());
    else resolve();
  });
}

async function work(order: StartOrder): Promise<number> {
  const context: BringUpContext = {
    log: (line) => void report({ type: "log", line }),
    signal: ending.signal,
  };
  try {
    database = await bringUp(order, context);
  } catch (error) {
    await report(failed(error));
    return ending.signal.aborted ? 0 : 1;
  }
  const stopped = new Promise<"stop">((resolve) => {
    ending.signal.addEventListener("abort", () => resolve("stop"));
    if (ending.signal.aborted) resolve("stop");
  });
  await report({ type: "ready", ...database.facts });
  const exit = await Promise.race([database.exited, stopped]);
  await database.stop();
  if (exit === "stop") return 0;
  await report({ type: "exited", ...exit });
  return 1;
}

process.on("message", (message: unknown) => {
  if (!isToGuardian(message)) return;
  if (message.type === "stop") {
    ending.abort();
  } else {
    working = work(message);
    void working.then((code) => process.exit(code), crash);
  }
});
process.on("disconnect", () => ending.abort());

/** A fault of the guardian itself must not leave the database running. */
async function crash(error: unknown): Promise<void> {
  await report(failed(error));
  ending.abort();
  if (working) await settlesWithin(working, STOP_MS);
  await database?.stop();
  process.exit(1);
}
process.on("uncaughtException", (error) => void crash(error));

// The guardian has a session of its own, so that Ctrl-C reaches the scheduler alone. A service manager that signals all
// processes signals the scheduler too, which still needs its database: so signals are ignored.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    void report({ type: "log", line: `the guardian ignores ${signal}: it stops with its scheduler` });
  });
}

if (!process.send) {
  process.stderr.write("This program is started by Muster's scheduler; do not run it by hand.\n");
  process.exitCode = 2;
}
