/** Messages between the scheduler and the guardian of its PostgreSQL. */
import {
  EmbeddedPostgresError,
  type EmbeddedPostgresErrorCode,
  embeddedPostgresErrorCodes,
} from "./errors.ts";
import type { Exit } from "./system/run.ts";

/** The order to start a database; a guardian handles one. */
export interface StartOrder {
  type: "start";
  /** The wanted data folder, absolute. */
  dataDir: string;
  /** The port to listen on; undefined: a free one. */
  port?: number | undefined;
  /** The process that uses the database. */
  schedulerPid: number;
  /** The folder for data of root that cannot be at the wanted place. */
  stateRoot: string;
}

/** A message to the guardian. A closed channel means stop, too. */
export type ToGuardian = StartOrder | { type: "stop" };

/** The database accepts connections. */
export interface ReadyFacts {
  url: string;
  /** The folder in use, which differs from the wanted one when the account cannot reach that. */
  dataDir: string;
  port: number;
  version: string;
  /** The process id of the postmaster. */
  pid: number;
}

/** A message from the guardian. */
export type FromGuardian =
  | { type: "log"; line: string }
  | ({ type: "ready" } & ReadyFacts)
  | { type: "failed"; code: EmbeddedPostgresErrorCode; message: string }
  | ({ type: "exited" } & Exit);

/**
 * True for a message of this channel; another library in the parent may send its own. Both ends are the same release, so
 * the type alone decides.
 */
export function isToGuardian(value: unknown): value is ToGuardian {
  return hasType(value) && (value.type === "start" || value.type === "stop");
}

/** See {@link isToGuardian}. */
export function isFromGuardian(value: unknown): value is FromGuardian {
  if (!hasType(value)) return false;
  return ["log", "ready", "failed", "exited"].some((type) => type === value.type);
}

function hasType(value: unknown): value is { type: unknown } {
  return typeof value === "object" && value !== null && "type" in value;
}

/** An error as a message. An error of another class is a fault of the guardian itself. */
export function failed(error: unknown): FromGuardian {
  if (error instanceof EmbeddedPostgresError)
    return { type: "failed", code: error.code, message: error.message };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { type: "failed", code: "GUARDIAN_FAILED", message: `The guardian of PostgreSQL failed: ${text}` };
}

/** The error of a `failed` message. */
export function toError(message: { code: string; message: string }): EmbeddedPostgresError {
  const code = embeddedPostgresErrorCodes.find((known) => known === message.code) ?? "GUARDIAN_FAILED";
  return new EmbeddedPostgresError(code, message.message);
}
