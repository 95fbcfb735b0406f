/** Durations of the wire. */
import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";

/** A duration of so many seconds. */
export function seconds(count: number): Duration {
  const whole = Math.floor(count);
  return create(DurationSchema, { seconds: BigInt(whole), nanos: Math.round((count - whole) * 1e9) });
}

/** Milliseconds of a duration; undefined for none. */
export function msOf(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
