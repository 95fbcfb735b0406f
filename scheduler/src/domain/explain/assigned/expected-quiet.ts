/** What the handler of a running attempt has said of its silence. */
import { isQuiet, type QuietRecord } from "../../tasks/attempts/watchdog.ts";
import type { RunningRecord } from "../../workers/worker.ts";
import { type Evidence, span } from "../reason.ts";
import type { ActiveFacts } from "./active-facts.ts";

/** An expectation in the last heartbeat that has the attempt; its ages count up to the present. */
export interface ExpectedQuiet {
  readonly record: QuietRecord;
  /** Age of the heartbeat that has it. */
  readonly beatAgeMs: number;
  readonly now: Date;
}

/** The expectation of an attempt; undefined when it has none, or when something newer than the heartbeat has ended it. */
export function expectedQuiet(
  { task, holder, now }: Pick<ActiveFacts, "task" | "holder" | "now">,
  running: RunningRecord | undefined,
): ExpectedQuiet | undefined {
  const beatTime = holder?.record.heartbeatTime;
  if (!running?.expectation || beatTime === undefined) return undefined;
  const moved = [task.progress?.at, task.phaseTime].some((at) => at !== undefined && at > beatTime);
  if (moved) return undefined;
  const beatAgeMs = Math.max(0, now.getTime() - beatTime.getTime());
  return {
    record: { ...running.expectation, ageMs: running.expectation.ageMs + beatAgeMs },
    beatAgeMs,
    now,
  };
}

/** `; its handler said 2 min ago that it will be silent for 30 min (compiles), until 2026-01-01T12:00:00.000Z`; empty without one. */
export function quietWords(expected: ExpectedQuiet | undefined): string {
  if (!expected) return "";
  const { quietForMs, ageMs, reason } = expected.record;
  const why = reason === "" ? "" : ` (${reason})`;
  return isQuiet(expected.record)
    ? `; its handler said ${span(ageMs)} ago that it will be silent for up to ${span(quietForMs)}${why}, until ${endOf(expected)}`
    : `; its handler had said that it would be silent for up to ${span(quietForMs)}${why}, which was over ${span(ageMs - quietForMs)} ago`;
}

/** The same as facts. */
export function quietEvidence(expected: ExpectedQuiet | undefined): Evidence[] {
  if (!expected) return [];
  const { record, beatAgeMs } = expected;
  const fact = (key: string, value: string): Evidence => ({
    key,
    value,
    source: "heartbeat",
    ageMs: beatAgeMs,
  });
  return [
    fact("quiet_until", endOf(expected)),
    fact("quiet_for_ms", String(Math.round(record.quietForMs))),
    ...(record.reason === "" ? [] : [fact("quiet_reason", record.reason)]),
  ];
}

function endOf({ record, now }: ExpectedQuiet): string {
  return new Date(now.getTime() + record.quietForMs - record.ageMs).toISOString();
}
