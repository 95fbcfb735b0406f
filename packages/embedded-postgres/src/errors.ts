/**
 * Causes why an embedded PostgreSQL could not be started. The message of the error has the remedy.
 *
 * - `INVALID_OPTION`: an argument is out of its range.
 * - `UNSUPPORTED_PLATFORM`: there is no embedded PostgreSQL for this operating system or processor.
 * - `BINARIES_UNUSABLE`: the programs of PostgreSQL are missing, incomplete or do not run here.
 * - `NO_ACCOUNT`: the scheduler runs as root, and no other account exists, could be created or may be used.
 * - `FOLDER_UNREACHABLE`: the account that runs PostgreSQL cannot enter a parent of the data folder.
 * - `FOLDER_UNUSABLE`: the data folder cannot be created, read or written.
 * - `DISK_FULL`: the disk of the data folder is full.
 * - `FOREIGN_FILES`: the folder holds files that are not Muster's; nothing was touched.
 * - `WRONG_OWNER`: the data belongs to another user.
 * - `VERSION_MISMATCH`: the data is of another major version of PostgreSQL.
 * - `DAMAGED_CLUSTER`: the data folder has lost parts that PostgreSQL needs.
 * - `ALREADY_RUNNING`: a living scheduler holds the data folder.
 * - `ORPHAN_SURVIVES`: a PostgreSQL left by a killed scheduler could not be stopped.
 * - `PORT_TAKEN`: another program listens on the port.
 * - `PASSWORD_REJECTED`: the password file does not hold the password of this data.
 * - `INIT_FAILED`: `initdb` failed.
 * - `START_FAILED`: PostgreSQL ended, or did not become ready in time.
 * - `GUARDIAN_FAILED`: the guardian process of PostgreSQL ended unexpectedly.
 * - `ABORTED`: the caller's signal cancelled the start.
 */
export const embeddedPostgresErrorCodes = [
  "INVALID_OPTION",
  "UNSUPPORTED_PLATFORM",
  "BINARIES_UNUSABLE",
  "NO_ACCOUNT",
  "FOLDER_UNREACHABLE",
  "FOLDER_UNUSABLE",
  "DISK_FULL",
  "FOREIGN_FILES",
  "WRONG_OWNER",
  "VERSION_MISMATCH",
  "DAMAGED_CLUSTER",
  "ALREADY_RUNNING",
  "ORPHAN_SURVIVES",
  "PORT_TAKEN",
  "PASSWORD_REJECTED",
  "INIT_FAILED",
  "START_FAILED",
  "GUARDIAN_FAILED",
  "ABORTED",
] as const;

/** See {@link embeddedPostgresErrorCodes}. */
export type EmbeddedPostgresErrorCode = (typeof embeddedPostgresErrorCodes)[number];

/** The only error that starting an embedded PostgreSQL rejects with. */
export class EmbeddedPostgresError extends Error {
  override readonly name = "EmbeddedPostgresError";
  /** The cause, for programs. */
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The code of a system error (`ENOENT`, `EACCES`), or undefined for any other value. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
