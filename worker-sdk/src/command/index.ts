/**
 * Programs as tasks.
 *
 * @module @muster/worker/command
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export { command } from "./command.ts";
export type { CommandOptions } from "./command-options.ts";
