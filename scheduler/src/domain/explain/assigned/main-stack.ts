/** Where the main loop of a worker is blocked, as evidence. */
import type { HeartbeatRecord } from "../../workers/worker.ts";
import type { Evidence } from "../reason.ts";

/** Frames that are shown; `muster worker ID` has all. */
const SHOWN = 6;

/** The innermost frames of the stack that came with a heartbeat; nothing without one. @param beatAgeMs Age of the heartbeat. */
export function stackEvidence(beat: HeartbeatRecord | undefined, beatAgeMs: number): Evidence[] {
  const stack = beat?.mainStack;
  if (!stack || stack.frames.length === 0) return [];
  const value = stack.frames.slice(0, SHOWN).join(" < ");
  return [{ key: "blocked_at", value, source: "heartbeat", ageMs: beatAgeMs + stack.ageMs }];
}
