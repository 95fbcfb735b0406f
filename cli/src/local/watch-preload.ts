/**
 * Imported by Node before a worker's file in a process of `muster worker dev`: reports the files that are loaded, so that a
 * change of any of them reloads the worker.
 */
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

/** A file of the worker was loaded. */
export interface Loaded {
  readonly kind: "loaded";
  readonly path: string;
}

if (isMainThread && process.send !== undefined) {
  // Processes that the worker forks inherit the options of Node; their parent is the worker.
  const own = process.execArgv.findIndex((option) => option.includes("watch-preload"));
  process.execArgv.splice(own - 1, 2);
  // Without its command the worker drains and ends.
  process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
  registerHooks({
    load(url, context, next) {
      if (url.startsWith("file:") && !url.includes("/node_modules/")) {
        const message: Loaded = { kind: "loaded", path: fileURLToPath(url) };
        process.send?.(message, undefined, undefined, () => {
          // The command is gone, and "disconnect" ends the worker.
        });
      }
      return next(url, context);
    },
  });
}
