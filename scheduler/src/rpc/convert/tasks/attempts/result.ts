// The result of an attempt, from protobuf; its metrics in both directions.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AttemptMetricsSchema, TaskResult } from "@muster/protocol";
import type { ReportedResult } from "../../../../dispatch/attempts/result-committer.ts";
import type { SizeLimits } from "../../../../dispatch/limits.ts";
import { MAX_FAILURE_MESSAGE, type Warning } from "../../../../domain/tasks/outcome/failure.ts";
import type { Outcome } from "../../../../domain/tasks/outcome/outcome.ts";
import type { AttemptMetrics } from "../../../../domain/tasks/task.ts";
import type { PlainSuccess } from "../../../codec/results-frame.ts";
import { toCount } from "../../values/numbers.ts";
import { optional } from "../../values/optional.ts";
import { storable } from "../../values/text.ts";
import { boundMs, durationFromMs, toMs } from "../../values/time.ts";
import { MAX_PHASES } from "../../workers/limits.ts";
import { toAttemptKey, toIterations } from "./attempt-report.ts";
import { toFailure } from "./failure.ts";

/**
 * A result; one that breaks the contract becomes a failure of its task, because sending it again would
 * break it again.
 */
export function toResult(result: TaskResult | PlainSuccess, limits: SizeLimits): ReportedResult {
  if (!("$typeName" in result)) return toPlainResult(result, limits);
  return {
    key: toAttemptKey(result.attemptId),
    outcome: toOutcome(result, limits),
    metrics: toMetrics(result),
    ...optional("iterations", toIterations(result.iterationCount)),
  };
}

function toPlainResult(plain: PlainSuccess, limits: SizeLimits): ReportedResult {
  return {
    key: toAttemptKey(plain.attemptId),
    outcome: toSuccess(plain.output, plain.contentType, NONE, limits),
    metrics: {
      runMs: boundMs(plain.runMs),
      phases: NONE,
      peakRssBytes: toCount(plain.peakRssBytes),
    },
  };
}

const NONE: readonly never[] = Object.freeze([]);

function toOutcome({ outcome }: TaskResult, limits: SizeLimits): Outcome {
  switch (outcome.case) {
    case "succeeded": {
      const { output, contentType, warnings } = outcome.value;
      return toSuccess(
        output,
        contentType,
        warnings.map((warning) => ({
          step: storable(warning.step, 256),
          code: storable(warning.code, 64),
          message: storable(warning.message, MAX_FAILURE_MESSAGE),
        })),
        limits,
      );
    }
    case "failed":
      return { kind: "failed", failure: toFailure(outcome.value) };
    case "cancelled":
      return { kind: "cancelled", message: outcome.value.message };
    case "released":
      return { kind: "released", reason: storable(outcome.value.reason, 64) || "released" };
    default:
      return {
        kind: "failed",
        failure: {
          failureClass: "non_retryable",
          code: "INVALID_RESULT",
          message: "the worker sent a result without an outcome that this scheduler knows",
        },
      };
  }
}

function toSuccess(
  output: Uint8Array,
  contentType: string,
  warnings: readonly Warning[],
  limits: SizeLimits,
): Outcome {
  if (output.byteLength > limits.maxResultBytes)
    return resultTooLarge(output.byteLength, limits.maxResultBytes);
  return {
    kind: "succeeded",
    output,
    contentType: storable(contentType, 256) || "application/json",
    warnings,
  };
}

function resultTooLarge(bytes: number, limit: number): Outcome {
  return {
    kind: "failed",
    failure: {
      failureClass: "non_retryable",
      code: "RESULT_TOO_LARGE",
      message: `the result has ${bytes} bytes; at most ${limit} are allowed: store it elsewhere and return a reference`,
    },
  };
}

function toMetrics({ metrics }: TaskResult): AttemptMetrics | undefined {
  if (!metrics) return undefined;
  return {
    runMs: toMs(metrics.runDuration) ?? 0,
    phases: metrics.phases.slice(0, MAX_PHASES).map(({ phase, duration, failed, timeout }) => ({
      phase: storable(phase, 128),
      durationMs: toMs(duration) ?? 0,
      failed,
      ...optional("timeoutMs", toMs(timeout)),
    })),
    peakRssBytes: toCount(metrics.peakRssBytes),
  };
}

/** Metrics of an attempt in protobuf. */
export function fromMetrics(metrics: AttemptMetrics): MessageInitShape<typeof AttemptMetricsSchema> {
  return {
    runDuration: durationFromMs(Math.round(metrics.runMs)),
    phases: metrics.phases.map(({ phase, durationMs, failed, timeoutMs }) => ({
      phase,
      duration: durationFromMs(Math.round(durationMs)),
      failed,
      ...optional("timeout", timeoutMs === undefined ? undefined : durationFromMs(Math.round(timeoutMs))),
    })),
    peakRssBytes: BigInt(Math.round(metrics.peakRssBytes)),
  };
}
