/** Writes the settings of a queue as `muster queue set` takes them. */
import type { BuildRule, QueueSettings } from "@muster/protocol";
import { MODE_SETTINGS, modeName } from "../../arguments/modes.ts";
import { backoffText, delaysText } from "./backoff-text.ts";

/** `max-retries=5 backoff=1m,5m`; empty without settings. */
export function queueSettingsText(settings: QueueSettings | undefined): string {
  if (settings === undefined) return "";
  const { maxRetryCount, backoff, lostBackoff, retention, buildRule } = settings;
  const modes = MODE_SETTINGS.flatMap(({ mechanism, field }) => {
    const mode = settings[field];
    return mode === undefined ? [] : [`${mechanism}=${modeName(mode)}`];
  });
  return [
    ...(maxRetryCount === undefined ? [] : [`max-retries=${maxRetryCount}`]),
    ...(backoff.case === undefined ? [] : [`backoff=${backoffText(backoff)}`]),
    ...(lostBackoff === undefined ? [] : [`lost-backoff=${delaysText(lostBackoff)}`]),
    ...(retention === undefined ? [] : [`retention=${Number(retention.seconds) / 86_400}d`]),
    ...(buildRule === undefined ? [] : [`build=${buildRuleText(buildRule)}`]),
    ...(modes.length === 0 ? [] : [`mode=${modes.join(",")}`]),
  ].join(" ");
}

/** `pin:12,ramp:13=10%`. */
export function buildRuleText({ pinnedBuildId, ramp }: BuildRule): string {
  return [
    ...(pinnedBuildId === "" ? [] : [`pin:${pinnedBuildId}`]),
    ...(ramp ? [`ramp:${ramp.buildId}=${Number((ramp.share * 100).toFixed(4))}%`] : []),
  ].join(",");
}
