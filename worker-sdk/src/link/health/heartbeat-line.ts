/** The line that a worker logs at debug for each heartbeat. */

/** What the line says. */
export interface HeartbeatFacts {
  readonly sequence: number;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly paused: boolean;
  /** Attempts that it holds. */
  readonly held: number;
  readonly slots: number;
  /** Since it came to hold none, milliseconds. */
  readonly idleMs: number;
  /** Tasks that succeeded since the process started. */
  readonly completed: number;
  readonly resources: readonly string[];
  readonly loopAgeMs: number;
}

/** The status of a worker in its own words; a pause comes before what it holds, because it explains it. */
function statusOf({ ready, draining, paused, held, slots }: HeartbeatFacts): string {
  if (draining) return "draining";
  if (!ready) return "starting";
  if (paused) return "paused";
  if (held === 0) return "idle";
  return held < slots ? "busy" : "full";
}

/** The line, for example `heartbeat sent - status: idle, idle: 34s, completed: 7`. */
export function heartbeatLine(facts: HeartbeatFacts): {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
} {
  const { sequence, held, slots, idleMs, completed, resources, loopAgeMs } = facts;
  const status = statusOf(facts);
  const idleS = Math.floor(idleMs / 1_000);
  return {
    event: "worker.heartbeat",
    fields: {
      sequence,
      status,
      held,
      slots,
      idle_s: idleS,
      tasks_completed: completed,
      resources,
      loop_age_ms: loopAgeMs,
    },
    message: `heartbeat sent - status: ${status}, ${held === 0 ? `idle: ${idleS}s` : `held: ${held}/${slots}`}, completed: ${completed}`,
  };
}
