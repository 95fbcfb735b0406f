/** The slots of an attempt whose handler waits, as they are sent. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SlotReleaseSchema } from "@muster/protocol";
import { durationFromMs } from "../../duration.ts";
import type { SlotReleaseMessage } from "../messages.ts";

/** Freed slots in protobuf. */
export function releaseOf(
  { sinceMs, taskIds, ...rest }: SlotReleaseMessage,
  nowMs: number,
): MessageInitShape<typeof SlotReleaseSchema> {
  return { ...rest, taskIds: [...taskIds], age: durationFromMs(Math.max(0, nowMs - sinceMs)) };
}
