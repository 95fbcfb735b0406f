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

/** The form of a launcher's id: also a value of a label of containers and pods. */
const LAUNCHER_ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/**
 * Opens the folder. The kernel releases its lock with the process: SQLite's lock on a file is the only one of the standard
 * library that it does so for.
 *
 * @param wantedId The id of the launcher; by default that of the folder, which a new folder gets.
 * @throws SetupError when the folder cannot be used, another launcher uses it, or it belongs to another id.
 */
export function openLauncherState(path: string, wantedId?: string): LauncherState {
  if (wantedId !== undefined && !LAUNCHER_ID.test(wantedId))
    throw new SetupError(
      `"${wantedId}" is no id of a launcher: 1 to 63 of A-Z a-z 0-9 . _ -, the first and the last a letter or a digit`,
      { remedy: "correct --id or MUSTER_LAUNCHER_ID" },
    );
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
  let launcherId: string;
  try {
    launcherId = readId(path, wantedId);
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    launcherId,
    folderOf: (driver) => join(path, driver),
    release: () => lock.close(),
  };
}

function readId(path: string, wantedId: string | undefined): string {
  const file = join(path, "launcher-id");
  try {
    const id = readFileSync(file, "utf8").trim();
    if (wantedId !== undefined && id !== "" && id !== wantedId)
      throw new SetupError(
        `the state folder ${path} belongs to the launcher ${id}, not to ${wantedId}: what it has launched would be left alone`,
        { remedy: `start it with --id ${id}, or give another folder with --state` },
      );
    if (/^[A-Za-z0-9._-]{1,100}$/.test(id)) return id;
  } catch (error) {
    if (error instanceof SetupError) throw error;
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw unusable(path, error);
  }
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 54);
  const id = wantedId ?? `${host || "launcher"}-${randomBytes(4).toString("hex")}`;
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
