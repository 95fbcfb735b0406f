/** What the handler of a running attempt has said of its silence, in words. */
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge, formatDuration } from "@muster/common/text/duration-text";
import type { QuietExpectation, Worker } from "@muster/protocol";

/** `silent for up to 30 min, until 2026-01-01T12:00:00.000Z (in 12 min): compiles`. @param now Milliseconds since the epoch. */
export function expectationText(
  { quietFor, age, reason }: QuietExpectation,
  heartbeatTime: Worker["heartbeatTime"],
  now: number,
): string {
  const forMs = quietFor ? durationMs(quietFor) : 0;
  const restMs = forMs - (age ? durationMs(age) : 0);
  const endMs = (heartbeatTime ? timestampMs(heartbeatTime) : now) + restMs;
  const until = `until ${new Date(endMs).toISOString()} (${formatAge(now - endMs)})`;
  return `silent for up to ${formatDuration(forMs)}, ${until}${reason === "" ? "" : `: ${reason}`}`;
}

/** The same of the attempt that the worker runs; undefined when its handler has said nothing of the kind. */
export function attemptExpectation(
  { running, heartbeatTime }: Pick<Worker, "running" | "heartbeatTime">,
  attemptId: string,
  now: number,
): string | undefined {
  const expectation = running.find((attempt) => attempt.attemptId === attemptId)?.expectation;
  return expectation && expectationText(expectation, heartbeatTime, now);
}
