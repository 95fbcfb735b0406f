/** Errors of the domain: refusals, and faults of the database. */
import type { DatabaseCondition } from "./database/database-condition.ts";

/** Kinds of refusal, one for each gRPC code that Muster answers with. */
export type RefusalKind =
  | "invalid"
  | "not_found"
  | "precondition"
  | "unauthenticated"
  | "forbidden"
  | "aborted"
  | "exhausted"
  | "unavailable"
  | "unimplemented"
  | "deadline";

/** One bad field of a request. */
export interface Violation {
  /** Path of the field, for example `tasks[3].type`. */
  readonly field: string;
  /** What was wrong with which value, and what is allowed. */
  readonly description: string;
}

/**
 * A request that is refused. `reason` is the stable `google.rpc.ErrorInfo` reason; the message says what
 * was wrong, what is allowed and what to do.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly kind: RefusalKind;
  readonly reason: string;
  readonly violations: readonly Violation[];
  /** How many there were, when not all are in `violations`. */
  readonly violationCount: number;
  /** Wait before trying again, when that makes sense. */
  readonly retryDelayMs: number | undefined;

  constructor(
    kind: RefusalKind,
    reason: string,
    message: string,
    options: {
      violations?: readonly Violation[];
      violationCount?: number;
      retryDelayMs?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.reason = reason;
    this.violations = options.violations ?? [];
    this.violationCount = options.violationCount ?? this.violations.length;
    this.retryDelayMs = options.retryDelayMs;
  }
}

/**
 * The database cannot be reached or refuses to work. `outcomeUnknown` is true when a statement had been
 * sent and may have been committed.
 */
export class DatabaseUnavailableError extends Error {
  override readonly name = "DatabaseUnavailableError";
  readonly outcomeUnknown: boolean;
  readonly condition: DatabaseCondition;

  constructor(
    message: string,
    outcomeUnknown: boolean,
    cause: unknown,
    condition: DatabaseCondition = "unreachable",
  ) {
    super(message, { cause });
    this.outcomeUnknown = outcomeUnknown;
    this.condition = condition;
  }
}

/** One statement took longer than any may; nothing of it was applied. The database may be well otherwise. */
export class StatementTimeoutError extends DatabaseUnavailableError {}

/**
 * The database answers and refuses one statement for a reason that is not known to be its data's: other
 * statements, or the same with other rows, may work.
 */
export class StatementRefusedError extends DatabaseUnavailableError {}

/** The database cannot store the values of a row: it would refuse the same row every time. */
export class UnstorableError extends Error {
  override readonly name = "UnstorableError";
}

/**
 * True when the rows of a statement may be why it failed, so that others may be taken. Only for `UnstorableError` is it
 * known that they are.
 */
export function mayBeOfRows(error: unknown): boolean {
  return !(error instanceof DatabaseUnavailableError) || error instanceof StatementRefusedError;
}

/** True for the database's absence, which its watch logs once for all. */
export function isAbsence(error: unknown): boolean {
  return (
    error instanceof DatabaseUnavailableError &&
    !(error instanceof StatementTimeoutError || error instanceof StatementRefusedError)
  );
}

/**
 * What keeps a scheduler from starting and an operator can change: a taken port, a certificate that cannot be read. The
 * message is one sentence with the remedy.
 */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
}

/**
 * A port that cannot be opened.
 *
 * @param address `host:port`. @param protocol What is served there. @param flag The setting of the address.
 */
export function listenError(
  address: string,
  protocol: string,
  flag: string,
  cause: Error & { readonly code?: string },
): OperatorError {
  return new OperatorError(
    `cannot listen on ${address} for ${protocol}: ${cause.message}; ${listenRemedy(cause.code)}, or choose another address with ${flag}`,
    { cause },
  );
}

function listenRemedy(code: string | undefined): string {
  switch (code) {
    case "EADDRINUSE":
      return "stop the program that uses the port";
    case "EADDRNOTAVAIL":
      return "use an address of this machine";
    case "EACCES":
      return "ports below 1024 need the capability CAP_NET_BIND_SERVICE";
    case "ENOTFOUND":
      return "use a host name that resolves";
    default:
      return "check the address";
  }
}

/** Classes with keys that were deleted, or are about to be, because no task was in them: they are resolved again. */
export class ClassesGoneError extends Error {
  override readonly name = "ClassesGoneError";
  readonly classIds: readonly number[];

  constructor(classIds: readonly number[]) {
    super(`the classes ${classIds.slice(0, 10).join(", ")} are not in use any more`);
    this.classIds = classIds;
  }
}
