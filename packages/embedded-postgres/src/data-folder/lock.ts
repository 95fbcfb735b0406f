/** Locks a data folder for one guardian, and waits for the guardian of an ended scheduler. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { pollFor } from "../clock.ts";
import { EmbeddedPostgresError, systemErrorCode } from "../errors.ts";
import { describeProcess } from "../system/processes.ts";
import { type Layout, unusable } from "./layout.ts";

/** The lock of a data folder. The kernel releases it when its process ends, however that ends. */
export interface FolderLock {
  release(): void;
}

/** The holder of the lock: a guardian, and its scheduler. */
interface Holder {
  guardianPid: number;
  schedulerPid: number;
  schedulerStarted: string;
}

/**
 * The guardian of a killed scheduler needs this long at most to stop its database (see `server.ts`), and the
 * next start waits for it.
 */
const PREVIOUS_GUARDIAN_MS = 50_000;

/** Between taking the lock and writing its holder pass a few milliseconds; a holder unknown for longer is foreign. */
const UNKNOWN_HOLDER_MS = 3_000;

/**
 * Locks the data folder for the guardian of `schedulerPid`. Waits when the scheduler of the present holder has ended,
 * since that holder is stopping.
 *
 * Node has no `flock`. SQLite's lock on an empty file is the only lock of the standard library that the kernel releases
 * with its holder; nothing is ever written to the file.
 *
 * @throws EmbeddedPostgresError `ALREADY_RUNNING`, or `FOLDER_UNUSABLE` when the file cannot be created
 */
export async function lockFolder(
  layout: Layout,
  schedulerPid: number,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<FolderLock> {
  const lock = tryLock(layout) ?? (await waitForLock(layout, log, signal));
  try {
    await writeHolder(layout, schedulerPid);
  } catch (error) {
    lock.release();
    throw unusable(layout.holder, "write", error);
  }
  return lock;
}

async function waitForLock(
  layout: Layout,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<FolderLock> {
  const lockOrHolder = async () => tryLock(layout) ?? (await livingHolder(layout));
  const found = await pollFor(lockOrHolder, { everyMs: 50, withinMs: UNKNOWN_HOLDER_MS, signal });
  if (!found) throw alreadyRunning(layout, undefined);
  if ("release" in found) return found;

  const scheduler = await describeProcess(found.schedulerPid);
  if (scheduler?.started === found.schedulerStarted) throw alreadyRunning(layout, found);
  log(`waiting for the database of the ended scheduler (pid ${found.schedulerPid}) to stop`);
  const lock = await pollFor(() => tryLock(layout), { everyMs: 50, withinMs: PREVIOUS_GUARDIAN_MS, signal });
  if (!lock) throw alreadyRunning(layout, found);
  return lock;
}

function alreadyRunning(layout: Layout, holder: Holder | undefined): EmbeddedPostgresError {
  const who = holder
    ? `by the scheduler with pid ${holder.schedulerPid} (the guardian of its database has pid ${holder.guardianPid})`
    : `by a process that has not said who it is in ${layout.holder}`;
  return new EmbeddedPostgresError(
    "ALREADY_RUNNING",
    `The data folder ${layout.dataDir} is in use ${who}. Stop that scheduler, or give this one another data folder.`,
  );
}

const SQLITE_BUSY = 5;

function tryLock(layout: Layout): FolderLock | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(layout.lock);
    database.exec("pragma journal_mode = off; begin exclusive");
    const locked = database;
    return {
      release: () => {
        if (locked.isOpen) locked.close();
      },
    };
  } catch (error) {
    if (database?.isOpen) database.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return undefined;
    throw unusable(layout.lock, "lock", error);
  }
}

async function writeHolder(layout: Layout, schedulerPid: number): Promise<void> {
  const scheduler = await describeProcess(schedulerPid);
  const holder: Holder = {
    guardianPid: process.pid,
    schedulerPid,
    schedulerStarted: scheduler?.started ?? "",
  };
  // By a rename, so that no reader gets a part of it.
  await writeFile(`${layout.holder}.new`, `${JSON.stringify(holder)}\n`);
  await rename(`${layout.holder}.new`, layout.holder);
}

/** The holder from the file, unless the file is of an earlier holder: it outlives its writer. */
async function livingHolder(layout: Layout): Promise<Holder | undefined> {
  let text: string;
  try {
    text = await readFile(layout.holder, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw unusable(layout.holder, "read", error);
  }
  const value = parse(text);
  if (!isHolder(value)) return undefined;
  return (await describeProcess(value.guardianPid)) ? value : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // An edited file is treated as a missing one, which the caller reports.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isHolder(value: unknown): value is Holder {
  return (
    typeof value === "object" &&
    value !== null &&
    "guardianPid" in value &&
    typeof value.guardianPid === "number" &&
    "schedulerPid" in value &&
    typeof value.schedulerPid === "number" &&
    "schedulerStarted" in value &&
    typeof value.schedulerStarted === "string"
  );
}
