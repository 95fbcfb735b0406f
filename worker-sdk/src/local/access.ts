/** How a worker is run without a scheduler. */
import type { LocalSettings, LocalWorker } from "./local-worker.ts";

/** A worker that can be run without a scheduler. */
export interface LocalAccess {
  readonly types: readonly string[];
  /** Makes a local worker; loads the code for it. */
  open(settings: LocalSettings): Promise<LocalWorker>;
}
