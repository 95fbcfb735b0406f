import { cut } from "@muster/common/text";
import type { DiagLogger } from "@opentelemetry/api";
import type { Clock } from "../../clock.ts";
import type { Logger } from "./logger.ts";

/** A collector that is away is told of once in this time, not at every export, milliseconds. */
const REPEAT_MS = 60_000;

/** Different messages remembered; beyond it the oldest is forgotten and may be said again. */
const MAX_REMEMBERED = 50;

/** Longest message that is written; exporters hang whole responses on theirs. */
const MAX_LENGTH = 1_000;

/** Writes what the OpenTelemetry libraries say of themselves into the log, each message once a minute. */
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
  // An export that fails is a nuisance for whoever looks at telemetry, not a failure of the scheduler.
  return {
    error: say("warn"),
    warn: say("warn"),
    info: say("info"),
    debug: say("debug"),
    verbose: say("debug"),
  };
}
