/** The events of what was decided in a pool. */

import type { PoolRecord } from "../pool.ts";
import type { LaunchChange, PoolDecision } from "./pool-decision.ts";

/** An event of a pool. */
export interface PoolEvent {
  readonly name: string;
  /** Empty for none. */
  readonly workerId: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** In the order of what happened. */
export function decisionEvents(pool: PoolRecord, decision: PoolDecision, nowMs: number): PoolEvent[] {
  const { name } = pool.spec;
  const changes = decision.changes.flatMap((change) => {
    const event = changeEvent(change);
    if (!event) return [];
    const { launchId, workerId } = change.launch;
    return [
      { name: event.name, workerId, attributes: { pool: name, launch_id: launchId, ...event.attributes } },
    ];
  });
  const launches = decision.launches.map(({ launchId, reason, probe }) => ({
    name: "pool.launch_ordered",
    workerId: launchId,
    attributes: { pool: name, launch_id: launchId, reason, ...(probe ? { probe: "true" } : {}) },
  }));
  return [
    ...changes,
    ...rolloutEvents(pool, decision),
    ...guardEvents(pool, decision, nowMs),
    ...launches,
    ...(decision.remove ? [removed(name)] : []),
  ];
}

function changeEvent(
  change: LaunchChange,
): { readonly name: string; readonly attributes: Readonly<Record<string, string>> } | undefined {
  switch (change.kind) {
    case "ready":
      return { name: "pool.launch_ready", attributes: { start_ms: String(Math.round(change.startMs)) } };
    case "stop":
      return {
        name: "pool.launch_stopping",
        attributes: { kind: change.stop.kind, reason: change.stop.reason },
      };
    case "end_process":
      return change.overdue ? { name: "pool.drain_overdue", attributes: {} } : undefined;
    case "drain":
      return undefined;
    case "ended": {
      const { outcome, diagnosis } = change;
      const why = diagnosis ? { cause: diagnosis.cause, summary: diagnosis.summary } : {};
      return {
        name: outcome === "failed_start" ? "pool.launch_failed" : "pool.launch_ended",
        attributes: { outcome, ...why },
      };
    }
    default: {
      const unknown: never = change;
      throw new TypeError(`unknown change of a launch ${JSON.stringify(unknown)}`);
    }
  }
}

function guardEvents(pool: PoolRecord, { guard }: PoolDecision, nowMs: number): PoolEvent[] {
  const [before, after] = [pool.memory.guard.now, guard.now];
  const attributes = { pool: pool.spec.name };
  if (after.state === "open" && (before.state !== "open" || before.openings !== after.openings)) {
    const { starts, failed, cause, openings } = after;
    return [
      {
        name: "pool.launches_suspended",
        workerId: "",
        attributes: {
          ...attributes,
          ...{ starts: String(starts), failed: String(failed), cause, openings: String(openings) },
          probe_in_ms: String(Math.max(0, Math.round(after.probeMs - nowMs))),
        },
      },
    ];
  }
  return after.state === "closed" && before.state !== "closed"
    ? [{ name: "pool.launches_allowed", workerId: "", attributes }]
    : [];
}

function rolloutEvents(
  { spec, rollout: before }: PoolRecord,
  { rollout, rollBack }: PoolDecision,
): PoolEvent[] {
  const { now } = rollout;
  const event = (name: string, attributes: Readonly<Record<string, string>>): PoolEvent[] => [
    { name, workerId: "", attributes: { pool: spec.name, ...attributes } },
  ];
  if (rollBack && now) {
    const { reason, to } = now;
    return event("pool.rolled_back", { reason, template_version: String(to.version), automatic: "true" });
  }
  if (now?.pause && !before.now?.pause) {
    const { failed, cause, launchId, summary } = now.pause;
    return event("pool.rollout_paused", {
      ...{ template_version: String(now.to.version), build: now.to.build, failed: String(failed) },
      ...{ cause, launch_id: launchId, summary },
    });
  }
  const ended = before.now;
  return ended && !now
    ? event("pool.rollout_completed", {
        template_version: String(rollout.stable?.version ?? ended.to.version),
        build: rollout.stable?.build ?? "",
      })
    : [];
}

function removed(pool: string): PoolEvent {
  return { name: "pool.removed", workerId: "", attributes: { pool } };
}
