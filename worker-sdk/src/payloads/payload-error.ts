/** The error of payloads and results that cannot be encoded or decoded. */

/** Codes of `PayloadError`. */
export type PayloadErrorCode =
  | "PAYLOAD_CODEC_MISSING"
  | "PAYLOAD_KEY_UNKNOWN"
  | "PAYLOAD_CORRUPT"
  | "PAYLOAD_MISSING"
  | "PAYLOAD_STORE_MISSING"
  | "PAYLOAD_STORE_FAILED"
  | "PAYLOAD_TOO_LARGE";

/**
 * Thrown by `client.submit()`, `task.result()` and `client.decode()`, and the failure of a task whose input or result could
 * not be decoded or encoded.
 *
 * | code | meaning |
 * |---|---|
 * | `PAYLOAD_CODEC_MISSING` | it is encoded with a codec that the option `payloads` does not have |
 * | `PAYLOAD_KEY_UNKNOWN` | it is encrypted with a key that is not among the keys |
 * | `PAYLOAD_CORRUPT` | it was changed, was encrypted with another key of the same id, or belongs to another task |
 * | `PAYLOAD_MISSING` | the object that it is in does not exist |
 * | `PAYLOAD_STORE_MISSING` | it is in a store, and the option `payloads.claimCheck` is not set |
 * | `PAYLOAD_STORE_FAILED` | the store failed; the only one after which another attempt is made |
 * | `PAYLOAD_TOO_LARGE` | it is larger than `payloads.maxBytes` |
 *
 * @example
 * ```ts
 * if (error instanceof PayloadError && error.code === "PAYLOAD_MISSING") return "expired";
 * ```
 */
export class PayloadError extends Error {
  override readonly name = "PayloadError";
  /** What went wrong: the table above. */
  readonly code: PayloadErrorCode;

  constructor(code: PayloadErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.code = code;
  }

  /** True when the same call may succeed later. */
  get retryable(): boolean {
    return this.code === "PAYLOAD_STORE_FAILED";
  }
}
