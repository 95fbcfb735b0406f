/** Writes the settings of a queue as `muster queue set` takes them. */
import type { QueueSettings } from "@muster/protocol";
import { MODE_SETTINGS, modeName } from "../../arguments/modes.ts";
import { backoffText, delaysText } from "./backoff-text.ts";

/** `max-retries=5 backoff=1m,5m`; empty without settings. */
export function queueSettingsText(settings: QueueSettings | undefined): string {
  if (settings === undefined) return "";
  const { maxRetryCount, backoff, lostBackoff, retention } = settings;
  const modes = MODE_SETTINGS.flatMap(({ mechanism, field }) => {
    const mode = settings[field];
    return mode === undefined ? [] : [`${mechanism}=${modeName(mode)}`];
  });
  return [
    ...(maxRetryCount === undefined ? [] : [`max-retries=${maxRetryCount}`]),
    ...(backoff.case === undefined ? [] : [`backoff=${backoffText(backoff)}`]),
    ...(lostBackoff === undefined ? [] : [`lost-backoff=${delaysText(lostBackoff)}`]),
    ...(retention === undefined ? [] : [`retention=${Number(retention.seconds) / 86_400}d`]),
    ...(modes.length === 0 ? [] : [`mode=${modes.join(",")}`]),
  ].join(" ");
}
