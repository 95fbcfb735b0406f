/** What became of the launches of a pool since the last look. */
import { plural, span } from "../../explain/reason.ts";
import { drainMs, machineEndMs, noticeInWords } from "../../workers/launch.ts";
import { diagnose, diagnoseUnaccepted, exitOf, startOf } from "../diagnosis.ts";
import { isDisruption } from "../engines/engine-cause.ts";
import {
  type GuardRecord,
  type GuardRule,
  NEW_GUARD,
  withAccepted,
  withoutProbe,
  withStart,
} from "../guard.ts";
import type {
  Diagnosis,
  KnownLaunch,
  LaunchOutcome,
  LaunchSession,
  PoolLaunch,
  PoolStop,
  StopKind,
} from "../pool-launch.ts";
import { launchedTemplate, rolloutOf, withFailure, withReady } from "../rollout.ts";
import type { RolloutRecord } from "../rollout-record.ts";
import { stopped, withoutDrain } from "./launch-stops.ts";
import type { LaunchChange, PoolFacts } from "./pool-decision.ts";

/** A worker whose session is gone has this long to come back before its process is ended, milliseconds. */
const GONE_GRACE_MS = 60_000;

/** A stopped process whose end nothing reports counts as ended after this, milliseconds. */
const UNSEEN_END_MS = 600_000;

/** Stops that are failed starts. */
const FAILED_STARTS: ReadonlySet<StopKind> = new Set(["startup_timeout", "never_accepts"]);

/** What became of the launches since the last look. */
export interface Advanced {
  readonly changes: LaunchChange[];
  readonly guard: GuardRecord;
  readonly rollout: RolloutRecord;
}

/** What became of the launches since the last look, and what it means for the guard and for a rollout. */
export function advance(facts: PoolFacts): Advanced {
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
    if (isProof(known, launchedTemplate(rollout, pool).version, guard))
      guard = withAccepted(guard, launch.launchId, nowMs);
    const change = next(known, facts);
    if (!change) continue;
    changes.push(change);
    if (change.kind === "ready") {
      count(launch, undefined);
      rollout = withReady(rollout, pool, launch.templateVersion);
    }
    if (change.kind === "stop" && FAILED_STARTS.has(change.stop.kind)) {
      count(launch, change.stop.diagnosis?.cause ?? "");
      fail(launch, change.stop.diagnosis);
    } else if (change.kind === "stop" && change.stop.kind === "lost") fail(launch, change.stop.diagnosis);
    if (change.kind !== "ended") continue;
    // One that was stopped because its time was over has been counted then.
    const { outcome, diagnosis } = change;
    if (outcome === "failed_start" && launch.stop === undefined) count(launch, diagnosis?.cause ?? "");
    else guard = withoutProbe(guard, launch.launchId, nowMs);
    const disrupted = diagnosis?.cause === "DISRUPTED";
    if (launch.stop === undefined && !disrupted && (outcome === "failed_start" || outcome === "lost"))
      fail(launch, diagnosis);
  }
  return { changes, guard, rollout };
}

/** True of a worker that has accepted or completed something, and became ready after launches were suspended. */
function isProof({ launch, session }: KnownLaunch, version: number, { now }: GuardRecord): boolean {
  if (now.state === "closed" || launch.templateVersion !== version) return false;
  const after = launch.readyMs !== undefined && launch.readyMs >= now.sinceMs;
  return after && session?.live === true && (session.accepted || session.recentCompletions > 0);
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
  const { launch, session, supervised } = known;
  const { stop } = launch;
  const { spec } = pool;
  const machineEnd = supervised && machineEndMs(supervised);
  const end = endOf(known, nowMs);
  if (end) return { kind: "ended", launch, ...end };
  if (stop) {
    if (stop.endMs !== undefined) return undefined;
    const drained = !session || session.goneMs !== undefined;
    const overdue = nowMs >= stop.atMs + spec.drainTimeoutMs;
    if (drained || overdue) return { kind: "end_process", launch, overdue: !drained };
    if (session.draining) return undefined;
    const timeoutMs = machineEnd === undefined ? undefined : drainMs(machineEnd - nowMs);
    return { kind: "drain", launch, drain: session.id, reason: stop.reason, timeoutMs };
  }
  const notice = supervised?.notice;
  // Its supervisor's report has drained the worker already.
  if (machineEnd !== undefined && notice) {
    const reason = noticeInWords(notice);
    return withoutDrain(stopped(known, { kind: "machine_ends", reason, atMs: nowMs, endMs: undefined }));
  }
  if (launch.readyMs === undefined) {
    if (session?.ready) return { kind: "ready", launch, startMs: nowMs - startOf(launch) };
    if (launch.sendMs === undefined || nowMs < launch.sendMs + spec.startupTimeoutMs) return undefined;
    const reason = `it was not ready within ${span(spec.startupTimeoutMs)}`;
    const diagnosis = diagnose(known, nowMs);
    return stopped(known, { kind: "startup_timeout", reason, atMs: nowMs, endMs: nowMs, diagnosis });
  }
  if (session && neverAccepts(session, spec.guard)) {
    const reason = `it has left ${plural(session.unaccepted, "assignment")} in a row unanswered`;
    const diagnosis = diagnoseUnaccepted(known);
    const stop: PoolStop = { kind: "never_accepts", reason, atMs: nowMs, endMs: nowMs, diagnosis };
    // Nothing more is assigned to it until it has ended.
    return { kind: "stop", launch, stop, drain: session.id };
  }
  if (session?.goneMs !== undefined && nowMs > session.goneMs + GONE_GRACE_MS) {
    const reason = `its worker has been ${session.goneReason || "gone"} for ${span(nowMs - session.goneMs)}`;
    const diagnosis = diagnose(known, nowMs);
    return stopped(known, { kind: "lost", reason, atMs: nowMs, endMs: nowMs, diagnosis });
  }
  return undefined;
}

/** A worker that holds something that it has accepted, or drains, is not one. Its link may list what it has not accepted. */
function neverAccepts(session: LaunchSession, { maxUnaccepted }: GuardRule): boolean {
  const { live, ready, draining, accepted, unaccepted } = session;
  return live && ready && !draining && !accepted && unaccepted >= maxUnaccepted;
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
  if (stop && (FAILED_STARTS.has(stop.kind) || stop.kind === "lost")) {
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
