/** What of a worker is blocked, in words. */
import type { HeartbeatRecord } from "../../workers/worker.ts";
import { type Evidence, span } from "../reason.ts";

/** Follows `it is alive, but `. */
export function blockedWords(beat: HeartbeatRecord | undefined): string {
  const age = span(beat?.loopAgeMs ?? 0);
  return beat?.blockedBy === "interpreter"
    ? `no thread of its interpreter has run for ${age}`
    : `its main loop has been blocked for ${age}`;
}

/** What to do about it. @param what That it blocks, for example `every task on gpu-1`. */
export function unblockRemedy(beat: HeartbeatRecord | undefined, what: string): string {
  return beat?.blockedBy === "interpreter"
    ? `run the native code that holds the interpreter in a process of its own, or let it release the interpreter's lock: it blocks ${what} (a process that was stopped by SIGSTOP looks the same)`
    : `move the computation of the handler to a thread or a child process: it blocks ${what}`;
}

/** Where a worker says what is blocked. */
export function blockedEvidence(beat: HeartbeatRecord | undefined, ageMs: number): Evidence[] {
  if (beat?.blockedBy === undefined) return [];
  return [{ key: "blocked_by", value: beat.blockedBy, source: "heartbeat", ageMs }];
}
