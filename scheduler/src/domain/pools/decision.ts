/** What is to be launched and stopped in a pool now, and why. */
import { plural, span } from "../explain/reason.ts";
import { diagnose, exitOf, startOf } from "./diagnosis.ts";
import { isDisruption } from "./engines/engine-cause.ts";
import { allowance, type GuardRecord, NEW_GUARD, probing, withoutProbe, withStart } from "./guard.ts";
import { hasLauncher, type PoolRecord, type PoolSpec, type Wanted } from "./pool.ts";
import {
  type Diagnosis,
  type KnownLaunch,
  type LaunchOutcome,
  launchState,
  type PoolLaunch,
  type PoolStop,
} from "./pool-launch.ts";
import {
  automaticRollBack,
  launchedTemplate,
  rolloutOf,
  templateName,
  withFailure,
  withoutEarlier,
  withReady,
} from "./rollout.ts";
import type { Rollout, RolloutRecord, RolloutRule, TemplateVersion } from "./rollout-record.ts";
import { rolloutSteps } from "./rollout-steps.ts";
import { type Demand, type Desired, desired, highestWanted, type NextTime, withWanted } from "./scale.ts";

/** A worker whose session is gone has this long to come back before its process is ended, milliseconds. */
const GONE_GRACE_MS = 60_000;

/** A stopped process whose end nothing reports counts as ended after this, milliseconds. */
const UNSEEN_END_MS = 600_000;

/** What a decision rests on. */
export interface PoolFacts {
  readonly pool: PoolRecord;
  /** Its launches that have not ended. */
  readonly open: readonly KnownLaunch[];
  /** Tasks that could start now and that its workers could run. */
  readonly waiting: number;
  readonly usualStartMs: number | undefined;
  /** The database's clock, milliseconds since the epoch. */
  readonly nowMs: number;
  readonly nextTime: NextTime;
  /** An id for a new launch. */
  readonly newId: () => string;
}

/** A launch that was decided. */
export interface NewLaunch {
  readonly launchId: string;
  readonly reason: string;
  readonly probe: boolean;
}

/** A change of a launch. */
export type LaunchChange = { readonly launch: PoolLaunch } & (
  | { readonly kind: "ready"; readonly startMs: number }
  /** `drain` is the session that is asked to finish what it holds. */
  | { readonly kind: "stop"; readonly stop: PoolStop; readonly drain?: number | undefined }
  /** The worker, which is to stop, has not said that it drains. */
  | { readonly kind: "drain"; readonly drain: number; readonly reason: string }
  /** The process is to end now: the worker has drained, or its time for that is over. */
  | { readonly kind: "end_process"; readonly overdue: boolean }
  | {
      readonly kind: "ended";
      readonly outcome: LaunchOutcome;
      readonly diagnosis: Diagnosis | undefined;
    }
);

/** What was decided. */
export interface PoolDecision {
  readonly desired: Desired;
  readonly demand: Demand;
  /** Launches that have not ended and are not to end. */
  readonly serving: number;
  readonly changes: readonly LaunchChange[];
  readonly launches: readonly NewLaunch[];
  /** Why fewer are launched than are wanted; empty when none is missing. */
  readonly limits: readonly LaunchLimit[];
  /** The template of these launches. */
  readonly template: TemplateVersion;
  readonly guard: GuardRecord;
  readonly wanted: readonly Wanted[];
  readonly rollout: RolloutRecord;
  /** The pool takes this earlier template again, by itself. */
  readonly rollBack: TemplateVersion | undefined;
  /** The pool is to be removed. */
  readonly remove: boolean;
}

/** What keeps launches from being made. */
export interface LaunchLimit {
  readonly code:
    | "PAUSED"
    | "NO_LAUNCHER"
    | "LAUNCHES_SUSPENDED"
    | "POOL_AT_MAX"
    | "STARTING_LIMIT"
    | "ROLLOUT_PAUSED";
  readonly text: string;
}

/** Decides. Pure: the same facts give the same decision. */
export function decide(facts: PoolFacts): PoolDecision {
  const { pool, open, nowMs } = facts;
  const { spec } = pool;
  const { changes, guard, rollout } = advance(facts);
  const ended = new Set(changes.flatMap((change) => (change.kind === "ended" ? change.launch.launchId : [])));
  const left = open.filter(({ launch }) => !ended.has(launch.launchId));
  const stopping = new Set(
    changes.flatMap((change) => (change.kind === "stop" ? change.launch.launchId : [])),
  );
  const serving = left.filter(({ launch }) => !launch.stop && !stopping.has(launch.launchId));
  const demand = demandOf(facts, serving);
  const wish = pool.deletion
    ? { count: 0, forWork: 0, counted: 0, minimum: 0, bound: "work" as const }
    : desired(spec, demand, nowMs, facts.nextTime);
  const wanted = withWanted(pool.memory.wanted, wish.count, nowMs, spec.scale.stabilizationMs);
  const kept = pool.deletion ? 0 : Math.max(wish.count, highestWanted(wanted));
  const base = { desired: wish, demand, serving: serving.length, wanted };
  const before = launchedTemplate(rollout, pool);
  const isBack = rollout.now?.pause !== undefined && spec.rollout.onFailure === "roll_back" && !pool.deletion;
  // The next look launches: this one only takes the template back.
  if (isBack && rollout.stable)
    return {
      ...base,
      ...{ changes, launches: [], limits: [], guard: NEW_GUARD, template: rollout.stable },
      ...{ rollout: automaticRollBack(rollout, nowMs), rollBack: rollout.stable, remove: false },
    };
  const rolling = pool.deletion || rollout.now?.pause ? undefined : rollout.now;
  const steps = rolling
    ? rollingSteps(facts, rollout, rolling, { serving, kept })
    : { stops: surplusUnlessPaused(facts, serving, kept), missing: wish.count - countable(serving, rollout) };
  const planned =
    steps.missing > 0
      ? launchesOf(facts, guard, { missing: steps.missing, wish, left, serving, rollout, rolling })
      : NONE;
  const earlier = left.filter(({ launch }) => launch.templateVersion !== pool.templateVersion).length;
  return {
    ...base,
    changes: [...changes, ...steps.stops],
    launches: planned.launches,
    limits: limitsOf(planned.limits, wish, left.length, spec.maxWorkers),
    template: before,
    guard: planned.guard ?? guard,
    rollout: pool.deletion ? rollout : withoutEarlier(rollout, earlier),
    rollBack: undefined,
    remove: pool.deletion !== undefined && left.length === 0,
  };
}

/** Launches that count for the number that is wanted: while a rollout is paused, those of its template only once ready. */
function countable(serving: readonly KnownLaunch[], { now }: RolloutRecord): number {
  return serving.filter(
    ({ launch }) => !now?.pause || launch.templateVersion !== now.to.version || launch.readyMs !== undefined,
  ).length;
}

function surplusUnlessPaused(
  facts: PoolFacts,
  serving: readonly KnownLaunch[],
  kept: number,
): LaunchChange[] {
  const { pause, deletion } = facts.pool;
  return pause && !deletion ? [] : surplusOf(facts, serving, kept);
}

/** What a rollout stops, and how many launches of its template are missing. */
function rollingSteps(
  facts: PoolFacts,
  record: RolloutRecord,
  rollout: Rollout,
  { serving, kept }: { serving: readonly KnownLaunch[]; kept: number },
): { stops: readonly LaunchChange[]; missing: number } {
  const { pool, nowMs } = facts;
  const { stops, launches } = rolloutSteps(pool, record, rollout, serving, kept, nowMs);
  if (pool.pause) return { stops: [], missing: launches };
  const updated = serving.filter(({ launch }) => launch.templateVersion === rollout.to.version);
  return {
    stops: [...stops.map((known) => replaced(known, rollout, nowMs)), ...surplusOf(facts, updated, kept)],
    missing: launches,
  };
}

/** Ends what no launcher has received, and drains the others. */
function replaced(known: KnownLaunch, { to, back }: Rollout, nowMs: number): LaunchChange {
  const { launch } = known;
  if (launchState(launch) === "ordered")
    return { kind: "ended", launch, outcome: "withdrawn", diagnosis: undefined };
  const reason = `the pool ${back ? "goes back to" : "changes to"} ${templateName(to)}`;
  return stopped(known, { kind: "rollout", reason, atMs: nowMs, endMs: undefined });
}

/** The limits of the launches, with the maximum when the work alone would want more workers. */
function limitsOf(
  limits: readonly LaunchLimit[],
  { bound }: Desired,
  processes: number,
  maxWorkers: number,
): readonly LaunchLimit[] {
  const others = limits.some(({ code }) => code !== "STARTING_LIMIT");
  return bound === "maximum" && !others ? [...limits, atMaximum(processes, maxWorkers)] : limits;
}

function atMaximum(processes: number, maxWorkers: number): LaunchLimit {
  return { code: "POOL_AT_MAX", text: `${processes} of at most ${maxWorkers} processes exist` };
}

const NONE: Planned = { launches: [], limits: [], guard: undefined };

interface Planned {
  readonly launches: readonly NewLaunch[];
  readonly limits: readonly LaunchLimit[];
  readonly guard: GuardRecord | undefined;
}

/** What became of the launches since the last look. */
interface Advanced {
  readonly changes: LaunchChange[];
  readonly guard: GuardRecord;
  readonly rollout: RolloutRecord;
}

/** What became of the launches since the last look, and what it means for the guard and for a rollout. */
function advance(facts: PoolFacts): Advanced {
  const { pool, open, nowMs } = facts;
  const changes: LaunchChange[] = [];
  let { guard } = pool.memory;
  let rollout = rolloutOf(pool, open, nowMs);
  /** Starts of a template that is not launched now say nothing of the one that is. */
  const count = (launch: PoolLaunch, cause: string | undefined) => {
    const { version } = launchedTemplate(rollout, pool);
    if (launch.templateVersion !== version) return;
    const sample = { atMs: nowMs, launchId: launch.launchId, cause };
    guard = withStart(guard, pool.spec.guard, sample, healthyOf(open, version));
  };
  const fail = (launch: PoolLaunch, diagnosis: Diagnosis | undefined) => {
    if (launch.templateVersion !== rollout.now?.to.version) return;
    const { cause = "", summary = "" } = diagnosis ?? {};
    const failure = { atMs: nowMs, launchId: launch.launchId, cause, summary };
    rollout = withFailure(rollout, pool.spec.rollout, failure, guard.now.state !== "closed");
    if (rollout.now?.pause) guard = NEW_GUARD;
  };
  for (const known of open) {
    const { launch } = known;
    const change = next(known, facts);
    if (!change) continue;
    changes.push(change);
    if (change.kind === "ready") {
      count(launch, undefined);
      rollout = withReady(rollout, pool, launch.templateVersion);
    }
    if (change.kind === "stop" && change.stop.kind === "startup_timeout") {
      count(launch, change.stop.diagnosis?.cause ?? "");
      fail(launch, change.stop.diagnosis);
    } else if (change.kind === "stop" && change.stop.kind === "lost") fail(launch, change.stop.diagnosis);
    if (change.kind !== "ended") continue;
    // One that was stopped because its time was over has been counted then.
    const { outcome, diagnosis } = change;
    if (outcome === "failed_start" && launch.stop === undefined) count(launch, diagnosis?.cause ?? "");
    else guard = withoutProbe(guard, launch.launchId, nowMs);
    if (launch.stop === undefined && (outcome === "failed_start" || outcome === "lost"))
      fail(launch, diagnosis);
  }
  return { changes, guard, rollout };
}

/** Ready workers of the template version. */
function healthyOf(open: readonly KnownLaunch[], version: number): number {
  return open.filter(
    ({ launch, session }) =>
      launch.templateVersion === version && !launch.stop && session?.ready && session.live,
  ).length;
}

/** The change of one launch; undefined for none. */
function next(known: KnownLaunch, { pool, nowMs }: PoolFacts): LaunchChange | undefined {
  const { launch, session } = known;
  const { stop } = launch;
  const { spec } = pool;
  const end = endOf(known, nowMs);
  if (end) return { kind: "ended", launch, ...end };
  if (stop) {
    if (stop.endMs !== undefined) return undefined;
    const drained = !session || session.goneMs !== undefined;
    const overdue = nowMs >= stop.atMs + spec.drainTimeoutMs;
    if (drained || overdue) return { kind: "end_process", launch, overdue: !drained };
    return session.draining ? undefined : { kind: "drain", launch, drain: session.id, reason: stop.reason };
  }
  if (launch.readyMs === undefined) {
    if (session?.ready) return { kind: "ready", launch, startMs: nowMs - startOf(launch) };
    if (launch.sendMs === undefined || nowMs < launch.sendMs + spec.startupTimeoutMs) return undefined;
    const reason = `it was not ready within ${span(spec.startupTimeoutMs)}`;
    const diagnosis = diagnose(known, nowMs);
    return stopped(known, { kind: "startup_timeout", reason, atMs: nowMs, endMs: nowMs, diagnosis });
  }
  if (session?.goneMs !== undefined && nowMs > session.goneMs + GONE_GRACE_MS) {
    const reason = `its worker has been ${session.goneReason || "gone"} for ${span(nowMs - session.goneMs)}`;
    const diagnosis = diagnose(known, nowMs);
    return stopped(known, { kind: "lost", reason, atMs: nowMs, endMs: nowMs, diagnosis });
  }
  return undefined;
}

/** How it ended; undefined while it has not. */
function endOf(
  known: KnownLaunch,
  nowMs: number,
): { outcome: LaunchOutcome; diagnosis: Diagnosis | undefined } | undefined {
  const { launch, session, supervised } = known;
  const { stop } = launch;
  const unseen = stop?.endMs !== undefined && nowMs > stop.endMs + UNSEEN_END_MS && !session?.live;
  if (!exitOf(known) && !supervised?.end && !unseen) return undefined;
  if (stop?.kind === "startup_timeout" || stop?.kind === "lost") {
    const seen = diagnose(known, nowMs);
    const diagnosis = stop.diagnosis ? withTail(stop.diagnosis, seen.logTail) : seen;
    return { outcome: stop.kind === "lost" ? "lost" : "failed_start", diagnosis };
  }
  if (stop) return { outcome: "stopped", diagnosis: undefined };
  if (launch.readyMs === undefined && !session?.ready) {
    // An operator or a service manager that stops a worker is not a fault of its start.
    if (supervised?.end?.exit?.stopRequested) return { outcome: "finished", diagnosis: undefined };
    // Nor is a machine that the engine needs for something else.
    if (isDisruption(launch.observation)) return { outcome: "lost", diagnosis: diagnose(known, nowMs) };
    return { outcome: "failed_start", diagnosis: diagnose(known, nowMs) };
  }
  const planned =
    supervised?.end?.reason === "finished" || (session?.goneReason === "finished" && !supervised?.end);
  return planned
    ? { outcome: "finished", diagnosis: undefined }
    : { outcome: "lost", diagnosis: diagnose({ ...known, launch: wasReady(launch, nowMs) }, nowMs) };
}

/** The end of the output comes with the end of the process. */
function withTail(diagnosis: Diagnosis, logTail: string): Diagnosis {
  return logTail === "" ? diagnosis : { ...diagnosis, logTail };
}

/** It was ready for less time than there is between two looks. */
function wasReady(launch: PoolLaunch, nowMs: number): PoolLaunch {
  return launch.readyMs === undefined ? { ...launch, readyMs: nowMs } : launch;
}

function demandOf({ waiting, usualStartMs }: PoolFacts, serving: readonly KnownLaunch[]): Demand {
  let [held, ready, completions] = [0, 0, 0];
  for (const { session } of serving) {
    if (!session?.live) continue;
    held += session.held;
    completions += session.recentCompletions;
    if (session.ready) ready++;
  }
  return { waiting, held, ready, usualStartMs, completionsPerSecond: completions / 300 };
}

/** The launches above the number that is kept: those that were not sent, then the workers that have been idle longest. */
function surplusOf(
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
function stopped({ launch, session }: KnownLaunch, stop: PoolStop): LaunchChange {
  const drains = stop.endMs === undefined && session !== undefined && session.goneMs === undefined;
  return drains
    ? { kind: "stop", launch, stop, drain: session.id }
    : { kind: "stop", launch, stop: { ...stop, endMs: stop.atMs } };
}

function launchesOf(
  { pool, nowMs, newId }: PoolFacts,
  guard: GuardRecord,
  {
    missing,
    wish,
    left,
    serving,
    rollout,
    rolling,
  }: {
    missing: number;
    wish: Desired;
    left: readonly KnownLaunch[];
    serving: readonly KnownLaunch[];
    rollout: RolloutRecord;
    /** The rollout for which they are missing. */
    rolling: Rollout | undefined;
  },
): Planned {
  const { spec, pause } = pool;
  const limited = (code: LaunchLimit["code"], text: string): Planned => ({
    ...NONE,
    limits: [{ code, text }],
  });
  if (pause) return limited("PAUSED", `the pool is paused: ${pause.reason}`);
  if (!hasLauncher(pool, nowMs))
    return limited(
      "NO_LAUNCHER",
      pool.launcher
        ? `launcher ${pool.launcher.id} was last connected ${span(nowMs - pool.launcher.untilMs)} ago`
        : `no launcher with the driver ${spec.template.driver} has connected`,
    );
  const template = launchedTemplate(rollout, pool);
  if (template.driver !== spec.template.driver)
    return limited(
      "ROLLOUT_PAUSED",
      `the rollout is paused, and ${templateName(template)} has the driver ${template.driver}, for which the pool has no launcher`,
    );
  const allowed = allowance(guard, nowMs);
  if (allowed === "none") return limited("LAUNCHES_SUSPENDED", "the last starts failed");
  const starting = serving.filter(({ launch }) => launch.readyMs === undefined).length;
  const maxProcesses = spec.maxWorkers + (rolling ? spec.rollout.maxSurge : 0);
  const room = Math.max(0, maxProcesses - left.length);
  const same = serving.filter(({ launch }) => launch.templateVersion === template.version);
  const more = Math.max(
    0,
    Math.min(
      spec.maxStarting - starting,
      unprovenRoom(guard, spec, same, starting, nowMs),
      rolling ? unprovenRolloutRoom(rolling, spec.rollout, starting) : Number.POSITIVE_INFINITY,
    ),
  );
  const count = Math.min(missing, room, more, allowed === "probe" ? 1 : missing);
  const limits: LaunchLimit[] = [
    ...(room < missing ? [atMaximum(left.length, maxProcesses)] : []),
    ...(more < missing
      ? [{ code: "STARTING_LIMIT" as const, text: startingText(guard, spec, starting) }]
      : []),
  ];
  const reason =
    allowed === "probe" ? "probe: starts failed before" : rolling ? rollingReason(rolling) : reasonOf(wish);
  const launches = Array.from({ length: count }, () => ({
    launchId: newId(),
    reason,
    probe: allowed === "probe",
  }));
  const [first] = launches;
  return {
    launches,
    limits,
    guard: first && allowed === "probe" ? probing(guard, first.launchId) : undefined,
  };
}

function rollingReason({ from, to, back }: Rollout): string {
  return `the pool ${back ? "goes back" : "changes"} from ${templateName(from)} to ${templateName(to)}`;
}

/**
 * How many may start beside those that are starting: while some have failed and nothing proves that starts can succeed, no
 * more than the guard needs to decide. A pool in which every start fails launches none in place of the failed ones.
 */
function unprovenRoom(
  record: GuardRecord,
  { guard }: PoolSpec,
  serving: readonly KnownLaunch[],
  starting: number,
  nowMs: number,
): number {
  const samples = record.samples.filter(({ atMs }) => atMs > nowMs - guard.windowMs);
  const failed = samples.filter(({ cause }) => cause !== undefined).length;
  const proven = failed < samples.length || serving.some(({ launch }) => launch.readyMs !== undefined);
  return failed === 0 || proven
    ? Number.POSITIVE_INFINITY
    : Math.max(1, guard.minSamples - failed) - starting;
}

/** The same for a rollout of which a launch has failed and none has become ready: no more than its pause needs. */
function unprovenRolloutRoom(
  { proven, failed }: Rollout,
  { maxFailedLaunches }: RolloutRule,
  starting: number,
): number {
  if (proven || failed === 0) return Number.POSITIVE_INFINITY;
  return Math.max(1, maxFailedLaunches - failed) - starting;
}

function startingText({ samples }: GuardRecord, { maxStarting }: PoolSpec, starting: number): string {
  const failed = samples.filter(({ cause }) => cause !== undefined).length;
  return failed > 0 && starting < maxStarting
    ? `${plural(failed, "start")} failed and none has succeeded; ${starting === 1 ? "1 launch is" : `${starting} launches are`} starting`
    : `${starting} of at most ${maxStarting} launches are starting`;
}

function reasonOf({ counted, forWork, minimum, bound }: Desired): string {
  return bound === "minimum" && minimum > forWork
    ? `the pool has a minimum of ${plural(minimum, "worker")}`
    : `${plural(counted, "task")} could start and wait for a worker`;
}

/** The memory of a pool whose template changed: starts of the earlier one decide nothing. */
export const FRESH_MEMORY = { guard: NEW_GUARD, wanted: [] as readonly Wanted[] } as const;
