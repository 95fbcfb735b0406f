/** Kinds of refusal, one for each gRPC code that Muster answers with. */
export type RefusalKind =
  | "invalid"
  | "not_found"
  | "precondition"
  | "unauthenticated"
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

  constructor(message: string, outcomeUnknown: boolean, cause: unknown) {
    super(message, { cause });
    this.outcomeUnknown = outcomeUnknown;
  }
}

/** One statement took longer than any may; nothing of it was applied. The database may be well otherwise. */
export class StatementTimeoutError extends DatabaseUnavailableError {}

/** True for the database's absence, which the watch on it tells once for all. */
export function isAbsence(error: unknown): boolean {
  return error instanceof DatabaseUnavailableError && !(error instanceof StatementTimeoutError);
}
