import { DatabaseUnavailableError, StatementTimeoutError } from "../../domain/errors.ts";

/** Our own timeout, or somebody's pg_cancel_backend. */
const QUERY_CANCELED = "57014";

/** SQLSTATE classes and codes after which the same statement may work on another connection. */
const UNAVAILABLE_STATES = new Set([
  "25006", // read_only_sql_transaction: a fail-over left us on a replica
  "25P03", // idle_in_transaction_session_timeout
  "53300", // too_many_connections
  QUERY_CANCELED,
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
]);

/** Conflicts between transactions: nothing was applied, and trying again is right. */
const CONFLICT_STATES = new Set(["40001", "40P01"]);

/** States that say for certain that the statement was not applied. */
const NOT_APPLIED_STATES = new Set(["25006", "25P03", "53300", QUERY_CANCELED, "57P03"]);

const SOCKET_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

const LOST_CONNECTION =
  /Connection terminated|Query read timeout|connection timeout|timeout exceeded when trying to connect|not queryable|Client was closed|pool after calling end/i;

/** True for a serialization failure or a deadlock. */
export function isConflict(error: unknown): boolean {
  return CONFLICT_STATES.has(codeOf(error));
}

/** True when the connection that gave this error must not be used again. */
export function poisonsConnection(error: unknown): boolean {
  return isUnavailable(error);
}

/**
 * Turns what `pg` throws into the domain's words; other errors (a bug in a statement, a violated
 * constraint) come back unchanged.
 *
 * @param sent True when a statement was under way, so that its outcome may be unknown.
 */
export function translateError(error: unknown, sent: boolean): unknown {
  if (error instanceof DatabaseUnavailableError || !isUnavailable(error)) return error;
  const code = codeOf(error);
  const outcomeUnknown = sent && !NOT_APPLIED_STATES.has(code);
  const message = error instanceof Error ? error.message : String(error);
  const Kind = code === QUERY_CANCELED ? StatementTimeoutError : DatabaseUnavailableError;
  return new Kind(
    `the database cannot be used: ${message}${code ? ` (${code})` : ""}`,
    outcomeUnknown,
    error,
  );
}

function isUnavailable(error: unknown): boolean {
  const code = codeOf(error);
  if (code.startsWith("08") || UNAVAILABLE_STATES.has(code) || SOCKET_CODES.has(code)) return true;
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  return error instanceof Error && code === "" && LOST_CONNECTION.test(error.message);
}

/** SQLSTATE or the driver's code; empty when there is none. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : "";
}
