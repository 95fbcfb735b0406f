/** Creates a cluster with initdb, and resets a lost password. */
import { randomBytes } from "node:crypto";
import { chown, mkdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { initPasswordFile, initPrefix, type Layout, statOf, unusable } from "../data-folder/layout.ts";
import { syncFolder } from "../data-folder/password.ts";
import { EmbeddedPostgresError } from "../errors.ts";
import { type Account, type RunResult, run } from "../system/run.ts";
import type { Binaries } from "./binaries.ts";

/** The only role of an embedded PostgreSQL, its superuser. */
export const roleName = "muster";

/** What both functions need. */
export interface ClusterRequest {
  layout: Layout;
  binaries: Binaries;
  account: Account | undefined;
  password: string;
  log: (line: string) => void;
  signal: AbortSignal;
}

/** initdb takes 0.6 s on a fast disk; this bound is for the slowest. */
const INITDB_MS = 180_000;

/**
 * Creates the cluster. initdb works in a folder of its own, which is renamed to the cluster's name when it is complete: so
 * an interrupted initdb is never mistaken for a cluster, and one that still runs after its guardian was killed does not
 * disturb the next.
 *
 * The encoding is UTF8 and the locale PostgreSQL's own C.UTF-8, so that order and case are the same on every machine,
 * whatever its libc and ICU.
 *
 * @throws EmbeddedPostgresError `INIT_FAILED`, `FOLDER_UNUSABLE`
 */
export async function createCluster(request: ClusterRequest): Promise<void> {
  const { layout, binaries, account, log, signal } = request;
  const workplace = join(layout.dataDir, `${initPrefix}${randomBytes(6).toString("hex")}`);
  const fresh = join(workplace, "cluster");
  const passwordFile = join(workplace, initPasswordFile);
  log(`creating a PostgreSQL ${binaries.version} cluster in ${layout.cluster}`);
  try {
    await mkdir(workplace, { mode: 0o700 });
    await writeFile(passwordFile, `${request.password}\n`, { mode: 0o600 });
    if (account) {
      for (const path of [passwordFile, workplace]) await chown(path, account.uid, account.gid);
    }
    const flags = [
      `--pgdata=${fresh}`,
      `--username=${roleName}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
    ];
    const result = await run(binaries.initdb, flags, { account, timeoutMs: INITDB_MS, signal });
    if (result.code !== 0) throw initFailed(layout, result);
    // Only an empty folder can have that name: `inspect` has checked it.
    if (await statOf(layout.cluster)) await rmdir(layout.cluster);
    await rename(fresh, layout.cluster);
    await syncFolder(layout.dataDir);
  } catch (error) {
    signal.throwIfAborted();
    throw unusable(workplace, "create a cluster in", error);
  } finally {
    await rm(workplace, { recursive: true, force: true });
  }
}

function initFailed(layout: Layout, result: RunResult): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    "INIT_FAILED",
    `initdb could not create a cluster in ${layout.dataDir} (it ended with ${result.code ?? result.signal}): ` +
      `${result.output.split("\n").slice(-5).join(" | ")}. Look for a full disk or a mount that forbids it, or set ` +
      `DATABASE_URL to a PostgreSQL of your own.`,
  );
}

/**
 * Sets a new password of the role in PostgreSQL's single-user mode, which needs none, for a data folder whose password
 * file is lost. Only the owner of the data can do this.
 *
 * @throws EmbeddedPostgresError `START_FAILED`
 */
export async function resetPassword(request: ClusterRequest): Promise<void> {
  const { layout, binaries, account, log, signal } = request;
  log(`${layout.password} was missing: giving the database a new password`);
  const result = await run(binaries.postgres, ["--single", "-D", layout.cluster, "postgres"], {
    account,
    input: `alter role ${roleName} password '${request.password}';\n`,
    timeoutMs: INITDB_MS,
    signal,
  });
  // In this mode the exit code does not show a failed statement.
  if (result.code === 0 && !/^(.* )?(ERROR|FATAL|PANIC): /m.test(result.output)) return;
  // The next start must try again.
  await rm(layout.password, { force: true });
  throw new EmbeddedPostgresError(
    "START_FAILED",
    `The password file ${layout.password} was missing, and a new password could not be set: ` +
      `${result.output.split("\n").slice(-5).join(" | ")}. Restore the file from a backup, or see what PostgreSQL says above.`,
  );
}
