/** Explains that the tasks of a queue are bound to a build. */
import type { BuildRule } from "../../builds/build-rule.ts";
import { type Reason, span } from "../reason.ts";

/** Who set it, when and why. */
export interface RuleSetting {
  readonly reason: string;
  readonly since: Date;
}

/** `QUEUE_BUILD_RULE`: which builds the tasks of the queue run on. */
export function queueBuildRule(
  name: string,
  { pin, ramp }: BuildRule,
  setting: RuleSetting | undefined,
  now: Date,
): Reason {
  const share = ramp ? `${Number((ramp.share * 100).toFixed(4))} % of its tasks to build ${ramp.build}` : "";
  const rest = pin === undefined ? "" : ramp ? `the others to build ${pin}` : `its tasks to build ${pin}`;
  const who = setting
    ? `, set ${span(now.getTime() - setting.since.getTime())} ago${setting.reason ? `: ${setting.reason}` : ""}`
    : "";
  return {
    code: "QUEUE_BUILD_RULE",
    summary: `the queue binds ${[share, rest].filter(Boolean).join(" and ")}${who}`,
    ...(setting ? { since: setting.since } : {}),
    evidence: [
      ...(pin === undefined ? [] : [{ key: "pin", value: pin, source: "database" }]),
      ...(ramp ? [{ key: "ramp", value: `${ramp.build}=${ramp.share}`, source: "database" }] : []),
    ],
    remedy: `none while that is meant; \`muster queue build ${name} --clear\` takes it back`,
  };
}
