/** Logs failures of OpenTelemetry's exporters. */
import { cut } from "@muster/common/text/text";
import type { DiagLogger } from "@opentelemetry/api";
import type { Clock } from "../../clock.ts";
import type { Logger } from "./logger.ts";

/** A failing export is logged once in this time, not at every try, milliseconds. */
const REPEAT_MS = 60_000;

/** Different messages remembered; beyond it the oldest is forgotten and may be logged again. */
const MAX_REMEMBERED = 50;

/** Longest message that is written; exporters hang whole responses on theirs. */
const MAX_LENGTH = 1_000;

/** Writes the diagnostics of the OpenTelemetry libraries into the log, each message once a minute. */
export function diagnostics(log: Logger, clock: Clock): DiagLogger {
  const saidAt = new Map<string, number>();
  const say = (level: "debug" | "info" | "warn") => (message: string) => {
    const text = cut(message, MAX_LENGTH);
    const now = clock.monotonic();
    if (now - (saidAt.get(text) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    saidAt.delete(text);
    saidAt.set(text, now);
    const [oldest] = saidAt.keys();
    if (saidAt.size > MAX_REMEMBERED && oldest !== undefined) saidAt.delete(oldest);
    log[level]("telemetry.diagnostic", { message: text });
  };
  // A failed export loses telemetry; it is no failure of the scheduler.
  return {
    error: say("warn"),
    warn: say("warn"),
    info: say("info"),
    debug: say("debug"),
    verbose: say("debug"),
  };
}
