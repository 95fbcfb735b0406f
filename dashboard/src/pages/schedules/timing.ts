/** When the ticks of a schedule are, in words. */
import type { ScheduleSpec, ScheduleTickRecord } from "@muster/protocol";
import { ScheduleState, TickOutcome } from "@muster/protocol";
import cronstrue from "cronstrue";
import { durationMs, span } from "../../format/span.ts";
import type { Look } from "../../format/worker-state.ts";

/** Longest text that the scheduler takes. */
const MAX_EXPRESSION = 256;

/** A cron expression in words; itself when there are none for it. */
export function cronInWords(expression: string): string {
  if (expression.length > MAX_EXPRESSION) return expression;
  try {
    return cronstrue.toString(expression, { use24HourTimeFormat: true, verbose: false });
  } catch {
    // Only words are missing: the expression stands beside them.
    return expression;
  }
}

/** `At 02:30, Monday through Friday, Europe/Berlin`, `Every 10 s`. */
export function timingInWords({ timing }: Pick<ScheduleSpec, "timing">): string {
  if (timing.case === "cron")
    return `${cronInWords(timing.value.expression)}, ${timing.value.timezone || "UTC"}`;
  if (timing.case === "every") return `Every ${span(durationMs(timing.value))}`;
  return "never";
}

const STATES: Readonly<Record<ScheduleState, Look>> = {
  [ScheduleState.UNSPECIFIED]: { word: "unknown", tone: "plain" },
  [ScheduleState.ACTIVE]: { word: "active", tone: "good" },
  [ScheduleState.FAILING]: { word: "submit refused", tone: "bad" },
  [ScheduleState.PAUSED]: { word: "paused", tone: "warn" },
  [ScheduleState.ENDED]: { word: "ended", tone: "plain" },
};

export function scheduleLook(state: ScheduleState): Look {
  return STATES[state] ?? STATES[ScheduleState.UNSPECIFIED];
}

const OUTCOMES: Readonly<Record<TickOutcome, Look>> = {
  [TickOutcome.UNSPECIFIED]: { word: "unknown", tone: "plain" },
  [TickOutcome.SUBMITTED]: { word: "submitted", tone: "good" },
  [TickOutcome.DUPLICATE]: { word: "was there already", tone: "plain" },
  [TickOutcome.SKIPPED]: { word: "skipped", tone: "warn" },
  [TickOutcome.MISSED]: { word: "missed", tone: "bad" },
};

export function tickLook({ outcome, count }: Pick<ScheduleTickRecord, "outcome" | "count">): Look {
  const look = OUTCOMES[outcome] ?? OUTCOMES[TickOutcome.UNSPECIFIED];
  return count > 1n ? { ...look, word: `${count} ${look.word}` } : look;
}

/** A moment by the clock of a time zone; by UTC, and saying so, where the browser does not know the zone. */
export function inZone(ms: number | undefined, timeZone: string): string {
  if (ms === undefined) return "–";
  const format = (zone: string) =>
    new Date(ms).toLocaleString("en-GB", {
      weekday: "short",
      day: "2-digit",
      month: "short",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZone: zone,
    });
  try {
    return format(timeZone);
  } catch {
    return `${format("UTC")} UTC`;
  }
}
