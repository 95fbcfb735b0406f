/** Converts errors of the driver to errors of the domain. */
import { DATABASE_CONDITIONS, type DatabaseCondition } from "../../../domain/database/database-condition.ts";
import {
  DatabaseUnavailableError,
  StatementRefusedError,
  StatementTimeoutError,
  UnstorableError,
} from "../../../domain/errors.ts";
import { conditionOf, isSqlState } from "./conditions.ts";

/** Muster's own timeout, or an administrator's pg_cancel_backend. */
const QUERY_CANCELED = "57014";

/** Conflicts between transactions: nothing was applied, and a second try is correct. */
const CONFLICT_STATES = new Set(["40001", "40P01"]);

/**
 * Errors that only the values of a row can cause: class 22 without those that a setting or a sequence causes too
 * (22023, 2200H). A missing code costs a wait; one too many would cost a result.
 */
const DATA_STATES = new Set([
  ...["22000", "22001", "22003", "22004", "22007", "22008", "2200B", "2200C", "2200D", "2200F", "2200G"],
  ...["2200L", "2200M", "2200N", "2200S", "2200T", "22021", "22026", "2202E", "2202H", "22030", "22031"],
  ...["22032", "22033", "22034", "22035", "22036", "22037", "22038", "22039", "2203A", "2203B", "2203C"],
  ...["2203D", "2203E", "2203F", "2203G", "22P01", "22P02", "22P03", "22P05"],
]);

/** SQLSTATEs that prove that the statement was not applied, whatever sent them. */
const NOT_APPLIED_STATES = new Set([
  ...["25006", "25P02", "25P03", "28000", "28P01", "3D000", "53300", QUERY_CANCELED, "57P03"],
]);

/** Errors of the whole database, although one statement was refused: every other write fails in the same way. */
const OF_ALL_STATEMENTS: ReadonlySet<DatabaseCondition> = new Set([
  ...(["disk_full", "read_only", "starting", "too_many_connections", "login_refused"] as const),
  ...(["password_refused", "no_database", "session_ended", "unreachable"] as const),
]);

/** Conditions of a statement that leave the connection usable. */
const SPARES_CONNECTION: ReadonlySet<DatabaseCondition> = new Set([
  ...(["disk_full", "out_of_memory", "no_permission", "locked", "schema", "refused"] as const),
]);

/** The severity ERROR as PostgreSQL writes it in the languages of its messages (lc_messages). */
const ERROR_WORDS = new Set([
  ...["ERROR", "FEHLER", "ERREUR", "ERRORE", "ERRO", "FEL", "BŁĄD", "CHYBA", "HATA", "ОШИБКА", "ПОМИЛКА"],
  ...["ΣΦΑΛΜΑ", "შეცდომა", "エラー", "错误", "오류"],
]);

/** True for a serialization failure or a deadlock. */
export function isConflict(error: unknown): boolean {
  return CONFLICT_STATES.has(codeOf(error));
}

/**
 * True when the values of a row cannot be stored, so that the same row would be refused every time. A
 * violation of class 23 is one when it names the constraint or the column: a missing partition names neither.
 */
export function isDataError(error: unknown): boolean {
  const code = codeOf(error);
  if (DATA_STATES.has(code)) return true;
  return code.startsWith("23") && (hasText(error, "constraint") || hasText(error, "column"));
}

/** True when the connection that gave this error must not be used again. */
export function poisonsConnection(error: unknown): boolean {
  if (!isOfDatabase(error)) return false;
  const code = codeOf(error);
  if (!isSqlState(code) || isFatal(error)) return true;
  // A plan that no longer fits its tables is prepared again on another connection.
  if (code === "0A000") return true;
  return !SPARES_CONNECTION.has(conditionOf(code, messageOf(error)));
}

/**
 * Translates an error of `pg` into one of the domain. By default it is an error of the database; one of a row's data is
 * an `UnstorableError`; a conflict and a fault of this program are returned unchanged.
 *
 * @param sent True when a statement was under way, so that its outcome may be unknown.
 */
export function translateError(error: unknown, sent: boolean): unknown {
  if (isDataError(error))
    return new UnstorableError(`the database cannot store a value: ${messageOf(error)} (${codeOf(error)})`, {
      cause: error,
    });
  if (!isOfDatabase(error)) return error;
  const code = codeOf(error);
  const condition = conditionOf(code, messageOf(error));
  const words = `${DATABASE_CONDITIONS[condition].says}: ${messageOf(error)}${code ? ` (${code})` : ""}`;
  const Kind = kindOf(error, code, condition, sent);
  return new Kind(`the database cannot be used: ${words}`, sent && !isCertain(error, code), error, condition);
}

function kindOf(error: unknown, code: string, condition: DatabaseCondition, sent: boolean) {
  if (code === QUERY_CANCELED) return StatementTimeoutError;
  const answered = sent && isSqlState(code) && !isFatal(error);
  return answered && !OF_ALL_STATEMENTS.has(condition) ? StatementRefusedError : DatabaseUnavailableError;
}

/** True when it is certain that nothing of the statement was applied. */
function isCertain(error: unknown, code: string): boolean {
  return (
    NOT_APPLIED_STATES.has(code) ||
    (isSqlState(code) && !isFatal(error) && textOf(error, "severity") !== undefined)
  );
}

function isOfDatabase(error: unknown): boolean {
  if (error instanceof DatabaseUnavailableError || error instanceof UnstorableError) return false;
  if (isConflict(error) || isDataError(error)) return false;
  if (!(error instanceof Error)) return false;
  // Faults of this program: a value that cannot be encoded or read, an undefined property.
  const isFault = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  return !isFault && !(error instanceof ReferenceError) && error.name !== "AssertionError";
}

/** FATAL and PANIC end the session. An unknown severity counts as one of them, which is the safer mistake. */
function isFatal(error: unknown): boolean {
  const severity = textOf(error, "severity");
  return severity !== undefined && !ERROR_WORDS.has(severity);
}

/** SQLSTATE, else the code of the system or the driver, of the first of several tries; empty when there is none. */
export function codeOf(error: unknown): string {
  const own = textOf(error, "code");
  if (own !== undefined) return own;
  if (error instanceof DatabaseUnavailableError || error instanceof UnstorableError)
    return codeOf(error.cause);
  if (!(error instanceof AggregateError)) return "";
  for (const each of error.errors) if (codeOf(each) !== "") return codeOf(each);
  return "";
}

/** The failed dials of all addresses of a name are one error without a message. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "")
    return error.errors
      .map(messageOf)
      .filter((text, index, all) => all.indexOf(text) === index)
      .join("; ");
  return error instanceof Error ? error.message : String(error);
}

function textOf(error: unknown, field: "code" | "severity" | "constraint" | "column"): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const value: unknown = Reflect.get(error, field);
  return typeof value === "string" ? value : undefined;
}

function hasText(error: unknown, field: "constraint" | "column"): boolean {
  return (textOf(error, field) ?? "") !== "";
}

/** The label of an error in the metrics: SQLSTATE, else the code of the system or the driver. */
export function errorCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof DatabaseUnavailableError ? "UNAVAILABLE" : "UNKNOWN";
}
