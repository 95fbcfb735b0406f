// What a handler has measured and noted, from protobuf.

import { PHASE_NAME } from "@muster/common/text/name-forms";
import type { HandlerReport as HandlerReportMessage } from "@muster/protocol";
import {
  type HandlerReport,
  isMetricSum,
  MAX_METRICS,
} from "../../../../domain/tasks/attempts/handler-report.ts";
import { toFacts } from "./facts.ts";

/** A report. What breaks the rules is left out and counted: it must not end the stream of the worker's other attempts. */
export function toHandlerReport({ metrics: entries, facts: noted }: HandlerReportMessage): HandlerReport {
  const metrics: Record<string, number> = {};
  let refusedCount = 0;
  let count = 0;
  for (const [name, value] of Object.entries(entries)) {
    if (count < MAX_METRICS && PHASE_NAME.test(name) && isMetricSum(value)) {
      metrics[name] = value;
      count++;
    } else refusedCount++;
  }
  const { facts, leftOut } = toFacts(noted);
  return { metrics, facts, refusedCount: refusedCount + leftOut };
}
