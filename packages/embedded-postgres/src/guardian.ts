/**
 * The program that looks after an embedded PostgreSQL, as a child process of the scheduler. It exists so that
 * the database stops cleanly however the scheduler ends: the kernel closes the channel between the two even
 * on SIGKILL, and that is the order to stop. It takes one `start` and one `stop` message.
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

// Whatever is created here is the data's owner's business alone, save where a mode says otherwise.
process.umask(0o077);

/** Resolves when the message is on its way, or there is nobody left to read it. */
function report(message: FromGuardian): Promise<void> {
  return new Promise((resolve) => {
    // A channel that breaks in this moment fires "disconnect", which ends the guardian in order.
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

/** A fault of the guardian itself must not leave the database behind. */
async function crash(error: unknown): Promise<void> {
  await report(failed(error));
  ending.abort();
  if (working) await settlesWithin(working, STOP_MS);
  await database?.stop();
  process.exit(1);
}
process.on("uncaughtException", (error) => void crash(error));

// It has a session of its own, so that Ctrl-C reaches the scheduler alone; whoever signals it all the same
// (a service manager that signals all processes) has told the scheduler, too, which still needs its database.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    void report({ type: "log", line: `the guardian ignores ${signal}: it stops with its scheduler` });
  });
}

if (!process.send) {
  process.stderr.write("This program is started by Muster's scheduler, which tells it what to do.\n");
  process.exitCode = 2;
}
