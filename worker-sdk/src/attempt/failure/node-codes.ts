/**
 * Codes of Node's errors after which another attempt would fail in the same way: the call itself is wrong, or the
 * program is incomplete. Every other code (`ECONNRESET`, `ETIMEDOUT`, `EAI_AGAIN`, `EMFILE`, `ENOSPC`, `ENOENT` of a
 * file that another host may have, ...) is retried.
 */
export const NON_RETRYABLE_NODE_CODES: ReadonlySet<string> = new Set([
  "EISDIR",
  "ENAMETOOLONG",
  "ENOTDIR",
  "ERR_INVALID_ARG_TYPE",
  "ERR_INVALID_ARG_VALUE",
  "ERR_INVALID_URL",
  "ERR_MODULE_NOT_FOUND",
  "ERR_OUT_OF_RANGE",
  "ERR_UNKNOWN_FILE_EXTENSION",
  "MODULE_NOT_FOUND",
]);

/** A worker thread of the handler ran out of heap; the process lives. */
export const OUT_OF_MEMORY_NODE_CODES: ReadonlySet<string> = new Set(["ERR_WORKER_OUT_OF_MEMORY"]);
