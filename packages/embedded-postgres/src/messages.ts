import {
  EmbeddedPostgresError,
  type EmbeddedPostgresErrorCode,
  embeddedPostgresErrorCodes,
} from "./errors.ts";
import type { Exit } from "./system/run.ts";

/** The order that a guardian works on; it takes one in its life. */
export interface StartOrder {
  type: "start";
  /** The wanted data folder, absolute. */
  dataDir: string;
  /** The port to listen on; undefined: a free one. */
  port?: number | undefined;
  /** The process that uses the database. */
  schedulerPid: number;
  /** Where root keeps what cannot stay where it was wanted. */
  stateRoot: string;
}

/** What the scheduler tells its guardian. A closed channel means stop, too. */
export type ToGuardian = StartOrder | { type: "stop" };

/** A database that takes connections. */
export interface ReadyFacts {
  url: string;
  /** The folder in use, which differs from the wanted one when that is out of the account's reach. */
  dataDir: string;
  port: number;
  version: string;
  /** The process id of the postmaster. */
  pid: number;
}

/** What a guardian tells its scheduler. */
export type FromGuardian =
  | { type: "log"; line: string }
  | ({ type: "ready" } & ReadyFacts)
  | { type: "failed"; code: EmbeddedPostgresErrorCode; message: string }
  | ({ type: "exited" } & Exit);

/**
 * Tells the channel's messages from others: another library in the parent may send its own.
 * Both ends are the same release, so that the type alone decides.
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

/** An error as a message. What is not an `EmbeddedPostgresError` is a fault of the guardian itself. */
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
