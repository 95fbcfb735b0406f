/** Causes that are followed; a longer chain adds nothing. */
const MAX_CAUSES = 5;

/**
 * What the log keeps of an error: class, code, message, stack and causes. Nothing else, because drivers hang
 * whole connections, credentials among them, on their errors.
 */
export function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const cause =
    error.cause !== undefined && depth < MAX_CAUSES ? { cause: errorFields(error.cause, depth + 1) } : {};
  return { type: error.name, ...code, message: error.message, stack: error.stack, ...cause };
}
