import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { EmbeddedPostgresError, type EmbeddedPostgresErrorCode, messageOf } from "../errors.ts";

/** As the system, SQLite (which locks the folder) and PostgreSQL say it. */
const NO_SPACE = /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT|database or disk is full/i;

/** With less, nothing can be started, however the failure is worded. */
const NONE_BYTES = 1024 ** 2;

/** Failures that a full disk may be behind without being named. */
const MAY_BE_SPACE: readonly EmbeddedPostgresErrorCode[] = ["FOLDER_UNUSABLE", "INIT_FAILED", "START_FAILED"];

/** What a new cluster takes, about. */
const NEW_CLUSTER_MB = 60;

/** True for an error that says that nothing more fits. */
export function saysFull(error: unknown): boolean {
  return NO_SPACE.test(messageOf(error));
}

/** The error of a start that failed, told as a full disk when it is one. */
export async function withDiskSpace(error: unknown, dataDir: string): Promise<unknown> {
  const free = await freeBytes(dataDir);
  const message = messageOf(error);
  const mayBeSpace = error instanceof EmbeddedPostgresError && MAY_BE_SPACE.includes(error.code);
  if (!saysFull(error) && !(mayBeSpace && free !== undefined && free < NONE_BYTES)) return error;
  const room = free === undefined ? "" : `: ${free} bytes are free`;
  return new EmbeddedPostgresError(
    "DISK_FULL",
    `The disk of the data folder ${dataDir} is full${room}. Free space there (a new database takes about ` +
      `${NEW_CLUSTER_MB} MB), or choose another folder with --data-dir. What failed: ${message}`,
    { cause: error },
  );
}

/** Of the folder's file system, or of the nearest parent that is there; undefined when it cannot be asked. */
async function freeBytes(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch {
      // It is not there yet.
      if (dirname(at) === at) return undefined;
    }
  }
}
