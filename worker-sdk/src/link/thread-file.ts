/** Finds the file of the connection's thread, also in a bundle. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** What a bundle of the thread is called, beside the bundle of the worker. */
const BESIDE = ["muster-thread.js", "muster-thread.mjs", "muster-thread.cjs"];

/**
 * The file of the thread. Unbundled it is beside the one that starts it. In a bundle it is the entry `@muster/worker/thread`,
 * bundled as `muster-thread` into the same folder, else that of the installed package.
 *
 * @param own `import.meta.url` of the file that starts the thread; undefined in a bundle that is CommonJS.
 * @throws Error of one line that says how to bundle it.
 */
export function threadFile(own: string | undefined): URL {
  const [, extension] = /\/link\/(?:link|thread-file)\.(js|ts)$/.exec(own ?? "") ?? [];
  if (extension !== undefined) return new URL(`./thread.${extension}`, own);
  const bundle = own ?? (typeof __filename === "string" ? pathToFileURL(__filename).href : undefined);
  if (bundle === undefined) throw notFound("the bundle");
  for (const name of BESIDE) {
    const file = new URL(name, bundle);
    if (existsSync(file)) return file;
  }
  try {
    return pathToFileURL(createRequire(bundle).resolve("@muster/worker/thread"));
  } catch {
    throw notFound(bundle);
  }
}

/** The same for a file of this package that is not in this folder. */
export function ownThreadFile(): URL {
  return threadFile(import.meta.url);
}

function notFound(bundle: string): Error {
  const error = new Error(
    `The connection of @muster/worker runs in a thread, whose file was not found beside ${bundle}. Bundle the entry ` +
      "@muster/worker/thread as muster-thread into the same folder (esbuild: muster-thread=@muster/worker/thread), or mark " +
      "@muster/worker as external and install it there.",
  );
  // The place of the throw is no help.
  error.stack = `Error: ${error.message}`;
  return error;
}
