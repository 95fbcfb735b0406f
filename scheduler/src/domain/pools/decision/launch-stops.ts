/** Which launches of a pool stop: those above the number that is kept, and those that a rollout replaces. */
import { plural, span } from "../../explain/reason.ts";
import { type KnownLaunch, launchState, type PoolStop } from "../pool-launch.ts";
import { templateName } from "../rollout.ts";
import type { Rollout } from "../rollout-record.ts";
import type { LaunchChange, PoolFacts } from "./pool-decision.ts";

/** The launches above the number that is kept: those that were not sent, then the workers that have been idle longest. */
export function surplusOf(
  { pool, nowMs }: PoolFacts,
  serving: readonly KnownLaunch[],
  kept: number,
): LaunchChange[] {
  const { spec, deletion } = pool;
  let left = serving.length - kept;
  const changes: LaunchChange[] = [];
  for (const { launch } of serving) {
    if (left <= 0 || launchState(launch) !== "ordered") continue;
    left--;
    changes.push({ kind: "ended", launch, outcome: "withdrawn", diagnosis: undefined });
  }
  const idleMs = ({ session }: KnownLaunch) => session?.idleMs ?? -1;
  const order = serving
    .filter(({ launch }) => launchState(launch) !== "ordered")
    .filter((known) => deletion || isIdle(known, spec.idleTimeoutMs))
    .toSorted((a, b) => idleMs(b) - idleMs(a));
  for (const known of order) {
    if (left <= 0) break;
    left--;
    const kind = deletion ? "pool_deleted" : "scale_down";
    const reason = deletion
      ? `pool ${spec.name} is being deleted: ${deletion.reason}`
      : `${plural(kept, "worker")} wanted in pool ${spec.name}, and it has been idle for ${span(idleMs(known))}`;
    changes.push(stopped(known, { kind, reason, atMs: nowMs, endMs: undefined }));
  }
  return changes;
}

/** Ready, and without work for so long. */
function isIdle({ launch, session }: KnownLaunch, timeoutMs: number): boolean {
  return (
    launch.readyMs !== undefined && session?.held === 0 && session.live && (session.idleMs ?? -1) >= timeoutMs
  );
}

/** A launch that is starting has nothing to drain. */
export function stopped({ launch, session }: KnownLaunch, stop: PoolStop): LaunchChange {
  const drains = stop.endMs === undefined && session !== undefined && session.goneMs === undefined;
  return drains
    ? { kind: "stop", launch, stop, drain: session.id }
    : { kind: "stop", launch, stop: { ...stop, endMs: stop.atMs } };
}

/** The same change for a worker that was asked to drain before. */
export function withoutDrain(change: LaunchChange): LaunchChange {
  return change.kind === "stop" ? { ...change, drain: undefined } : change;
}

/** Ends what no launcher has received, and drains the others. */
export function replaced(known: KnownLaunch, { to, back }: Rollout, nowMs: number): LaunchChange {
  const { launch } = known;
  if (launchState(launch) === "ordered")
    return { kind: "ended", launch, outcome: "withdrawn", diagnosis: undefined };
  const reason = `the pool ${back ? "goes back to" : "changes to"} ${templateName(to)}`;
  return stopped(known, { kind: "rollout", reason, atMs: nowMs, endMs: undefined });
}
