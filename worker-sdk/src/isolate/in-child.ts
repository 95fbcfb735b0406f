/** What a worker does in the process of an isolated handler instead of starting. */

/** The key of `globalThis` under which such a process has its state, and of the method of a worker that serves it. */
export const ISOLATED: unique symbol = Symbol.for("@muster/worker/isolated");

/** The state of such a process; its own code sets it before it imports the module. */
export interface ChildState {
  /** Types whose handlers are looked for. */
  readonly wanted: readonly string[];
  /** Workers that the module has made. */
  readonly workers: { [ISOLATED](): void }[];
  /** Isolated types of the workers that were looked at. */
  readonly types: string[];
  /** A worker has them, and serves. */
  taken: boolean;
}

/** Undefined in every other process. */
export function childState(): ChildState | undefined {
  return (globalThis as { [ISOLATED]?: ChildState })[ISOLATED];
}
