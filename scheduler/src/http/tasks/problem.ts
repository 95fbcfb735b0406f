/** What is wrong with a request, or why a task has no result, as JSON in words. */
import { Refusal, type RefusalKind } from "../../domain/errors.ts";
import { INTERNAL, toRefusal } from "../../rpc/server/errors.ts";
import { outgoingText } from "../../rpc/server/outgoing.ts";

/** Parameters that are listed one by one. */
const MAX_VIOLATIONS = 10;

/** Body of an answer that says why not. */
export interface ProblemBody {
  /** Stable upper-case code; of a failed task that of its failure. */
  readonly code: string;
  /** One sentence: what was wrong, what is allowed, what to do. */
  readonly message: string;
  readonly [more: string]: unknown;
}

/** An answer that says why not. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly body: ProblemBody;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, body: ProblemBody, headers: Readonly<Record<string, string>> = {}) {
    super(body.message);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

const STATUS: Readonly<Record<RefusalKind, number>> = {
  invalid: 400,
  not_found: 404,
  precondition: 409,
  unauthenticated: 401,
  forbidden: 403,
  aborted: 409,
  exhausted: 429,
  unavailable: 503,
  unimplemented: 501,
  deadline: 504,
};

/** Refusals with a more exact status than that of their kind. */
const STATUS_OF_REASON: Readonly<Record<string, number>> = { PAYLOAD_TOO_LARGE: 413 };

/**
 * The answer to a request that failed.
 *
 * @param nameOf How the caller named the field of a refusal.
 */
export function toProblem(error: unknown, nameOf: (field: string) => string): Problem {
  if (error instanceof Problem) return error;
  const refusal = toRefusal(error);
  if (!refusal) return new Problem(500, { code: "INTERNAL", message: INTERNAL });
  const violations = refusal.violations.slice(0, MAX_VIOLATIONS).map(({ field, description }) => ({
    field: nameOf(field),
    message: outgoingText(description),
  }));
  const [first] = violations;
  const more = refusal.violationCount > 1 ? ` (and ${refusal.violationCount - 1} more)` : "";
  return new Problem(
    STATUS_OF_REASON[refusal.reason] ?? STATUS[refusal.kind],
    {
      code: refusal.reason,
      message: first ? `${first.field} ${first.message}${more}` : outgoingText(refusal.message),
      ...(first ? { violations } : {}),
    },
    {
      ...(refusal.kind === "unauthenticated" ? { "www-authenticate": 'Bearer realm="muster"' } : {}),
      ...(refusal.retryDelayMs === undefined
        ? {}
        : { "retry-after": String(Math.ceil(refusal.retryDelayMs / 1_000)) }),
    },
  );
}

/** A request that cannot be read. */
export function badRequest(message: string, status = 400, code = "INVALID_REQUEST"): Problem {
  return new Problem(status, { code, message });
}

/** True for a fault of the scheduler's own, which belongs in its log. */
export function isOwnFault(error: unknown): boolean {
  return !(error instanceof Problem) && !(error instanceof Refusal) && toRefusal(error) === undefined;
}
