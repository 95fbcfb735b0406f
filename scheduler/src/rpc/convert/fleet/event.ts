// An event in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { EventSchema } from "@muster/protocol";
import { formatAttemptId, formatTaskId } from "../../../domain/ids.ts";
import type { EventRecord } from "../../../store/store.ts";
import { timestampFromDate } from "../values/time.ts";

/** An event in protobuf. */
export function fromEvent(event: EventRecord): MessageInitShape<typeof EventSchema> {
  const { taskId, epoch } = event;
  return {
    id: BigInt(event.id),
    time: timestampFromDate(event.time),
    name: event.name,
    taskId: taskId === undefined ? "" : formatTaskId(taskId),
    attemptId: taskId === undefined || !epoch ? "" : formatAttemptId({ taskId, epoch }),
    workerId: event.workerId ?? "",
    attributes: { ...event.attributes },
  };
}
