// The tick of a scheduled task in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ScheduleTickSchema } from "@muster/protocol";
import type { ScheduleTick } from "../../../domain/schedules/schedule.ts";
import { timestampFromMs } from "../values/time.ts";

/** The tick of a scheduled task in protobuf. */
export function fromScheduleTick(tick: ScheduleTick): MessageInitShape<typeof ScheduleTickSchema> {
  return {
    schedule: tick.schedule,
    tickTime: timestampFromMs(tick.tickMs),
    manual: tick.manual ?? false,
  };
}
