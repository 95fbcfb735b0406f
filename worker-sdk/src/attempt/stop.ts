/** Asks handlers to stop, and reports those that do not. */
import type { Clock } from "../clock.ts";
import type { TaskLog } from "../logging/logger.ts";
import type { Deadlines } from "./deadlines.ts";
import { PhaseWatchdog } from "./phases/phase-watchdog.ts";

/** How long a cancelled handler may take before it is reported, when the scheduler names no grace. */
export const DEFAULT_GRACE_MS = 5000;

/** Why a handler was asked to stop. */
export interface StopRequest {
  readonly kind: "cancelled" | "timedOut" | "revoked" | "drain" | "exceeded";
  readonly reason: Error;
  /** How long the handler may take, milliseconds; unset where none was given. */
  readonly graceMs?: number;
}

/** Reports a handler that has not returned when its grace is over, and its return after that. */
export function watchUnwinding(
  attempt: { readonly ownLog: TaskLog },
  { kind }: StopRequest,
  graceMs: number,
  { clock, deadlines }: { readonly clock: Clock; readonly deadlines: Deadlines },
  keepsSlot: () => boolean,
): PhaseWatchdog {
  return new PhaseWatchdog(clock, deadlines, Math.max(1, graceMs), {
    stuck: (elapsedMs) =>
      attempt.ownLog.warn(
        { event: "task.cancel.unwinding", reason: kind, elapsed_ms: Math.round(elapsedMs) },
        `the handler was asked to stop and has not returned${keepsSlot() ? "; it keeps its slot" : ""}`,
      ),
    recovered: (elapsedMs) =>
      attempt.ownLog.info(
        { event: "task.cancel.unwound", reason: kind, elapsed_ms: Math.round(elapsedMs) },
        "the handler has returned",
      ),
  });
}
