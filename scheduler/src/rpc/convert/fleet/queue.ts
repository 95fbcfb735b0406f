// A queue in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { QueueSchema } from "@muster/protocol";
import type { RecentCompletions } from "../../../domain/recent-completions.ts";
import type { QueueDepth, QueueRate } from "../../../store/store.ts";
import { fromBucket } from "../tasks/limits/rate-limits.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs, timestampFromDate } from "../values/time.ts";
import { fromQueueSettings } from "./queue-settings.ts";

/** A queue in protobuf, with what is in it, and what has succeeded of late, by type. */
export function fromQueue(queue: QueueDepth, recent: RecentCompletions, rate?: QueueRate) {
  const { name, pauseTime, pauseReason, limit, weight, weightSet, ready, scheduled, active } = queue;
  const { oldestReadyAgeMs, oldestFirstAgeMs, settings, settingsSet } = queue;
  return {
    name,
    paused: pauseTime !== undefined,
    pauseReason: pauseReason ?? "",
    ...(pauseTime ? { pauseTime: timestampFromDate(pauseTime) } : {}),
    ...(limit
      ? {
          maxWaitingCount: BigInt(limit.max),
          limitReason: limit.reason,
          limitTime: timestampFromDate(limit.since),
        }
      : {}),
    ...(rate
      ? { rate: fromBucket(rate.bucket), rateReason: rate.reason, rateTime: timestampFromDate(rate.time) }
      : {}),
    weight,
    ...(weightSet ? { weightReason: weightSet.reason, weightTime: timestampFromDate(weightSet.since) } : {}),
    ...optional("settings", settings && fromQueueSettings(settings)),
    ...(settingsSet
      ? { settingsReason: settingsSet.reason, settingsTime: timestampFromDate(settingsSet.since) }
      : {}),
    readyCount: BigInt(ready),
    scheduledCount: BigInt(scheduled),
    activeCount: BigInt(active),
    ...(oldestReadyAgeMs === undefined
      ? {}
      : { oldestReadyAge: durationFromMs(Math.max(0, oldestReadyAgeMs)) }),
    ...(oldestFirstAgeMs === undefined
      ? {}
      : { oldestFirstAttemptAge: durationFromMs(Math.max(0, oldestFirstAgeMs)) }),
    recentCompletedCount: BigInt(recent.ofQueue(name)),
    ...(recent.ageMs === undefined ? {} : { recentCompletedAge: durationFromMs(Math.max(0, recent.ageMs)) }),
    taskTypes: queue.types.map((depth) => ({
      taskType: depth.type,
      readyCount: BigInt(depth.ready),
      scheduledCount: BigInt(depth.scheduled),
      activeCount: BigInt(depth.active),
      recentCompletedCount: BigInt(recent.ofType(name, depth.type)),
    })),
    taskTypeCount: BigInt(queue.typeCount),
  } satisfies MessageInitShape<typeof QueueSchema>;
}
