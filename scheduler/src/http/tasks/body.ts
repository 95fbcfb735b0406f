/** Reads the body of a request: the payload of a task. */
import type { IncomingMessage } from "node:http";
import { quoted } from "@muster/common/text/text";
import { essence, isJson } from "@muster/protocol";
import { badRequest, type Problem } from "./problem.ts";

/** A payload with its media type; the type is empty where there is no payload. */
export interface Body {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

/** Longest media type, characters. */
const MAX_CONTENT_TYPE = 256;

const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?: *; *${TOKEN}=(?:${TOKEN}|"[ !#-\\[\\]-~]*"))* *;? *$`);

/** U+FEFF in UTF-8, with which editors and shells of some systems begin every file. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * The payload that a request carries. JSON has to parse: a fault of the caller's quoting is answered at once.
 *
 * @throws Problem 400, 413, 415.
 * @throws Error when the caller goes away before its body is complete.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Body> {
  const contentType = mediaType(request);
  const bytes = await readBytes(request, maxBytes);
  if (bytes.byteLength === 0) return { bytes, contentType };
  if (contentType === "")
    throw badRequest(
      "the header content-type is missing; send that of the body, for example application/json, or application/octet-stream for any bytes",
      415,
      "CONTENT_TYPE_MISSING",
    );
  if (isJson(contentType)) return { bytes: checkedJson(bytes), contentType };
  if (essence(contentType) === "application/x-www-form-urlencoded" && looksLikeJson(bytes))
    throw badRequest(
      "the body looks like JSON and its content-type is application/x-www-form-urlencoded, which curl -d sends by itself; send -H 'content-type: application/json', or use --json",
      415,
      "CONTENT_TYPE_WRONG",
    );
  return { bytes, contentType };
}

function mediaType({ headers }: IncomingMessage): string {
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity")
    throw badRequest(
      `the header content-encoding is ${quoted(encoding, 40)}; send the body as it is`,
      415,
      "CONTENT_ENCODING_NOT_SUPPORTED",
    );
  const type = headers["content-type"] ?? "";
  if (type !== "" && (type.length > MAX_CONTENT_TYPE || !MEDIA_TYPE.test(type)))
    throw badRequest(
      `the header content-type is ${quoted(type, 80)}; send a media type of at most ${MAX_CONTENT_TYPE} characters, for example application/json`,
      415,
      "CONTENT_TYPE_INVALID",
    );
  return type;
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw tooLarge(`${announced} bytes`, maxBytes);
  const chunks: Buffer[] = [];
  let length = 0;
  // The answer goes by the same socket: a request that is refused must not be destroyed.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function tooLarge(size: string, maxBytes: number): Problem {
  return badRequest(
    `the body has ${size}; at most ${maxBytes} are allowed: store it elsewhere and submit a reference`,
    413,
    "PAYLOAD_TOO_LARGE",
  );
}

function checkedJson(bytes: Uint8Array): Uint8Array {
  const json = BYTE_ORDER_MARK.equals(bytes.subarray(0, 3)) ? bytes.subarray(3) : bytes;
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    // The parser quotes the body: only its sender gets it.
    const why = error instanceof SyntaxError ? error.message : "it is not UTF-8";
    throw badRequest(
      `the content-type says JSON and the body does not parse: ${quoted(why, 200)}`,
      400,
      "INVALID_JSON",
    );
  }
  return json;
}

/** Senders of forms encode these characters. */
function looksLikeJson(bytes: Uint8Array): boolean {
  return /^\s*[[{"]/.test(Buffer.from(bytes.subarray(0, 64)).toString("latin1"));
}
