/** Wraps handlers with the check of the database. */
import type { CallContext } from "./handlers.ts";

type Unary = (request: never, context: CallContext) => Promise<unknown>;

/**
 * The handlers with every one but `exempt` run through `run`, which keeps callers from waiting for a database
 * that is away. Exempt are streams, which end by themselves, and what answers without a database.
 */
export function guarded<H extends object>(
  handlers: H,
  exempt: ReadonlySet<keyof H>,
  run: <T>(work: () => Promise<T>) => Promise<T>,
): H {
  const entries = Object.entries(handlers).map(([name, handler]) => {
    if (exempt.has(name as keyof H)) return [name, handler] as const;
    const unary = handler as Unary;
    return [name, ((request, context) => run(() => unary(request, context))) satisfies Unary] as const;
  });
  return Object.fromEntries(entries) as H;
}
