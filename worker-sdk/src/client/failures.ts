/** Options of the counts of failures, and their request. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { GetFailureStatisticsRequestSchema } from "@muster/protocol";
import { checkSeconds } from "../options/option-checks.ts";
import type { CallOptions } from "./call-options.ts";

/** Longest window, seconds. */
const MAX_SINCE_S = 31 * 86_400;

/**
 * Which failures `client.failures()` counts.
 *
 * @example
 * ```ts
 * const { attempts } = await client.failures({ sinceS: 7_200, queue: "gpu" });
 * ```
 */
export interface FailureOptions extends CallOptions {
  /** How far back, seconds: 1 second to 31 days. @default 3600 */
  readonly sinceS?: number;
  /** Only tasks of this queue. @default all */
  readonly queue?: string;
  /** Only tasks of this type. @default all */
  readonly type?: string;
  /** Only failures on workers of this id: then successes are not counted. @default all */
  readonly workerId?: string;
}

/** @throws OptionsError when `sinceS` is no number of seconds. */
export function encodeFailureOptions({
  sinceS,
  queue = "",
  type = "",
  workerId = "",
}: FailureOptions): MessageInitShape<typeof GetFailureStatisticsRequestSchema> {
  checkSeconds("failures", "sinceS", sinceS, MAX_SINCE_S);
  return {
    queue,
    taskType: type,
    workerId,
    ...(sinceS === undefined ? {} : { window: durationFromMs(sinceS * 1_000) }),
  };
}
