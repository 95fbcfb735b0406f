import { type Candidate, type Filter, matchAll, removedBy, type TaskClass } from "../match.ts";
import type { TaskRecord } from "../task.ts";
import type { WorkerRecord, WorkerState } from "../worker.ts";
import { closest } from "./closest.ts";
import { type Evidence, plural, type Reason, span } from "./reason.ts";

/** A living worker as the matcher sees it, with what people want to know of it. */
export interface FleetMember {
  readonly record: WorkerRecord;
  readonly state: WorkerState;
  readonly candidate: Candidate;
}

/** What the explanation of a waiting task rests on. */
export interface WaitingFacts {
  readonly task: TaskRecord;
  readonly taskClass: TaskClass;
  readonly queuePause: { readonly reason: string; readonly since: Date } | undefined;
  readonly fleet: readonly FleetMember[];
  /** When a worker was last seen, if none lives. */
  readonly lastWorkerSeen: Date | undefined;
  /** The database's clock. */
  readonly now: Date;
}

/** A task that could start and does not within this is called delayed. */
const DISPATCH_NOTICE_MS = 2_000;

/** Why a queued task is not given out; never empty. */
export function explainWaiting(facts: WaitingFacts): Reason[] {
  const { task, now } = facts;
  const reasons: Reason[] = [];
  if (task.runTime && task.runTime > now) reasons.push(notYet(task, task.runTime, now));
  if (facts.queuePause) {
    reasons.push({
      code: "QUEUE_PAUSED",
      summary: `queue ${task.queue} is paused: ${facts.queuePause.reason}`,
      since: facts.queuePause.since,
      evidence: [{ key: "queue", value: task.queue, source: "database" }],
      remedy: `resume it when the reason is gone: muster queue resume ${task.queue}`,
    });
  }
  if (reasons.length === 0) reasons.push(...explainMatch(facts));
  return reasons;
}

function notYet(task: TaskRecord, runTime: Date, now: Date): Reason {
  const wait = runTime.getTime() - now.getTime();
  const failure = task.failure;
  if (!failure) {
    return {
      code: "SCHEDULED_FOR_LATER",
      summary: `the task is scheduled to start in ${span(wait)}`,
      since: task.createTime,
      evidence: [{ key: "run_time", value: runTime.toISOString(), source: "database" }],
      remedy: `it starts by itself; to start it now: muster retry t-${task.id}`,
    };
  }
  return {
    code: "WAITING_FOR_RETRY",
    summary: `attempt ${task.attemptCount} failed with ${failure.code} (${failure.message}); the next begins in ${span(wait)}`,
    evidence: [
      { key: "attempt", value: String(task.attemptCount), source: "database" },
      { key: "run_time", value: runTime.toISOString(), source: "database" },
      { key: "error_code", value: failure.code, source: "database" },
      { key: "error_message", value: failure.message, source: "database" },
    ],
    remedy: `it runs again by itself; to run it now: muster retry t-${task.id}`,
  };
}

function explainMatch(facts: WaitingFacts): Reason[] {
  const { task, taskClass, fleet } = facts;
  const since = task.createTime;
  if (fleet.length === 0) {
    const seen = facts.lastWorkerSeen;
    return [
      {
        code: "NO_WORKERS",
        summary: seen
          ? `no worker is connected; the last one was seen ${span(facts.now.getTime() - seen.getTime())} ago`
          : "no worker is connected and none was ever seen",
        since,
        evidence: [{ key: "workers", value: "0", source: "database" }],
        remedy: `start a worker with a handler for ${task.type}`,
      },
    ];
  }
  const { fits, record } = matchAll(
    taskClass,
    fleet.map(({ candidate }) => candidate),
  );
  if (fits.length > 0) return [delayed(facts, fits)];
  const removed = (filter: Filter) =>
    fleet.filter(({ candidate }) => removedBy(taskClass, candidate) === filter);
  const evidence: Evidence[] = [
    { key: "workers_looked_at", value: String(record.lookedAt), source: "matcher" },
    ...[...record.removed].map(([filter, { count, example }]) => ({
      key: `removed_by_${filter}`,
      value: `${count} (for example ${example})`,
      source: "matcher",
    })),
  ];
  // The filter that the nearest worker got furthest through is the one to lift first.
  const nearest = (
    ["slots", "paused", "draining", "starting", "resources", "labels", "queue", "type"] as const
  ).find((filter) => record.removed.has(filter));
  const reason = (code: string, summary: string, remedy: string): Reason[] => [
    { code, summary, since, evidence, remedy },
  ];
  switch (nearest) {
    case "slots":
      return [allBusy(removed("slots"), evidence, since)];
    case "paused": {
      const paused = removed("paused");
      const why = paused.map(({ candidate }) => `${candidate.workerId}: ${candidate.pauseReason}`).join(", ");
      return reason(
        "WORKERS_PAUSED",
        `${plural(paused.length, "worker")} could run it but take no new work now (${why})`,
        "it is given out when one of them takes work again; look at what presses them",
      );
    }
    case "draining":
      return reason(
        "WORKERS_DRAINING",
        `the workers that could run it are draining: ${names(removed("draining"))}`,
        "start a worker to take their place",
      );
    case "starting":
      return [starting(removed("starting"), evidence, since)];
    case "resources":
      return reason(
        "RESOURCE_NOT_LOADED",
        `no worker has loaded ${taskClass.requirements.resources.join(", ")}: ${names(removed("resources"))} lack it`,
        "load it on a worker, or start one that does",
      );
    case "labels":
      return [noLabels(facts, removed("labels"), evidence)];
    case "queue":
      return reason(
        "NO_WORKER_FOR_TYPE",
        `${plural(removed("queue").length, "worker")} can run ${task.type}, but none takes from queue ${task.queue}`,
        `add the queue ${task.queue} to a worker's queues, or submit to one that they take from`,
      );
    default: {
      const known = new Set(fleet.flatMap(({ candidate }) => [...candidate.types.keys()]));
      const near = closest(task.type, known);
      return reason(
        "NO_WORKER_FOR_TYPE",
        `none of ${plural(fleet.length, "connected worker")} has a handler for ${task.type}${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`,
        `start a worker with a handler for ${task.type}, or cancel the task (muster cancel t-${task.id}) and submit it with the right type`,
      );
    }
  }
}

function delayed({ task, now }: WaitingFacts, fits: readonly Candidate[]): Reason {
  const waited = now.getTime() - (task.runTime ?? task.createTime).getTime();
  return {
    code: "DISPATCH_DELAYED",
    summary:
      waited < DISPATCH_NOTICE_MS
        ? `it is about to be given out: ${plural(fits.length, "worker")} can take it`
        : `${plural(fits.length, "worker")} can take it, and it has waited ${span(waited)}: older or more urgent tasks go first, or the scheduler is behind`,
    since: task.createTime,
    evidence: [{ key: "eligible_workers", value: String(fits.length), source: "matcher" }],
    remedy: "nothing to do unless it lasts; then look at the scheduler's log and the database's load",
  };
}

function allBusy(busy: readonly FleetMember[], evidence: readonly Evidence[], since: Date): Reason {
  const held = busy.flatMap(({ record, candidate }) =>
    (record.heartbeat?.running ?? []).map((attempt) => ({ ...attempt, workerId: candidate.workerId })),
  );
  const oldest = held.sort((a, b) => b.phaseAgeMs - a.phaseAgeMs)[0];
  const slots = busy.reduce((sum, { record }) => sum + (record.heartbeat?.slots ?? record.hello.slots), 0);
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `all ${plural(slots, "slot")} of ${plural(busy.length, "suited worker")} are busy${oldest ? `; the oldest holds ${oldest.attemptId} on ${oldest.workerId} for ${span(oldest.phaseAgeMs)}${oldest.phase ? ` in ${oldest.phase}` : ""}` : ""}`,
    since,
    evidence: [
      ...evidence,
      ...held.slice(0, 10).map((attempt) => ({
        key: "busy_with",
        value: `${attempt.attemptId} on ${attempt.workerId}`,
        source: "heartbeat",
      })),
    ],
    remedy: "it starts when a slot falls free; add workers or slots if it should be sooner",
  };
}

function starting(members: readonly FleetMember[], evidence: readonly Evidence[], since: Date): Reason {
  const suspect = members.filter(({ state }) => state === "suspect");
  if (suspect.length === members.length) {
    return {
      code: "WORKER_SUSPECT",
      summary: `the workers that could run it do not answer: ${names(suspect)}`,
      since,
      evidence,
      remedy: "they return or are given up when their grace is over; start another worker if it lasts",
    };
  }
  const phases = members.map(({ record }) => {
    const last = record.phases.at(-1);
    return `${record.workerId} is in ${last?.phase ?? "an unknown phase"}`;
  });
  return {
    code: "WORKERS_STARTING",
    summary: `${plural(members.length, "worker")} that could run it ${members.length === 1 ? "is" : "are"} starting: ${phases.join(", ")}`,
    since,
    evidence,
    remedy:
      "it is given out when one of them is ready; look at the worker's log if the phase does not change",
  };
}

function noLabels(
  facts: WaitingFacts,
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
): Reason {
  const wanted = Object.entries(facts.taskClass.requirements.labels);
  const missing = wanted.filter(([name, value]) =>
    members.every(({ candidate }) => candidate.labels[name] !== value),
  );
  const [name = "", value = ""] = missing[0] ?? wanted[0] ?? [];
  const have = members.flatMap(({ candidate }) => candidate.labels[name] ?? []);
  return {
    code: "NO_WORKER_MATCHES_LABELS",
    summary: `no worker has the label ${name}=${value}: of ${plural(members.length, "suited worker")}, ${have.length > 0 ? `${have.length} have ${name} with ${[...new Set(have)].join(", ")}` : `none has ${name}`}`,
    since: facts.task.createTime,
    evidence: [...evidence, { key: "label", value: `${name}=${value}`, source: "database" }],
    remedy: `start a worker with the label ${name}=${value}, or submit without it`,
  };
}

function names(members: readonly FleetMember[]): string {
  const shown = members.slice(0, 5).map(({ candidate }) => candidate.workerId);
  return members.length > 5 ? `${shown.join(", ")} and ${members.length - 5} more` : shown.join(", ");
}
