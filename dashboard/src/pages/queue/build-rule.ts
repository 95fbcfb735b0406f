/** On which builds the tasks of a queue run, in words. */
import type { BuildRule } from "@muster/protocol";

/** `pinned to 7; 10 % on 8`; `any` without a rule. */
export function buildRuleText(rule: BuildRule | undefined): string {
  if (rule === undefined) return "any";
  const { pinnedBuildId, ramp } = rule;
  return [
    pinnedBuildId === "" ? "" : `pinned to ${pinnedBuildId}: tasks wait while it does not run`,
    ramp ? `${Math.round(ramp.share * 1_000) / 10} % on ${ramp.buildId}` : "",
  ]
    .filter((part) => part !== "")
    .join("; ");
}
