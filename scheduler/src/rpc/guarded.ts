import type { CallContext } from "./handlers.ts";

type Unary = (request: never, context: CallContext) => Promise<unknown>;

/**
 * The handlers with every unary one run through `run`, which keeps callers from waiting for a database that is
 * away. Streams end by themselves and are left as they are.
 */
export function guarded<H extends object>(
  handlers: H,
  streams: ReadonlySet<keyof H>,
  run: <T>(work: () => Promise<T>) => Promise<T>,
): H {
  const entries = Object.entries(handlers).map(([name, handler]) => {
    if (streams.has(name as keyof H)) return [name, handler] as const;
    const unary = handler as Unary;
    return [name, ((request, context) => run(() => unary(request, context))) satisfies Unary] as const;
  });
  return Object.fromEntries(entries) as H;
}
