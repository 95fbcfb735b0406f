/** Compresses payloads with node:zlib. */

import { promisify } from "node:util";
import zlib from "node:zlib";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { numberSetting } from "../options/option-checks.ts";
import { OptionsError } from "../options/options-error.ts";
import type { PayloadCodec } from "./codec.ts";
import { PayloadError } from "./payload-error.ts";

const NAMES: OptionNames<CompressionOptions> = { format: true, aboveBytes: true };

/** Formats, by the name in the header. */
const FORMATS = {
  gzip: { encode: promisify(zlib.gzip), decode: promisify(zlib.gunzip) },
  brotli: { encode: promisify(zlib.brotliCompress), decode: promisify(zlib.brotliDecompress) },
  zstd: { encode: promisify(zlib.zstdCompress), decode: promisify(zlib.zstdDecompress) },
} as const;

/** Quality of brotli: the default of 11 takes 50 times as long as this one. */
const BROTLI_QUALITY = 4;

/** Options of `compression`. */
export interface CompressionOptions {
  /**
   * `gzip`, which every language has, `zstd`, or `brotli`.
   * @default "gzip"
   */
  readonly format?: "gzip" | "zstd" | "brotli";
  /**
   * Smaller contents are left as they are: bytes, 0 to 2^31.
   * @default 1024
   */
  readonly aboveBytes?: number;
}

/**
 * A codec that compresses, in the threads of Node's pool. What would not become smaller is left as it is.
 *
 * @throws OptionsError when an option is not valid.
 *
 * @example
 * ```ts
 * const payloads: PayloadOptions = { codecs: [compression({ format: "zstd" })] };
 * ```
 */
export function compression(options: CompressionOptions = {}): PayloadCodec {
  const { format = "gzip" } = options;
  const faults: string[] = [...unknownOptions(options, NAMES)];
  if (!Object.hasOwn(FORMATS, format))
    faults.push(`option format: ${JSON.stringify(format)} is not one of ${Object.keys(FORMATS).join(", ")}`);
  const aboveBytes = numberSetting(
    { option: ["aboveBytes", options.aboveBytes], default: 1024 },
    { min: 0, max: 2 ** 31, integer: true },
    {},
    faults,
  );
  if (faults.length > 0) throw new OptionsError("compression", faults);
  const { encode, decode } = FORMATS[format];
  const params =
    format === "brotli" ? { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } } : {};
  return {
    name: format,
    async encode(bytes) {
      if (bytes.byteLength <= aboveBytes) return undefined;
      const compressed = await encode(bytes, params);
      return compressed.byteLength < bytes.byteLength ? { bytes: compressed } : undefined;
    },
    async decode(bytes, _facts, _context, { maxBytes }) {
      try {
        return await decode(bytes, { maxOutputLength: Math.max(1, maxBytes) });
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE")
          throw new PayloadError(
            "PAYLOAD_TOO_LARGE",
            `It decompresses to more than ${maxBytes} bytes (payloads.maxBytes).`,
          );
        throw error;
      }
    },
  };
}
