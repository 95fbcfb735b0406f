/** Options of the counts of failures, and their request. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetFailureStatisticsRequestSchema } from "@muster/protocol";
import { checkKnown, type OptionNames } from "../../options/known-options.ts";
import type { CallOptions } from "../connection/call-options.ts";
import { encodeWindow } from "./statistics-window.ts";

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

const NAMES: OptionNames<FailureOptions> = {
  ...{ timeoutS: true, signal: true },
  ...{ sinceS: true, queue: true, type: true, workerId: true },
};

/** @throws OptionsError when `sinceS` is no number of seconds, or for an option that is not known. */
export function encodeFailureOptions(
  options: FailureOptions,
): MessageInitShape<typeof GetFailureStatisticsRequestSchema> {
  checkKnown("failures", options, NAMES);
  const { sinceS, queue = "", type = "", workerId = "" } = options;
  return {
    queue,
    taskType: type,
    workerId,
    ...encodeWindow("failures", sinceS),
  };
}
