/** Shows rollouts of pools as text. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "@muster/common/text/duration-text";
import { type PoolRollout, type RolloutRemainder, RolloutState } from "@muster/protocol";

/** `build 12`, or `template version 3` when it names no build. */
export function templateText(version: bigint, build: string): string {
  return build === "" ? `template version ${version}` : `build ${build}`;
}

/** What goes on in one line, and a line for each worker of another template; none without a rollout. */
export function rolloutLines(rollout: PoolRollout | undefined, now: number): string[] {
  if (!rollout) return [];
  const { remainders, remainingCount } = rollout;
  const more = remainingCount - remainders.length;
  return [
    rolloutText(rollout, now),
    ...remainders.map(remainderText),
    ...(more > 0 ? [`and ${more} more of other templates`] : []),
  ];
}

/** `rolling from build 12 to build 13 since 10 s: 1 of 2 launches ready, 3 workers of other templates`. */
export function rolloutText(rollout: PoolRollout, now: number): string {
  const { state, failedCount, updatedReadyCount, updatedCount, remainingCount } = rollout;
  const from = templateText(rollout.fromTemplateVersion, rollout.fromBuildId);
  const to = templateText(rollout.toTemplateVersion, rollout.toBuildId);
  const since = formatAge(now - (rollout.startTime ? timestampMs(rollout.startTime) : now));
  const done = `${updatedReadyCount} of ${updatedCount} of its launches ready, ${remainingCount} ${remainingCount === 1 ? "worker" : "workers"} of other templates`;
  if (state !== RolloutState.PAUSED)
    return `${state === RolloutState.ROLLING_BACK ? "rolling back" : "rolling"} from ${from} to ${to}, begun ${since}: ${done}`;
  const paused = formatAge(now - (rollout.pauseTime ? timestampMs(rollout.pauseTime) : now));
  return `rollout from ${from} to ${to} paused ${paused}: ${failedCount} failed, the last one (${rollout.failedLaunchId}) with ${rollout.cause}: ${rollout.summary}; ${done}`;
}

/** `build 12 still runs 3 tasks on gpu-7`. */
function remainderText({
  templateVersion,
  buildId,
  heldCount,
  workerId,
  stopping,
}: RolloutRemainder): string {
  const template = templateText(templateVersion, buildId);
  if (heldCount > 0)
    return `${template} still runs ${heldCount === 1 ? "1 task" : `${heldCount} tasks`} on ${workerId}`;
  return `${template} ${stopping ? "ends" : "still waits for work"} on ${workerId}`;
}
