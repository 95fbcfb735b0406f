/** Options of the sums of what handlers measured, and their request. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetMetricStatisticsRequestSchema } from "@muster/protocol";
import { checkKnown, type OptionNames } from "../../options/known-options.ts";
import type { CallOptions } from "../connection/call-options.ts";
import { encodeWindow } from "./statistics-window.ts";

/**
 * Which measurements `client.metrics()` sums.
 *
 * @example
 * ```ts
 * const { totals } = await client.metrics({ sinceS: 7_200, name: "tokens_in" });
 * ```
 */
export interface MetricOptions extends CallOptions {
  /** How far back, seconds: 1 second to 31 days. @default 3600 */
  readonly sinceS?: number;
  /** Only tasks of this queue. @default all */
  readonly queue?: string;
  /** Only tasks of this type. @default all */
  readonly type?: string;
  /** Only metrics of this name. @default all */
  readonly name?: string;
}

const NAMES: OptionNames<MetricOptions> = {
  ...{ timeoutS: true, signal: true },
  ...{ sinceS: true, queue: true, type: true, name: true },
};

/** @throws OptionsError when `sinceS` is no number of seconds, or for an option that is not known. */
export function encodeMetricOptions(
  options: MetricOptions,
): MessageInitShape<typeof GetMetricStatisticsRequestSchema> {
  checkKnown("metrics", options, NAMES);
  const { sinceS, queue = "", type = "", name = "" } = options;
  return {
    ...{ queue, taskType: type, name },
    ...encodeWindow("metrics", sinceS),
  };
}
