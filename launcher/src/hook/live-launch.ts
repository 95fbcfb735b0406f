/** A launch of a hook in the memory of the launcher. */
import type { HookLaunch } from "./hook-records.ts";

/** What is not on disk of a launch. */
export interface Live {
  launch: HookLaunch;
  /** Calls of `list` in a row that did not show it. */
  missing: number;
  /** When `start` returned, monotonic; `list` calls that began earlier prove nothing. 0 in an earlier process. */
  startedAt: number;
  /** When it is to be gone, monotonic; undefined while it is not to stop. */
  stopBy: number | undefined;
  /** A loop of `stop` calls runs. */
  stopping: boolean;
}
