/** Writes the settings of a queue as `muster queue set` takes them. */
import type { QueueSettings } from "@muster/protocol";
import { backoffText, delaysText } from "./backoff-text.ts";

/** `max-retries=5 backoff=1m,5m`; empty without settings. */
export function queueSettingsText(settings: QueueSettings | undefined): string {
  if (settings === undefined) return "";
  const { maxRetryCount, backoff, lostBackoff } = settings;
  return [
    ...(maxRetryCount === undefined ? [] : [`max-retries=${maxRetryCount}`]),
    ...(backoff.case === undefined ? [] : [`backoff=${backoffText(backoff)}`]),
    ...(lostBackoff === undefined ? [] : [`lost-backoff=${delaysText(lostBackoff)}`]),
  ].join(" ");
}
