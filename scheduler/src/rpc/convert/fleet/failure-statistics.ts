/** Counts of failures in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  encodeFacts,
  type FailureGroupSchema,
  type FailureStatisticsSchema,
  type GetFailureStatisticsResponseSchema,
} from "@muster/protocol";
import { formatAttemptId, formatTaskId } from "../../../domain/ids.ts";
import type { FailureCounts, FailureGroup, FailureStatistics } from "../../../store/store.ts";
import { durationFromMs, timestampFromDate } from "../values/time.ts";

/** Successes in the same window. */
interface Succeeded {
  /** Undefined when it is not known. */
  readonly count: number | undefined;
  readonly ageMs: number | undefined;
}

/** Counts of failures with the success rate. */
export function fromFailureStatistics(
  { readTime, startTime, truncated, stepMs, attempts, tasks }: FailureStatistics,
  succeeded: Succeeded,
): MessageInitShape<typeof GetFailureStatisticsResponseSchema> {
  return {
    readTime: timestampFromDate(readTime),
    startTime: timestampFromDate(startTime),
    truncated,
    ...(stepMs === undefined ? {} : { step: durationFromMs(stepMs) }),
    attempts: fromCounts(attempts, succeeded.count),
    tasks: fromCounts(tasks, succeeded.count),
    ...(succeeded.ageMs === undefined ? {} : { succeededAge: durationFromMs(Math.max(0, succeeded.ageMs)) }),
  };
}

function fromCounts(
  { count, groups, groupCount }: FailureCounts,
  succeeded: number | undefined,
): MessageInitShape<typeof FailureStatisticsSchema> {
  const ended = count + (succeeded ?? 0);
  return {
    failedCount: BigInt(count),
    groups: groups.map(fromGroup),
    groupCount: BigInt(groupCount),
    ...(succeeded === undefined ? {} : { succeededCount: BigInt(succeeded) }),
    ...(succeeded === undefined || ended === 0 ? {} : { successRate: succeeded / ended }),
  };
}

function fromGroup(group: FailureGroup): MessageInitShape<typeof FailureGroupSchema> {
  const { taskId, epoch, message, facts, workerId } = group.example;
  return {
    cause: group.cause,
    code: group.code,
    failedCount: BigInt(group.count),
    firstTime: timestampFromDate(group.firstTime),
    lastTime: timestampFromDate(group.lastTime),
    exampleTaskId: formatTaskId(taskId),
    exampleAttemptId: epoch === undefined ? "" : formatAttemptId({ taskId, epoch }),
    exampleMessage: message,
    exampleWorkerId: workerId,
    exampleFacts: encodeFacts(facts ?? {}),
    taskType: group.place?.type ?? "",
    topFrame: group.place?.topFrame ?? "",
    counts: [...(group.place?.counts ?? [])],
  };
}
