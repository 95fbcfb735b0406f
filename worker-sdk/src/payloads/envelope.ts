/** The form of encoded payloads and results: a line of JSON that anyone can read, and the encoded bytes. */
import { keyFault } from "../storage/object-key.ts";
import { PayloadError } from "./payload-error.ts";

/** Media type of payloads and results that are encoded. */
export const ENCODED_TYPE = "application/vnd.muster.encoded";

/** Version of the form. */
const VERSION = 1;

/** Longest header in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** Most codecs of one payload. */
const MAX_CODECS = 8;

/** A codec that was applied. */
export interface AppliedCodec {
  /** Name of the codec, for example `gzip`. */
  readonly name: string;
  /** What decoding needs besides the bytes, for example the id of a key. */
  readonly facts?: Readonly<Record<string, string>>;
}

/** An object of the store that has the encoded bytes. */
export interface ClaimedObject {
  /** Key of the object in the store. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 in hexadecimal digits. */
  readonly sha256: string;
}

/** What the first line says. */
export interface EnvelopeHeader {
  /** Media type of the content. */
  readonly contentType: string;
  /** Bytes of the content. */
  readonly size: number;
  /** Codecs that were applied, in this order. */
  readonly codecs: readonly AppliedCodec[];
  /** Where the encoded bytes are; undefined when they follow the header. */
  readonly object: ClaimedObject | undefined;
}

/** The header and what follows it. */
export interface Envelope {
  /** The line of JSON, parsed. */
  readonly header: EnvelopeHeader;
  /** The encoded bytes; empty when they are in the store. */
  readonly body: Uint8Array;
}

/** True for the media type of encoded content. */
export function isEncoded(contentType: string): boolean {
  return contentType === ENCODED_TYPE;
}

/** Writes an envelope. */
export function writeEnvelope(
  { contentType, size, codecs, object }: EnvelopeHeader,
  body: Uint8Array,
): Buffer {
  const line = JSON.stringify({ v: VERSION, contentType, size, codecs, ...(object && { object }) });
  return Buffer.concat([Buffer.from(`${line}\n`), body]);
}

/**
 * Reads the envelope of a payload or result whose media type is `application/vnd.muster.encoded`: what it holds and where it
 * is, without decoding it.
 *
 * @throws PayloadError `PAYLOAD_CORRUPT` when it has no header of this form, `PAYLOAD_CODEC_MISSING` when a newer version
 * wrote it.
 *
 * @example
 * ```ts
 * const { header } = readEnvelope((await client.get("t-1042")).payload);
 * console.log(header.contentType, header.size, header.object?.key);
 * ```
 */
export function readEnvelope(bytes: Uint8Array): Envelope {
  const end = bytes.subarray(0, MAX_HEADER_BYTES).indexOf(0x0a);
  const header = end < 0 ? undefined : parsed(Buffer.from(bytes.subarray(0, end)).toString("utf8"));
  if (!isRecord(header))
    throw new PayloadError(
      "PAYLOAD_CORRUPT",
      "It does not begin with a line of JSON that says how it is encoded.",
    );
  const { v, contentType, size, codecs, object } = header;
  if (v !== VERSION)
    throw new PayloadError(
      "PAYLOAD_CODEC_MISSING",
      `It is encoded in version ${JSON.stringify(v)?.slice(0, 16)}; this package reads version ${VERSION}. Update it.`,
    );
  if (
    typeof contentType !== "string" ||
    !isSize(size) ||
    !Array.isArray(codecs) ||
    codecs.length > MAX_CODECS
  )
    throw malformed();
  return {
    header: {
      contentType,
      size,
      codecs: codecs.map(readCodec),
      object: object === undefined ? undefined : readObject(object),
    },
    body: bytes.subarray(end + 1),
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function readCodec(value: unknown): AppliedCodec {
  if (!isRecord(value)) throw malformed();
  const { name, facts = {} } = value;
  if (typeof name !== "string" || !isRecord(facts)) throw malformed();
  const entries = Object.entries(facts).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return { name, facts: Object.fromEntries(entries) };
}

/** Whoever submitted the task chose the key: it has to stay below the folders of payloads, which the caller checks. */
function readObject(value: unknown): ClaimedObject {
  if (!isRecord(value)) throw malformed();
  const { key, size, sha256 } = value;
  if (typeof key !== "string" || keyFault(key) !== undefined || !isSize(size)) throw malformed();
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) throw malformed();
  return { key, size, sha256 };
}

function malformed(): PayloadError {
  return new PayloadError(
    "PAYLOAD_CORRUPT",
    "The line that says how it is encoded has not the documented form.",
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
