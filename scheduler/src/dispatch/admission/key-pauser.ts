/** Pauses rate limit keys for handlers that ask for it. */
import { quoted } from "@muster/common/text/text";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { RateLimitStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Session } from "../sessions/session.ts";
import type { RateLimits } from "./rate-limits.ts";

/** What a handler asks for. */
export interface AskedPause {
  readonly attempt: AttemptKey;
  readonly key: string;
  readonly ms: number;
  readonly reason: string;
}

/** Until the end of the key's pause, or why nothing was stored. */
export type PauseAnswer = { readonly leftMs: number } | { readonly error: string };

export interface KeyPauserParts {
  readonly store: Pick<RateLimitStore, "pauseKey">;
  readonly rateLimits: Pick<RateLimits, "pause">;
  readonly schedulerId: string;
  readonly counters: Pick<Counters, "keyPauses">;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** The attempt must be the worker's when the request arrives, and the session this scheduler's when it is stored. */
export class KeyPauser {
  readonly #parts: KeyPauserParts;

  constructor(parts: KeyPauserParts) {
    this.#parts = parts;
  }

  /** Never throws: the handler gets the reason. */
  async pause(session: Session, { attempt, key, ms, reason }: AskedPause): Promise<PauseAnswer> {
    const { store, rateLimits, schedulerId, counters, log } = this.#parts;
    const attemptId = formatAttemptId(attempt);
    if (session.attempts.get(attempt.taskId)?.epoch !== attempt.epoch)
      return { error: `${attemptId} is no longer this worker's` };
    const by = { name: `${attemptId} on ${session.workerId}`, sessionId: session.id, schedulerId };
    try {
      const result = await store.pauseKey({ key, ms, reason, by });
      if (result === "session_over")
        return { error: "the worker's session has ended, or is another scheduler's" };
      if (result === "unknown_key")
        return {
          error: `no task ever had the rate limit key ${quoted(key)}; give one of a task's rate limits`,
        };
      rateLimits.pause(key, result.leftMs);
      counters.keyPauses++;
      log.info("rate_limit.paused", { key, requester: by.name, left_ms: Math.round(result.leftMs), reason });
      return result;
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) log.warn("rate_limit.pause_failed", { key, error });
      const why = error instanceof Error ? error.message : String(error);
      return { error: `the database did not store the pause: ${why}` };
    }
  }
}
