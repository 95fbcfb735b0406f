/** What encodes and decodes payloads. */

/** What a payload belongs to. */
export interface PayloadContext {
  /** `payload`: the input of a task. `result`: what its handler returned. */
  readonly direction: "payload" | "result";
  /** Type of the task. */
  readonly taskType: string;
  /** Id of the task; empty for a payload, whose task has none yet when it is encoded. */
  readonly taskId: string;
  /** Media type of the content. */
  readonly contentType: string;
}

/** What a codec made of some bytes. */
export interface Encoded {
  /** The content after the codec. */
  readonly bytes: Uint8Array;
  /** What decoding needs besides the bytes and is no secret, for example the id of a key: at most 8 entries. @default none */
  readonly facts?: Readonly<Record<string, string>>;
}

/**
 * Encodes the payloads and results of tasks, which are bytes to it. Give it to clients and workers (`payloads.codecs`).
 *
 * @example
 * ```ts
 * const upperCase: PayloadCodec = {
 *   name: "rot13",
 *   encode: (bytes) => ({ bytes: rot13(bytes) }),
 *   decode: (bytes) => rot13(bytes),
 * };
 * ```
 */
export interface PayloadCodec {
  /** Name in the header of what it encodes: 1 to 64 of `a-z 0-9 . -`, for example `gzip`. It is never changed. */
  readonly name: string;
  /** Encodes; undefined leaves the bytes as they are, and nothing is decoded later. */
  encode(bytes: Uint8Array, context: PayloadContext): Encoded | undefined | Promise<Encoded | undefined>;
  /**
   * Decodes what `encode` returned.
   *
   * @param limits.maxBytes More bytes than this are refused: throw a PayloadError `PAYLOAD_TOO_LARGE` rather than make them.
   * @throws PayloadError; any other error is reported as `PAYLOAD_CORRUPT`.
   */
  decode(
    bytes: Uint8Array,
    facts: Readonly<Record<string, string>>,
    context: PayloadContext,
    limits: { readonly maxBytes: number },
  ): Uint8Array | Promise<Uint8Array>;
}
