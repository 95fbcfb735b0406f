/** Shows rejections of workers as text. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "@muster/common/text/duration-text";
import type { WorkerRefusal } from "@muster/protocol";

/** A refusal in a table: `BAD_TOKEN 3 times, last 12 s ago from 10.0.0.7:40122`. */
export function refusalText(refusal: WorkerRefusal, now: number): string {
  const { code, refusalCount, lastTime, peer } = refusal;
  const often = refusalCount === 1n ? "once" : `${refusalCount} times`;
  const when =
    lastTime === undefined
      ? ""
      : `, ${refusalCount === 1n ? "" : "last "}${formatAge(now - timestampMs(lastTime))}`;
  return `${code} ${often}${when} from ${peer}`;
}

/** The same with the message that the worker received. */
export function refusalLine(refusal: WorkerRefusal, now: number): string {
  return `${refusalText(refusal, now)}: ${refusal.message}`;
}
