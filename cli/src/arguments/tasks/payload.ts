/** Reads a payload from the command line, a file or standard input. */
import { createReadStream } from "node:fs";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import { guessMediaType, isJson } from "./media-type.ts";

/** Reading stops here: an endless input, such as a device, must not fill the memory. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Bytes of a read of a file: with Node's 64 KiB the largest file takes 4,096 reads, each a change of threads. */
const CHUNK_BYTES = 1024 * 1024;

/** A task's input with its media type. */
export interface Payload {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

/**
 * Reads the payload argument of `submit`:
 * - absent: no payload;
 * - `-`: standard input, `@file`: the file's bytes, anything else: the argument itself.
 *
 * The media type is `contentType` when given, by the file's name for a file, and `application/json`
 * otherwise. A JSON payload must parse; it is sent unchanged, except that a byte-order mark is removed.
 *
 * @throws CliError (usage) when the file cannot be read or the JSON does not parse.
 */
export async function readPayload(
  argument: string | undefined,
  contentType: string | undefined,
  stdin: AsyncIterable<Uint8Array | string>,
): Promise<Payload> {
  if (argument === undefined) {
    return { bytes: new Uint8Array(), contentType: contentType ?? "application/json" };
  }
  if (argument === "-") {
    return checked(
      await readAll(stdin, "standard input"),
      contentType ?? "application/json",
      "standard input",
    );
  }
  if (argument.startsWith("@")) {
    const path = argument.slice(1);
    return checked(await readPayloadFile(path), contentType ?? guessMediaType(path), path);
  }
  return checked(Buffer.from(argument), contentType ?? "application/json", "the payload");
}

function checked(bytes: Uint8Array, contentType: string, source: string): Payload {
  if (!isJson(contentType)) return { bytes, contentType };
  const text = unmarked(bytes);
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (cause) {
    throw new CliError(`${source} is not valid JSON: ${cause instanceof Error ? cause.message : cause}`, {
      exitCode: ExitCode.USAGE,
      remedy:
        source === "the payload"
          ? `quote it for the shell, for example '{"page": 1}'; for a file write @FILE; for another kind of payload give --content-type`
          : "for another kind of payload give its media type with --content-type",
      cause,
    });
  }
  return { bytes: text, contentType };
}

/**
 * JSON in UTF-8 without the byte-order mark that some editors and shells write. PowerShell redirects in UTF-16, which
 * is recognized by its mark.
 */
function unmarked(bytes: Uint8Array): Uint8Array {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) return bytes.subarray(3);
  if (first === 0xff && second === 0xfe) return Buffer.from(new TextDecoder("utf-16le").decode(bytes));
  if (first === 0xfe && second === 0xff) return Buffer.from(new TextDecoder("utf-16be").decode(bytes));
  return bytes;
}

async function readPayloadFile(path: string): Promise<Uint8Array> {
  try {
    return await readAll(createReadStream(path, { highWaterMark: CHUNK_BYTES }), path);
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError(
      `cannot read ${path || "the file"}: ${cause instanceof Error ? cause.message : cause}`,
      {
        exitCode: ExitCode.USAGE,
        remedy: "write @ and the path of a file that you may read, for example @page.png",
        cause,
      },
    );
  }
}

async function readAll(stream: AsyncIterable<Uint8Array | string>, source: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    size += bytes.length;
    if (size > MAX_BYTES) {
      throw new CliError(
        `${source} has more than ${MAX_BYTES / 1024 / 1024} MiB, more than a payload may have`,
        {
          exitCode: ExitCode.USAGE,
          remedy: "store it elsewhere and submit a reference",
        },
      );
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
