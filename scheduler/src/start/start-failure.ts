/** What the log keeps of the error that ended a scheduler: a stack only where the program itself is at fault. */
import { EmbeddedPostgresError } from "@muster/embedded-postgres";
import { DatabaseUnavailableError, OperatorError, Refusal } from "../domain/errors.ts";
import { SharedSessionError } from "../store/postgres/connection/pooler.ts";
import { DatabaseUrlError } from "../store/postgres/connection/url/database-url.ts";
import { SchemaMismatchError } from "../store/postgres/schema/migrate.ts";
import { MissingRightsError } from "../store/postgres/schema/rights.ts";

/** Errors whose message has the remedy for an operator. Any other error is a bug, which needs its stack. */
const OPERATOR_ERRORS = [
  OperatorError,
  Refusal,
  DatabaseUnavailableError,
  DatabaseUrlError,
  SharedSessionError,
  EmbeddedPostgresError,
  SchemaMismatchError,
  MissingRightsError,
] as const;

/** The `error` field of `scheduler.failed`. */
export function startFailure(error: unknown): unknown {
  if (!(error instanceof Error) || !OPERATOR_ERRORS.some((type) => error instanceof type)) return error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  return { type: error.name, ...code, message: error.message };
}
