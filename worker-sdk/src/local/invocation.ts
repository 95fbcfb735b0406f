/** A program that runs a worker's file only to run one task of it: `muster invoke`. */
import type { LocalAccess } from "./access.ts";
import type { LOCAL } from "./parts.ts";

/** A worker, of this copy of the package or another one. */
export interface Invoked {
  [LOCAL](): LocalAccess;
}

/** Runs a task of the worker instead of the worker; resolves when that has ended. */
export type Invocation = (worker: Invoked) => Promise<void>;

/** The key of `globalThis` under which such a program puts its invocation before it imports the file. */
const KEY = Symbol.for("@muster/worker/invocation");

/** Set in a process of `muster invoke`: a worker that would start is run by it. */
export function invocation(): Invocation | undefined {
  return (globalThis as { [KEY]?: Invocation })[KEY];
}
