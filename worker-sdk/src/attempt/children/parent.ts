/** A task whose handler submits children, and what a child is to it. */
import type { ParentPlace } from "./child-placement.ts";

/** The attempt that submits a child. */
export interface Parent {
  readonly taskId: string;
  /** Its queue. */
  readonly queue: string;
  /** Aborts when its handler has to stop. */
  readonly signal: AbortSignal;
  /** Read for the first child that needs it. */
  place?: Promise<ParentPlace>;
}

/** What a child is to its parent. */
export interface StartedChild {
  readonly id: string;
  /** An earlier attempt of the parent has run it, and it has succeeded: its result is there. */
  readonly succeeded: boolean;
  result(signal: AbortSignal): Promise<unknown>;
}
