/** Recognises a full disk behind the failure of a start. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { EmbeddedPostgresError, type EmbeddedPostgresErrorCode, messageOf } from "../errors.ts";

/** Messages of the system, of SQLite (which locks the folder) and of PostgreSQL. */
const NO_SPACE = /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT|database or disk is full/i;

/** With less free space no start succeeds, whatever its message is. */
const NONE_BYTES = 1024 ** 2;

/** Failures that a full disk may cause without naming it. */
const MAY_BE_SPACE: readonly EmbeddedPostgresErrorCode[] = ["FOLDER_UNUSABLE", "INIT_FAILED", "START_FAILED"];

/** The size of a new cluster, about. */
const NEW_CLUSTER_MB = 60;

/** True for an error whose message names a full disk. */
export function saysFull(error: unknown): boolean {
  return NO_SPACE.test(messageOf(error));
}

/** The error of a failed start, as `DISK_FULL` when the disk is full. */
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

/** Free bytes of the folder's file system, or of that of its nearest existing parent; undefined when unknown. */
async function freeBytes(folder: string): Promise<number | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch {
      // The folder does not exist yet.
      if (dirname(at) === at) return undefined;
    }
  }
}
