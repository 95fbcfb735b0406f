/** The errors that a task declares: codes with the schemas of their details. */
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { NonRetryableError, RetryableError } from "../errors.ts";
import {
  check,
  describeIssues,
  isSchema,
  type Schema,
  type SchemaInput,
  type SchemaOutput,
} from "./schema.ts";

/**
 * An error that a task declares.
 *
 * @example
 * ```ts
 * const busy: ErrorDeclaration = { details: z.object({ queued: z.number() }), retryable: true, retryAfterS: 30 };
 * ```
 */
export interface ErrorDeclaration {
  /**
   * Standard Schema of the details; it has to validate without a promise.
   * @default the error has no details
   */
  readonly details?: Schema;
  /** True: the attempt is followed by another one under the task's retry policy. @default false */
  readonly retryable?: boolean;
  /** Shortest delay before the next attempt, in seconds. @default the task's retry policy alone */
  readonly retryAfterS?: number;
}

/** Errors by code, each a declaration or just the schema of its details. */
export type ErrorDeclarations = Readonly<Record<string, Schema | ErrorDeclaration>>;

/** The schema of an error's details; `undefined` when it has none. */
type DetailsSchema<E> = E extends Schema
  ? E
  : E extends { readonly details: infer S extends Schema }
    ? S
    : undefined;

/** Type of the details that the caller gets. */
export type DetailsOf<E> = DetailsSchema<E> extends infer S extends Schema ? SchemaOutput<S> : undefined;

/** Options of `TaskContract.error()`. */
export interface DeclaredErrorOptions {
  /** One sentence without secrets: operators see it. @default the code and the type of the task */
  readonly message?: string;
  /** Shortest delay before the next attempt, in seconds. @default that of the declaration */
  readonly retryAfterS?: number;
  /** The error behind it. @default none */
  readonly cause?: unknown;
}

/** What follows the code in `TaskContract.error()`: the details where the error has some, and options. */
export type DeclaredErrorArguments<E> =
  DetailsSchema<E> extends infer S extends Schema
    ? [details: SchemaInput<S>, options?: DeclaredErrorOptions]
    : [details?: undefined, options?: DeclaredErrorOptions];

/** The faults of declarations, as sentences. */
export function declarationFaults(errors: ErrorDeclarations): string[] {
  return Object.entries(errors).flatMap(([code, declared]) => {
    const option = `option errors.${code}`;
    if (!FAILURE_CODE.test(code)) return [`${option}: the code must match ${FAILURE_CODE.source}`];
    if (isSchema(declared)) return [];
    if (typeof declared !== "object" || declared === null)
      return [
        `${option}: is ${typeof declared}; give a Standard Schema or { details, retryable, retryAfterS }`,
      ];
    const { details, retryable = false, retryAfterS } = declared;
    const faults: string[] = [];
    if (details !== undefined && !isSchema(details))
      faults.push(`${option}.details: is not a Standard Schema (zod, valibot, arktype, ...)`);
    if (typeof retryable !== "boolean")
      faults.push(`${option}.retryable: ${String(retryable)} is not a boolean`);
    if (retryAfterS !== undefined && !(typeof retryAfterS === "number" && retryAfterS >= 0))
      faults.push(`${option}.retryAfterS: ${String(retryAfterS)} is not a number of seconds from 0`);
    if (retryAfterS !== undefined && !retryable)
      faults.push(`${option}.retryAfterS: needs retryable: true; without it no attempt follows`);
    return faults;
  });
}

/**
 * Makes the error that a handler throws.
 *
 * @throws NonRetryableError `INVALID_ERROR_DETAILS` when the details do not fit their schema, TypeError for a code that
 * is not declared.
 */
export function declaredError(
  type: string,
  errors: ErrorDeclarations,
  code: string,
  details: unknown,
  options: DeclaredErrorOptions = {},
): NonRetryableError | RetryableError {
  const declared = declarationOf(errors, code);
  if (declared === undefined) {
    const known = Object.keys(errors).join(", ") || "none";
    throw new TypeError(`Task ${type}: "${code}" is not a declared error; declared are: ${known}.`);
  }
  const { details: schema, retryable = false, retryAfterS } = declared;
  if (schema !== undefined) {
    const fault = detailsFault(schema, details);
    if (fault !== undefined)
      throw new NonRetryableError(`The details of ${code} do not fit their schema: ${fault}`, {
        code: "INVALID_ERROR_DETAILS",
        cause: options.cause,
      });
  }
  const { message = `${type} failed with ${code}`, cause } = options;
  const given = { code, cause, ...(schema === undefined ? {} : { details }) };
  if (!retryable) return new NonRetryableError(message, given);
  const delayS = options.retryAfterS ?? retryAfterS;
  return new RetryableError(message, { ...given, ...(delayS === undefined ? {} : { retryAfterS: delayS }) });
}

/**
 * Reads the details of a failure with this code as the caller gets them; undefined when the code is not declared or the
 * details do not fit.
 */
export function readDetails(
  errors: ErrorDeclarations,
  code: string,
  details: unknown,
): { readonly details: unknown } | undefined {
  const declared = declarationOf(errors, code);
  if (declared === undefined) return undefined;
  if (declared.details === undefined) return { details: undefined };
  try {
    const checked = check(declared.details, details);
    return checked instanceof Promise || checked.issues !== undefined
      ? undefined
      : { details: checked.value };
  } catch {
    // A schema that throws accepts nothing; the failure itself is reported without details of a known type.
    return undefined;
  }
}

function declarationOf(errors: ErrorDeclarations, code: string): ErrorDeclaration | undefined {
  const declared = Object.hasOwn(errors, code) ? errors[code] : undefined;
  return isSchema(declared) ? { details: declared } : declared;
}

function detailsFault(schema: Schema, details: unknown): string | undefined {
  const checked = check(schema, details);
  if (checked instanceof Promise) {
    checked.catch(() => {
      // That it is a promise is what is reported.
    });
    return "the schema validates with a promise; use one that does not";
  }
  return checked.issues === undefined ? undefined : describeIssues(checked.issues);
}
