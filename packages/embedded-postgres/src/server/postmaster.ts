/** Finds and stops a PostgreSQL that an earlier, killed guardian left running. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pollFor } from "../clock.ts";
import { EmbeddedPostgresError, systemErrorCode } from "../errors.ts";
import { describeProcess, servesCluster } from "../system/processes.ts";

/** A fast shutdown writes a checkpoint, which takes seconds on a slow disk. */
export const FAST_SHUTDOWN_MS = 30_000;

/** An immediate shutdown writes nothing. */
export const IMMEDIATE_SHUTDOWN_MS = 10_000;

/**
 * Ensures that no earlier PostgreSQL works in the folder. One that was left running because its guardian was killed is
 * stopped. A pid file of one that has ended is removed where PostgreSQL itself would not (the pid is now of another
 * program, or the file is empty). The caller holds the folder's lock, so no scheduler uses such a PostgreSQL.
 *
 * @throws EmbeddedPostgresError `ORPHAN_SURVIVES`
 */
export async function clearEarlierPostmaster(cluster: string, log: (line: string) => void): Promise<void> {
  const file = join(cluster, "postmaster.pid");
  const pid = await readPostmasterPid(cluster);
  if (pid === undefined) return;
  if (pid !== "unreadable" && (await servesCluster(pid, cluster))) {
    log(`stopping the PostgreSQL (pid ${pid}) that a killed scheduler has left running in ${cluster}`);
    await stopPostmaster(pid, cluster);
    return;
  }
  if (pid === "unreadable") log(`removing ${file}, which is empty`);
  else if (await describeProcess(pid)) log(`removing ${file}: pid ${pid} is another program by now`);
  else return; // PostgreSQL sees that for itself, and looks for its orphaned children as well.
  await rm(file, { force: true });
}

/** The pid in a cluster's `postmaster.pid`; undefined without the file. */
async function readPostmasterPid(cluster: string): Promise<number | "unreadable" | undefined> {
  const read = async () => {
    const pid = Number.parseInt(await readFile(join(cluster, "postmaster.pid"), "utf8"), 10);
    return pid > 0 ? pid : undefined;
  };
  try {
    // A server that is just starting creates the file and fills it a moment later.
    return (await pollFor(read, { everyMs: 50, withinMs: 500 })) ?? "unreadable";
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Stops a PostgreSQL that is not a child process: a fast shutdown, then an immediate one, after which the next start
 * recovers from the write-ahead log.
 *
 * @throws EmbeddedPostgresError `ORPHAN_SURVIVES`
 */
export async function stopPostmaster(pid: number, cluster: string): Promise<void> {
  const gone = async () => ((await servesCluster(pid, cluster)) ? undefined : true);
  for (const [name, withinMs] of [
    ["SIGINT", FAST_SHUTDOWN_MS],
    ["SIGQUIT", IMMEDIATE_SHUTDOWN_MS],
  ] as const) {
    if (await gone()) return;
    signalProcess(pid, name);
    if (await pollFor(gone, { everyMs: 20, withinMs })) return;
  }
  throw new EmbeddedPostgresError(
    "ORPHAN_SURVIVES",
    `A PostgreSQL that a killed scheduler has left running (pid ${pid}) works in ${cluster} and did not stop ` +
      `within ${(FAST_SHUTDOWN_MS + IMMEDIATE_SHUTDOWN_MS) / 1000} s. See what holds it up (a hanging disk?), ` +
      `end it with "kill -QUIT ${pid}", then start again.`,
  );
}

function signalProcess(pid: number, name: "SIGINT" | "SIGQUIT"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It has ended in between, as wanted.
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}
