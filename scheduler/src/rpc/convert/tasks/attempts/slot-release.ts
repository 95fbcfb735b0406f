// The slots of an attempt whose handler waits, from protobuf and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { MAX_NAMED_WAITS, MAX_WAIT_REASON, type SlotRelease, type SlotReleaseSchema } from "@muster/protocol";
import { formatTaskId, parseTaskId } from "../../../../domain/ids.ts";
import type { SlotReleaseRecord } from "../../../../domain/tasks/attempts/slot-release.ts";
import { storable } from "../../values/text.ts";
import { durationFromMs, toMs } from "../../values/time.ts";

/** More than any worker can wait for. */
const MAX_TASKS = 1_000_000_000;

/** Freed slots from protobuf. What is no id of a task is left out. */
export function toSlotRelease(release: SlotRelease): SlotReleaseRecord {
  const taskIds = release.taskIds.slice(0, MAX_NAMED_WAITS).flatMap((id) => {
    const task = parseTaskId(id);
    return task === undefined ? [] : formatTaskId(task);
  });
  return {
    ageMs: toMs(release.age) ?? 0,
    taskIds,
    taskCount: Math.min(Math.max(release.taskCount, taskIds.length), MAX_TASKS),
    reason: storable(release.reason, MAX_WAIT_REASON),
    returning: release.returning,
  };
}

/** Freed slots in protobuf. */
export function fromSlotRelease(release: SlotReleaseRecord): MessageInitShape<typeof SlotReleaseSchema> {
  const { ageMs, taskIds, ...rest } = release;
  return { ...rest, taskIds: [...taskIds], age: durationFromMs(Math.round(ageMs)) };
}
