/** The state folder of a launcher: its id, and the lock that keeps a second launcher out. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SetupError } from "./setup-error.ts";

/** A locked state folder. */
export interface LauncherState {
  /** Stable for as long as the folder is: launches in it belong to this id. */
  readonly launcherId: string;
  /** Folder for a driver. */
  folderOf(driver: string): string;
  release(): void;
}

/**
 * Opens the folder. The kernel releases its lock with the process: SQLite's lock on a file is the only one of the standard
 * library that it does so for.
 *
 * @throws SetupError when the folder cannot be used, or another launcher uses it.
 */
export function openLauncherState(path: string): LauncherState {
  let lock: DatabaseSync;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    lock = new DatabaseSync(join(path, "lock"));
  } catch (error) {
    throw unusable(path, error);
  }
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (error instanceof Error && /locked|busy/i.test(error.message))
      throw new SetupError(`another launcher uses the state folder ${path}`, {
        remedy: "stop it, or give this one a folder of its own with --state",
        inUse: true,
      });
    throw unusable(path, error);
  }
  return {
    launcherId: readId(path),
    folderOf: (driver) => join(path, driver),
    release: () => lock.close(),
  };
}

function readId(path: string): string {
  const file = join(path, "launcher-id");
  try {
    const id = readFileSync(file, "utf8").trim();
    if (/^[A-Za-z0-9._-]{1,100}$/.test(id)) return id;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw unusable(path, error);
  }
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, 60);
  const id = `${host || "launcher"}-${randomBytes(4).toString("hex")}`;
  writeFileSync(`${file}.new`, `${id}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return id;
}

function unusable(path: string, error: unknown): SetupError {
  return new SetupError(
    `the state folder ${path} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    { remedy: "give another folder with --state", cause: error },
  );
}
