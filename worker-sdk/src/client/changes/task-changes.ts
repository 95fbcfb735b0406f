/** What an edit of a task changes, and how a task is taken from its worker. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { RevokeTaskRequestSchema, UpdateTaskRequestSchema } from "@muster/protocol";
import { durationFromMs } from "../../duration.ts";
import type { CallOptions } from "../connection/call-options.ts";
import { checkSpec } from "../submit/spec-checks.ts";

/**
 * What an edit of a task changes; what is left out stays.
 *
 * @example
 * ```ts
 * await client.handle("t-1042").edit({ delayS: 0, maxRetries: 10 });
 * ```
 */
export interface TaskChanges {
  /** Priority, an integer from -1000 to 1000. @default it stays */
  readonly priority?: number;
  /** Longest run of an attempt in seconds, 0 for no limit; up to 366 days. From the next assignment on. @default it stays */
  readonly runTimeoutS?: number;
  /** Attempts after the first one, 0 to 1000. From the next assignment on. @default it stays */
  readonly maxRetries?: number;
  /** Earliest start in seconds after the edit, 0 for now. Only while the task waits. Excludes `runTime`. @default it stays */
  readonly delayS?: number;
  /** Earliest start, by the clock of the scheduler. Only while the task waits. Excludes `delayS`. @default it stays */
  readonly runTime?: Date;
}

/** @throws OptionsError for numbers without a wire form; TypeError when options exclude each other. */
export function encodeTaskChanges(
  taskId: string,
  { priority, runTimeoutS, maxRetries, delayS, runTime }: TaskChanges,
): MessageInitShape<typeof UpdateTaskRequestSchema> {
  checkSpec({
    type: taskId,
    ...(priority === undefined ? {} : { priority }),
    ...(delayS === undefined ? {} : { delayS }),
    ...(runTime === undefined ? {} : { runTime }),
    ...(runTimeoutS === undefined ? {} : { timeouts: { runS: runTimeoutS } }),
    ...(maxRetries === undefined ? {} : { retry: { maxRetries } }),
  });
  if (delayS !== undefined && runTime !== undefined)
    throw new TypeError(`Task ${taskId}: delayS and runTime exclude each other; give one of them.`);
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(runTimeoutS === undefined ? {} : { runTimeout: durationFromMs(runTimeoutS * 1000) }),
    ...(maxRetries === undefined ? {} : { maxRetryCount: maxRetries }),
    schedule:
      delayS !== undefined
        ? { case: "delay", value: durationFromMs(delayS * 1000) }
        : runTime !== undefined
          ? { case: "runTime", value: timestampFromDate(runTime) }
          : { case: undefined },
  };
}

/** How a task is taken from its worker. */
export interface RevokeOptions extends CallOptions {
  /** Least wait before the next attempt in seconds, up to 366 days. @default 0 */
  readonly delayS?: number;
}

/** @throws OptionsError for a number without a wire form. */
export function encodeRevoke(
  taskId: string,
  { delayS }: RevokeOptions,
): MessageInitShape<typeof RevokeTaskRequestSchema> {
  checkSpec({ type: taskId, ...(delayS === undefined ? {} : { delayS }) });
  return { taskId, ...(delayS === undefined ? {} : { delay: durationFromMs(delayS * 1000) }) };
}
