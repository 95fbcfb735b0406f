/** Checks the schedules: those that fail, are late, or have been paused for long. */
import { IS, plural, span } from "../explain/reason.ts";
import { ON_TIME_MS, type Schedule } from "../schedules/schedule.ts";
import { type Check, type CheckStatus, fact, found, ok } from "./check.ts";

/** A pause that lasts longer may have been forgotten, milliseconds. */
const LONG_PAUSE_MS = 24 * 3_600_000;

/** Schedules that are named. */
const MAX_NAMED = 5;

interface Trouble {
  readonly schedule: Schedule;
  readonly status: Extract<CheckStatus, "note" | "warning" | "failed">;
  readonly what: string;
  readonly ageMs: number;
  readonly remedy: string;
}

const RANK = { failed: 0, warning: 1, note: 2 };

/** @param schedules Those that are paused, fail or are late. @param nowMs The database's clock. */
export function scheduleCheck(schedules: readonly Schedule[], nowMs: number): Check {
  const name = "work.schedules";
  const troubles = schedules
    .flatMap((schedule) => troubleOf(schedule, nowMs) ?? [])
    .sort((a, b) => RANK[a.status] - RANK[b.status] || b.ageMs - a.ageMs);
  const [worst] = troubles;
  if (!worst) return ok(name, "no schedule fails, is late or paused");
  const { status, what, remedy } = worst;
  return found(
    status,
    name,
    `${plural(troubles.length, "schedule", IS)} late, failing or paused: ${worst.schedule.name} ${what}`,
    remedy,
    troubles.slice(0, MAX_NAMED).map((each) => fact(each.schedule.name, each.what, each.ageMs)),
  );
}

function troubleOf(schedule: Schedule, nowMs: number): Trouble | undefined {
  const { name, pause, failure, dueMs } = schedule;
  const why = `run \`muster why schedule:${name}\``;
  if (pause) {
    const ageMs = nowMs - pause.sinceMs;
    const what = `has been paused for ${span(ageMs)} (${pause.reason})`;
    const remedy = `\`muster schedule resume ${name}\` resumes it when the reason is gone`;
    return { schedule, status: ageMs >= LONG_PAUSE_MS ? "warning" : "note", what, ageMs, remedy };
  }
  if (failure) {
    const ageMs = nowMs - failure.sinceMs;
    const what = `has been refused for ${span(ageMs)}, ${plural(failure.count, "time")} (${failure.code})`;
    return { schedule, status: "warning", what, ageMs, remedy: `${why} for the message and what to do` };
  }
  const ageMs = dueMs === undefined ? 0 : nowMs - dueMs;
  if (ageMs <= ON_TIME_MS) return undefined;
  const what = `has a tick that has been due for ${span(ageMs)}`;
  const remedy = "check the loop `schedules` in the log of the schedulers and what their statements wait for";
  return { schedule, status: "failed", what, ageMs, remedy };
}
