/** Decides what `/livez` and `/readyz` of a worker answer. */

/** Result of one check. */
export interface HealthCheck {
  readonly ok: boolean;
  readonly detail: string;
}

/** Answer of a probe. */
export interface HealthReport {
  readonly ok: boolean;
  /** Names of the checks that failed. */
  readonly failed: readonly string[];
  readonly checks: Readonly<Record<string, HealthCheck>>;
}

/** Facts that the checks use. */
export interface HealthFacts {
  /** A Welcome has arrived at least once. */
  readonly registered: boolean;
  /** A welcomed stream is up. */
  readonly connected: boolean;
  /** Why the last dial or stream failed, or empty. */
  readonly lastError: string;
  /** Since a heartbeat was last answered on this stream, milliseconds. */
  readonly unansweredMs: number;
  /** Longest such time on a healthy stream, milliseconds. */
  readonly answerWithinMs: number;
  /** The phase `ready` was reported. */
  readonly ready: boolean;
  readonly lastPhase: string;
  readonly draining: boolean;
  readonly paused: string | undefined;
  /** How long the main loop has been blocked, milliseconds; 0 when it is not. */
  readonly loopAgeMs: number;
  /** Longest time for which a blocked main loop counts as alive, milliseconds; 0 means no limit. */
  readonly blockedLimitMs: number;
}

/**
 * Alive: this thread answers, and the main loop has turned within the limit. A handler that computes for minutes
 * blocks the loop and must not be killed for it.
 */
export function liveness(facts: HealthFacts): HealthReport {
  const { loopAgeMs, blockedLimitMs } = facts;
  const limit = blockedLimitMs === 0 ? "no limit is set" : `the limit is ${blockedLimitMs} ms`;
  return report({
    connection: { ok: true, detail: "its thread answers" },
    main_loop: {
      ok: blockedLimitMs === 0 || loopAgeMs <= blockedLimitMs,
      detail: loopAgeMs === 0 ? "turns" : `has been blocked for ${Math.round(loopAgeMs)} ms; ${limit}`,
    },
  });
}

/** Ready: registered, on a stream that acknowledges, past the phase `ready`, and not draining. */
export function readiness(facts: HealthFacts): HealthReport {
  const { registered, connected, lastError, unansweredMs, answerWithinMs, ready, draining, paused } = facts;
  const why = lastError === "" ? "no dial has been answered yet" : lastError;
  return report({
    registered: { ok: registered, detail: registered ? "the scheduler has welcomed this worker" : why },
    stream: stream(),
    ready: {
      ok: ready,
      detail: ready ? "the startup is over" : `the startup is in phase ${facts.lastPhase || "boot"}`,
    },
    draining: {
      ok: !draining,
      detail: draining
        ? "the worker finishes what it has and ends"
        : paused === undefined
          ? "the worker takes work"
          : `the worker is paused (${paused}) and will go on`,
    },
  });

  function stream(): HealthCheck {
    if (!connected) return { ok: false, detail: `there is no stream: ${why}` };
    const silence = `heartbeats have been unanswered for ${Math.round(unansweredMs)} ms`;
    return unansweredMs <= answerWithinMs
      ? { ok: true, detail: "heartbeats are answered" }
      : { ok: false, detail: silence };
  }
}

function report(checks: Readonly<Record<string, HealthCheck>>): HealthReport {
  const failed = Object.keys(checks).filter((name) => !checks[name]?.ok);
  return { ok: failed.length === 0, failed, checks };
}
