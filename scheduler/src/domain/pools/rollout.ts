/** The rollout of a changed template: which templates a pool has workers of, and when it goes on, pauses, goes back or ends. */
import type { LaunchTemplate, PoolRecord } from "./pool.ts";
import type { KnownLaunch } from "./pool-launch.ts";
import type { Rollout, RolloutPause, RolloutRecord, RolloutRule, TemplateVersion } from "./rollout-record.ts";

/** The variable by which a worker learns its build. */
const BUILD_VARIABLE = "MUSTER_BUILD_ID";

/** The build that workers of the template say; empty for none. */
export function buildOf({ env }: Pick<LaunchTemplate, "env">): string {
  return env[BUILD_VARIABLE] ?? "";
}

/** The template of the spec. */
export function currentTemplate({ spec, templateVersion }: PoolRecord): TemplateVersion {
  return templateOf(spec.template, templateVersion);
}

export function templateOf(template: LaunchTemplate, version: number): TemplateVersion {
  return { version, build: buildOf(template), driver: template.driver };
}

/** A template in words: `build 12`, or `template version 3` when it names no build. */
export function templateName({ build, version }: Pick<TemplateVersion, "build" | "version">): string {
  return build === "" ? `template version ${version}` : `build ${build}`;
}

/** A rollout of another template begins; one that goes on gives way to it. */
export function rolloutTo(
  { stable }: RolloutRecord,
  { from, to, back, reason, nowMs }: Pick<Rollout, "from" | "to" | "back" | "reason"> & { nowMs: number },
): RolloutRecord {
  const proven = stable?.version === to.version;
  const now: Rollout = { from, to, back, reason, startMs: nowMs, proven, failed: 0, pause: undefined };
  return { stable, now };
}

/**
 * The record as it applies: one that a scheduler without rollouts has left behind is brought up to date with the pool, and
 * the template is stable of which workers were ready before it was kept which one is. The same object when nothing is missing.
 */
export function rolloutOf(pool: PoolRecord, open: readonly KnownLaunch[], nowMs: number): RolloutRecord {
  const to = currentTemplate(pool);
  let record = pool.rollout;
  const wasReady = (version: number) =>
    open.some(({ launch }) => launch.templateVersion === version && launch.readyMs !== undefined);
  const known = record.now?.from ?? to;
  if (!record.stable && wasReady(known.version)) record = { ...record, stable: known };
  const from = record.now?.to ?? record.stable;
  if (!from || from.version === to.version) return record;
  const reason = "the template was changed";
  return rolloutTo(record, { from: record.stable ?? from, to, back: false, reason, nowMs });
}

/** The template that launches have now. */
export function launchedTemplate({ now, stable }: RolloutRecord, pool: PoolRecord): TemplateVersion {
  return now?.pause && stable ? stable : currentTemplate(pool);
}

/** A worker of this template version has become ready. */
export function withReady(record: RolloutRecord, pool: PoolRecord, version: number): RolloutRecord {
  const { now, stable } = record;
  if (version !== pool.templateVersion) return record;
  if (now) return now.proven ? record : { ...record, now: { ...now, proven: true } };
  return stable?.version === version ? record : { ...record, stable: currentTemplate(pool) };
}

/**
 * A launch of the new template has failed or was lost. With too many of them, or when the guard would suspend all launches, the
 * rollout pauses: launches are of the stable template again. Without one there is nothing to go back to, and the guard decides.
 */
export function withFailure(
  record: RolloutRecord,
  { maxFailedLaunches }: RolloutRule,
  failure: Omit<RolloutPause, "failed">,
  isSuspended: boolean,
): RolloutRecord {
  const { now, stable } = record;
  if (!now || now.pause || !stable || stable.version === now.to.version) return record;
  const failed = now.failed + 1;
  const pauses = failed >= maxFailedLaunches || isSuspended;
  return { stable, now: { ...now, failed, pause: pauses ? { ...failure, failed } : undefined } };
}

/** A paused rollout goes on, and failures before no longer count; the same record when none is paused. */
export function resumedRollout(record: RolloutRecord): RolloutRecord {
  const { now } = record;
  return now?.pause ? { ...record, now: { ...now, failed: 0, pause: undefined } } : record;
}

/** The rollout goes back to the stable template, after it has paused by itself. */
export function automaticRollBack(record: RolloutRecord, nowMs: number): RolloutRecord {
  const { now, stable } = record;
  if (!now?.pause || !stable) return record;
  const { failed, cause } = now.pause;
  const reason = `${failed === 1 ? "1 launch" : `${failed} launches`} of ${templateName(now.to)} failed, the last with ${cause}`;
  return rolloutTo(record, { from: now.to, to: stable, back: true, reason, nowMs });
}

/** All workers have the template of the spec, and one of them has been ready: the rollout has ended. */
export function withoutEarlier(record: RolloutRecord, earlier: number): RolloutRecord {
  const { now } = record;
  if (!now?.proven || now.pause || earlier > 0) return record;
  return { stable: now.to, now: undefined };
}
