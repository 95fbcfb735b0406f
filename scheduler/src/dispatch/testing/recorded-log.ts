import { type Logger, silentLogger } from "../../telemetry/logs/logger.ts";

/** A log that keeps the names of the events of info, warn and error. */
export function recordedLog(): { readonly log: Logger; readonly events: string[] } {
  const events: string[] = [];
  const keep = (event: string) => void events.push(event);
  return { log: { ...silentLogger, info: keep, warn: keep, error: keep }, events };
}
