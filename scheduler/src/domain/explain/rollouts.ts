/** Explains the rollout of a pool. */
import type { PoolRecord } from "../pools/pool.ts";
import { templateName } from "../pools/rollout.ts";
import { type RolloutProgress, remainderInWords } from "../pools/rollout-progress.ts";
import type { Rollout } from "../pools/rollout-record.ts";
import { type Evidence, HAS, plural, type Reason, span } from "./reason.ts";

/** Workers of other templates that are shown. */
const MAX_REMAINING = 10;

/** The reasons of a pool whose template has changed; none when all workers have it. */
export function rolloutReasons(
  { spec: { name }, rollout: { now, stable } }: PoolRecord,
  progress: RolloutProgress | undefined,
  nowMs: number,
): Reason[] {
  if (!now || !progress) return [];
  return [
    now.pause
      ? pausedRollout(name, now, stable?.version, progress, nowMs)
      : goingOn(name, now, progress, nowMs),
  ];
}

function pausedRollout(
  name: string,
  { to, from, pause }: Rollout,
  stable: number | undefined,
  progress: RolloutProgress,
  nowMs: number,
): Reason {
  const { atMs = nowMs, failed = 0, launchId = "", cause = "", summary = "" } = pause ?? {};
  const earlier = templateName(from);
  return {
    code: "ROLLOUT_PAUSED",
    summary: `the rollout of pool ${name} to ${templateName(to)} is paused since ${span(nowMs - atMs)}: ${failed === 1 ? "1 launch of it failed or was" : `${failed} launches of it failed or were`} lost, the last one (${launchId}) with ${cause}: ${summary}; ${plural(progress.remaining.length, "worker")} of ${earlier} ${progress.remaining.length === 1 ? "stays" : "stay"}`,
    since: new Date(atMs),
    evidence: [
      { key: "failed", value: String(failed), source: "database" },
      { key: "cause", value: cause, source: "launch" },
      { key: "launch", value: launchId, source: "database" },
      { key: "template_version", value: String(to.version), source: "database" },
      ...(stable === undefined
        ? []
        : [{ key: "stable_template_version", value: String(stable), source: "database" }]),
      ...remaining(progress),
    ],
    remedy: `go back with \`muster pool rollback ${name}\`, or apply a corrected template; \`muster pool resume ${name}\` tries this one again`,
  };
}

function goingOn(
  name: string,
  { from, to, back, startMs, reason }: Rollout,
  progress: RolloutProgress,
  nowMs: number,
): Reason {
  const { updatedReady, remaining: left } = progress;
  return {
    code: "ROLLING_OUT",
    summary: `pool ${name} ${back ? "goes back" : "changes"} from ${templateName(from)} to ${templateName(to)} since ${span(nowMs - startMs)}: ${plural(updatedReady, "worker", HAS)} it, ${left.length} of other templates ${left.length === 1 ? "remains" : "remain"}`,
    since: new Date(startMs),
    evidence: [{ key: "reason", value: reason, source: "database" }, ...remaining(progress)],
    remedy: `wait; \`muster pool status ${name}\` shows how far it is`,
  };
}

function remaining({ remaining: left }: RolloutProgress): Evidence[] {
  return left
    .slice(0, MAX_REMAINING)
    .map((each) => ({ key: "remaining", value: remainderInWords(each), source: "heartbeat" }));
}
