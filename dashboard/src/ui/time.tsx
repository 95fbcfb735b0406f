/** Times: relative, with the exact one on hover. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ReactNode } from "react";
import { useNow } from "../data/clock.ts";
import { span, timestampMs } from "../format/span.ts";

/** `3 min ago`, `in 5 s`. An unset time is a dash. */
export function Ago({ time }: { time: Timestamp | undefined }): ReactNode {
  const now = useNow();
  const at = timestampMs(time);
  if (at === undefined) return <span className="muted">–</span>;
  const exact = new Date(at);
  const age = now - at;
  const words =
    Math.abs(age) < 1_000 ? "now" : age > 0 ? `${span(whole(age))} ago` : `in ${span(whole(-age))}`;
  return (
    <time dateTime={exact.toISOString()} title={exact.toLocaleString()}>
      {words}
    </time>
  );
}

/** Without fractions of a second, which would flicker. */
function whole(ms: number): number {
  return ms < 10_000 ? Math.floor(ms / 1_000) * 1_000 : ms;
}
