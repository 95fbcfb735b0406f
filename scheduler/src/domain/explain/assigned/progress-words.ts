/** How far a handler is, in words. */
import type { Progress } from "../../tasks/task.ts";
import { span } from "../reason.ts";

/** `45 % done, about 12 s left`; empty when the handler gives neither a share nor counts. */
export function progressWords(progress: Partial<Progress> | undefined): string {
  if (progress === undefined) return "";
  const { fraction, done, total, unit, leftMs } = progress;
  const share = fraction ?? (done !== undefined && total ? Math.min(1, done / total) : undefined);
  const counted = done === undefined ? "" : [done, unit, "done"].filter(Boolean).join(" ");
  return [
    share === undefined ? counted : `${Math.round(share * 100)} % done`,
    leftMs === undefined ? "" : `about ${span(leftMs)} left`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}
