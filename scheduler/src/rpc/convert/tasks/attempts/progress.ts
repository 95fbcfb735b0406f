// Progress in protobuf.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProgressSchema } from "@muster/protocol";
import type { Progress } from "../../../../domain/tasks/task.ts";
import { optional } from "../../values/optional.ts";
import { durationFromMs, timestampFromDate } from "../../values/time.ts";

/** Progress in protobuf. */
export function fromProgress(progress: Progress): MessageInitShape<typeof ProgressSchema> {
  const { fraction, done, total, unit = "", message, perSecond, leftMs, at } = progress;
  return {
    ...optional("fraction", fraction),
    ...optional("doneCount", done === undefined ? undefined : BigInt(done)),
    ...optional("totalCount", total === undefined ? undefined : BigInt(total)),
    ...optional("rate", perSecond),
    ...optional("timeLeft", leftMs === undefined ? undefined : durationFromMs(leftMs)),
    ...{ unit, message, updateTime: timestampFromDate(at) },
  };
}
