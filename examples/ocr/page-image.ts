/** Reads the images of pages. */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import { NonRetryableError, RetryableError, type TaskContext } from "@muster/worker";

/** Where pages lie that a task names instead of sending them: scans are often larger than a payload may be. */
const FOLDER = env.OCR_PAGES_DIR || fileURLToPath(new URL("./pages/", import.meta.url));

/**
 * The picture of a task's page: its payload, or the file that a JSON payload `{ "file": "scan.png" }` names in the
 * folder of the pages.
 *
 * @throws RetryableError PAGE_NOT_FOUND: a task can be faster than the upload of its page
 * @throws NonRetryableError INVALID_PAYLOAD: it names no file of that folder
 */
export async function pageImage(ctx: TaskContext): Promise<Uint8Array> {
  if (ctx.contentType !== "application/json") return ctx.rawPayload;
  const file = pageFile(ctx.payload);
  return ctx.phase("page_read", () => read(file), { context: { file } });
}

/**
 * The file that a payload names; never one outside of the folder, for whoever may submit may not read the machine.
 *
 * @throws NonRetryableError INVALID_PAYLOAD
 */
export function pageFile(payload: unknown): string {
  const file =
    typeof payload === "object" && payload !== null && "file" in payload ? payload.file : undefined;
  if (typeof file === "string" && file !== "" && basename(file) === file && !file.startsWith("."))
    return file;
  throw new NonRetryableError(
    `The payload is a picture, or JSON that names a file in the folder of the pages: {"file": "scan.png"}`,
    { code: "INVALID_PAYLOAD" },
  );
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(join(FOLDER, file));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    throw new RetryableError(`There is no ${file} among the pages yet (OCR_PAGES_DIR)`, {
      code: "PAGE_NOT_FOUND",
      cause: error,
    });
  }
}
