/** The record of an attempt's movement, from which the attempt watchdog and explanations see that it is stuck. */
import type { Repeats } from "../../domain/tasks/attempts/watchdog.ts";
import type { RunningRecord } from "../../domain/workers/worker.ts";

/**
 * What is known of an attempt's movement. Times are monotonic milliseconds of this scheduler. The signals of the worker
 * are written by `attempt-watch.ts`; each warning by the background service that sends it.
 */
export interface AttemptWatch {
  /** Last progress or output. */
  progressAt: number | undefined;
  /** Its entry in the last heartbeat. */
  listed: RunningRecord | undefined;
  listedAt: number;
  /** Phases whose `stuck` event came and whose end or recovery did not, in the order of the events. */
  readonly reported: Map<string, ReportedStuck>;
  /** Consecutive heartbeats that did not list it, and when the first of them arrived. */
  unlistedBeats: number;
  unlistedSince: number | undefined;
  /** What this scheduler has reported of it by itself. */
  stuck: { readonly phase: string; readonly repeats: Repeats } | undefined;
  unstarted: Repeats | undefined;
  unlisted: Repeats | undefined;
  /** Its handler has not returned although a hard timeout is over. */
  outlived: Repeats | undefined;
  /** Mechanisms in mode `observe` that recorded what they would have done with it, each once. */
  observed: { readonly unaccepted?: true; readonly forgotten?: true | undefined } | undefined;
}

/** A `stuck` event of a worker. */
export interface ReportedStuck {
  readonly elapsedMs: number;
  readonly warnAfterMs: number;
  readonly at: number;
}

export function newWatch(): AttemptWatch {
  return {
    progressAt: undefined,
    listed: undefined,
    listedAt: 0,
    reported: new Map(),
    unlistedBeats: 0,
    unlistedSince: undefined,
    stuck: undefined,
    unstarted: undefined,
    unlisted: undefined,
    outlived: undefined,
    observed: undefined,
  };
}
