/** Writes and measures the file that becomes an artifact. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { lstat, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { isBytes } from "../attempt/json-form.ts";
import { NonRetryableError, RetryableError } from "../errors.ts";
import type { ArtifactFile, ArtifactWriter } from "./artifact.ts";

/**
 * Calls the writer, and leaves the content at `path`.
 *
 * @throws RetryableError `ARTIFACT_INVALID` when there is none, NonRetryableError `ARTIFACT_INVALID` when there are two or the
 * path is not a regular file; what the writer and the file system throw.
 */
export async function fill(
  name: string,
  path: string,
  write: ArtifactWriter,
  signal: AbortSignal,
): Promise<void> {
  const returned: unknown = await write({ path, signal });
  const content = typeof returned === "string" || isBytes(returned) || isAsyncIterable(returned);
  const stat = await lstat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (stat !== undefined && !stat.isFile())
    throw new NonRetryableError(`Artifact "${name}": its path is not a regular file; write a file there.`, {
      code: "ARTIFACT_INVALID",
    });
  if (stat !== undefined && content)
    throw new NonRetryableError(
      `Artifact "${name}": its function wrote the file and returned content, too; do one of them.`,
      { code: "ARTIFACT_INVALID" },
    );
  if (stat !== undefined) return;
  if (typeof returned === "string" || isBytes(returned)) await writeFile(path, returned, { flag: "wx" });
  else if (isAsyncIterable(returned)) {
    await pipeline(returned, bytesOnly(name), createWriteStream(path, { flags: "wx" }), { signal });
  } else
    throw new RetryableError(
      `Artifact "${name}": its function wrote no file and returned no content (${kindOf(returned)}).`,
      { code: "ARTIFACT_INVALID" },
    );
}

/** Reads a file once for its size and SHA-256. */
export async function measureFile(path: string, signal: AbortSignal): Promise<ArtifactFile> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) {
    hash.update(piece);
    size += piece.length;
  }
  return { path, size, checksum: `sha256:${hash.digest("hex")}` };
}

/** A stream in object mode may give anything, which a file stream would refuse with an error that names no artifact. */
function bytesOnly(name: string) {
  return async function* (pieces: AsyncIterable<unknown>): AsyncGenerator<string | Uint8Array> {
    for await (const piece of pieces) {
      if (typeof piece !== "string" && !isBytes(piece))
        throw new NonRetryableError(
          `Artifact "${name}": its stream gave ${kindOf(piece)}; give texts or Uint8Arrays.`,
          { code: "ARTIFACT_INVALID" },
        );
      yield piece;
    }
  };
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? "an object" : typeof value;
}
