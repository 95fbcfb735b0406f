/** Reasons of stuck, missing, unstarted and uncommitted attempts. */
import { formatAttemptId, formatTaskId } from "../../ids.ts";
import { isQuiet, type Stuck, stuckOf } from "../../tasks/attempts/watchdog.ts";
import type { Progress } from "../../tasks/task.ts";
import type { TimelineEvent } from "../../tasks/timeline.ts";
import { type BeatVerdict, LOOP_BLOCKED_MS, type RunningRecord } from "../../workers/worker.ts";
import { becauseOf, mechanismNotActing, type Withheld } from "../not-acting.ts";
import { agree, type Evidence, plural, type Reason, span } from "../reason.ts";
import type { ActiveFacts } from "./active-facts.ts";
import { expectedQuiet, quietEvidence, quietWords } from "./expected-quiet.ts";
import { stackEvidence } from "./main-stack.ts";
import { progressWords } from "./progress-words.ts";

const PHASE_EVENT = /^task\.(.+)\.(started|completed|failed|stuck|recovered)$/;

/** Facts of a stuck event that the summary already has. */
const OWN_FACTS = new Set(["elapsed_ms", "warn_after_s", "still_ms", "warning", "reported_by", "by"]);

/** Attempts named in the evidence of a worker. */
const MAX_NAMED = 20;

/** A stuck attempt with the event that reported it, if there is one. */
export type StuckTask = Stuck & { readonly event: TimelineEvent | undefined };

/**
 * The task's stuck attempt, by the first of these that reports it: the worker's events, the verdict of the scheduler that
 * holds the worker's stream, the phase's threshold with the database's clock.
 */
export function stuckTask(facts: ActiveFacts, running: RunningRecord | undefined): StuckTask | undefined {
  const { task, holder, watch, now } = facts;
  const expected = expectedQuiet(facts, running);
  if (expected && isQuiet(expected.record)) return undefined;
  const events = facts.events.filter(({ epoch }) => epoch === task.epoch);
  const [first] = openStuckEvents(events).values();
  if (first) return fromEvent(first, now);
  const beatTime = holder?.record.heartbeatTime;
  const verdict = holder?.record.heartbeat?.verdict?.stuck.find(
    ({ taskId, epoch }) => taskId === task.id && epoch === task.epoch,
  );
  // An event that is newer than the heartbeat invalidates its verdict.
  const moved = events.some(({ time }) => beatTime !== undefined && time > beatTime);
  if (verdict && !moved && (verdict.phase === "" || task.phase !== undefined)) {
    const later = ageOf(beatTime, now);
    const { elapsedMs, stillMs } = verdict;
    return { ...verdict, elapsedMs: elapsedMs + later, stillMs: stillMs + later, event: undefined };
  }
  if (task.phase === undefined || task.phaseTime === undefined) return undefined;
  const sameBeat = running?.phase === task.phase ? running : undefined;
  const stuck = stuckOf(
    {
      runAgeMs: ageOf(task.startTime ?? task.acceptTime, now),
      phase: task.phase,
      phaseAgeMs: ageOf(task.phaseTime, now),
      progressAgeMs: task.progress ? ageOf(task.progress.at, now) : undefined,
      warnAfterMs: sameBeat?.warnAfterMs,
      reported: [],
    },
    // Only the scheduler that holds the worker's stream receives all its events.
    { ...task.options?.watchdogs, runMs: 0 },
    watch,
  );
  return stuck && { ...stuck, event: undefined };
}

/** `STUCK_IN_PHASE`. */
export function stuckReason(
  facts: ActiveFacts,
  stuck: StuckTask,
  running: RunningRecord | undefined,
): Reason {
  const { task, holder, now } = facts;
  const worker = task.workerId ?? "its worker";
  const expected = expectedQuiet(facts, running);
  const loopAge = holder?.record.heartbeat?.loopAgeMs ?? 0;
  const beatAge = ageOf(holder?.record.heartbeatTime, now);
  const blocked = loopAge >= LOOP_BLOCKED_MS;
  const where = stuck.phase === "" ? "without a phase" : `in ${stuck.phase}`;
  const progress = progressText(task.progress, running);
  const still = stuck.stillMs < stuck.elapsedMs ? `, ${span(stuck.stillMs)} of it without progress` : "";
  const loop = blocked
    ? `the worker's main loop has been blocked for ${span(loopAge)}`
    : "the worker's main loop is free";
  const since = new Date(now.getTime() - stuck.elapsedMs);
  return {
    code: "STUCK_IN_PHASE",
    summary: `it has been ${where} on ${worker} for ${span(stuck.elapsedMs)}${still}; the threshold is ${span(stuck.warnAfterMs)}${quietWords(expected)}; ${progress}; ${loop}`,
    since,
    evidence: [
      fact("phase", stuck.phase || "none", stuck.by === "worker" ? "event" : "database"),
      fact("elapsed_ms", Math.round(stuck.elapsedMs), stuck.by === "worker" ? "event" : "database"),
      fact("threshold_ms", Math.round(stuck.warnAfterMs), "database"),
      { ...fact("loop_blocked", String(blocked), "heartbeat"), ageMs: beatAge },
      { ...fact("event_loop_age_ms", Math.round(loopAge), "heartbeat"), ageMs: beatAge },
      ...quietEvidence(expected),
      ...(blocked ? stackEvidence(holder?.record.heartbeat, beatAge) : []),
      fact("progress", progress, "event"),
      fact("worker", worker, "database"),
      fact("reported_by", stuck.event?.attributes.reported_by ?? stuck.by, "event"),
      ...(stuck.event ? contextOf(stuck.event, now) : []),
    ],
    remedy: remedyOf(stuck, worker, formatTaskId(task.id)),
  };
}

/** `RESULT_PENDING`. */
export function resultPending(
  worker: string,
  attemptId: string,
  running: RunningRecord | undefined,
  heldUp: string | undefined,
  beatAgeMs: number,
  now: Date,
): Reason {
  // The heartbeat has its age at the time of the heartbeat.
  const resultAgeMs = running?.resultAgeMs === undefined ? undefined : running.resultAgeMs + beatAgeMs;
  const long = resultAgeMs === undefined ? "" : ` ${span(resultAgeMs)} ago`;
  const beat = (key: string, value: string | number): Evidence => ({
    ...fact(key, value, "heartbeat"),
    ageMs: beatAgeMs,
  });
  return {
    code: "RESULT_PENDING",
    summary: `the handler on ${worker} ${long === "" ? "has returned" : `returned${long}`}; its result waits for its commit${heldUp === undefined ? "" : `, because ${heldUp}`}`,
    since: resultAgeMs === undefined ? undefined : new Date(now.getTime() - resultAgeMs),
    evidence: [
      beat("attempt", attemptId),
      ...(resultAgeMs === undefined ? [] : [beat("result_age_ms", Math.round(resultAgeMs))]),
      ...(heldUp === undefined ? [] : [fact("last_error", heldUp, "database")]),
    ],
    remedy:
      heldUp === undefined
        ? "wait for the next commit; if it lasts, run `muster doctor` to check the database"
        : "fix what the error names: the result is kept, and its commit is retried at least every 5 s; run `muster doctor` to check the database",
  };
}

/** `MISSING_AT_WORKER`: its worker is alive, and its heartbeats do not list the attempt. */
export function missingAtWorker(
  worker: string,
  attemptId: string,
  unlisted: BeatVerdict["unlisted"][number],
  beatAgeMs: number,
  { withheld, now }: Pick<ActiveFacts, "now" | "withheld">,
): Reason[] {
  const forgotten = withheld?.forgotten;
  const forMs = unlisted.forMs + beatAgeMs;
  const takenBackInMs = Math.max(0, unlisted.takenBackInMs - beatAgeMs);
  const since = new Date(now.getTime() - forMs);
  const reason: Reason = {
    code: "MISSING_AT_WORKER",
    summary: `${worker} is alive and accepted it, but its heartbeats have not listed it for ${span(forMs)}`,
    since,
    evidence: [
      { ...fact("attempt", attemptId, "heartbeat"), ageMs: beatAgeMs },
      { ...fact("unlisted_ms", Math.round(forMs), "heartbeat"), ageMs: beatAgeMs },
    ],
    remedy: `look for a fault in ${worker}: it must list the attempt in its heartbeats${forgotten ? "" : `, or the task is requeued in ${span(takenBackInMs)} (requeued:forgotten)`}`,
  };
  if (!forgotten || takenBackInMs > 0) return [reason];
  const notActing = mechanismNotActing(
    "forgotten",
    forgotten,
    {
      happened: `${worker} accepted it and has not listed it in its heartbeats for ${span(forMs)}`,
      not: "it is not requeued",
      meanwhile: `run \`muster revoke t-${unlisted.taskId}\` to requeue it`,
    },
    since,
    [{ ...fact("attempt", attemptId, "heartbeat"), ageMs: beatAgeMs }],
  );
  return [notActing, reason];
}

/** Stuck and missing attempts of a worker, by the verdict that is stored with its heartbeat. */
export function stalledAttempts(
  verdict: BeatVerdict,
  beatAgeMs: number,
  now: Date,
  forgotten: Withheld | undefined,
): Reason[] {
  const reasons: Reason[] = [];
  const [worst] = verdict.stuck.toSorted((a, b) => b.elapsedMs - a.elapsedMs);
  if (worst) {
    const elapsedMs = worst.elapsedMs + beatAgeMs;
    const more = verdict.stuck.length > 1 ? ` (and ${verdict.stuck.length - 1} more)` : "";
    const where = worst.phase === "" ? "without a phase" : `in ${worst.phase}`;
    reasons.push({
      code: "STUCK_IN_PHASE",
      summary: `${formatAttemptId(worst)} has been ${where} for ${span(elapsedMs)}, over its threshold of ${span(worst.warnAfterMs)}${more}`,
      since: new Date(now.getTime() - elapsedMs),
      evidence: verdict.stuck.slice(0, MAX_NAMED).map((stuck) => ({
        ...fact(
          "attempt",
          `${formatAttemptId(stuck)} in ${stuck.phase || "no named phase"} for ${span(stuck.elapsedMs)}, threshold ${span(stuck.warnAfterMs)}`,
          "heartbeat",
        ),
        ageMs: beatAgeMs,
      })),
      remedy: `run \`muster why ${formatTaskId(worst.taskId)}\` for the facts; the attempt is not killed`,
    });
  }
  const [missing] = verdict.unlisted;
  if (missing) {
    reasons.push({
      code: "MISSING_AT_WORKER",
      summary: `it accepted ${plural(verdict.unlisted.length, "attempt")} that its heartbeats do not list, for example ${formatAttemptId(missing)} for ${span(missing.forMs + beatAgeMs)}`,
      since: new Date(now.getTime() - missing.forMs - beatAgeMs),
      evidence: verdict.unlisted
        .slice(0, MAX_NAMED)
        .map((attempt) => ({ ...fact("attempt", formatAttemptId(attempt), "heartbeat"), ageMs: beatAgeMs })),
      remedy: `look for a fault in this worker: it must list ${agree(verdict.unlisted.length, ["the attempt", "the attempts"])} in its heartbeats${forgotten ? `; ${agree(verdict.unlisted.length, ["it is", "they are"])} not requeued, ${becauseOf("forgotten", forgotten)}` : `, or ${agree(verdict.unlisted.length, ["it is", "they are"])} requeued after a lease`}`,
    });
  }
  return reasons;
}

/** `AWAITING_START`: accepted, and the start of its handler is not reported; undefined when it is. */
export function awaitingStart({ task, holder, watch, now }: ActiveFacts, worker: string): Reason | undefined {
  if (task.startTime !== undefined || task.acceptTime === undefined) return undefined;
  const waitedMs = ageOf(task.acceptTime, now);
  const late = watch.unstartedAfterMs > 0 && waitedMs >= watch.unstartedAfterMs;
  const held = holder?.record.activeCount ?? 0;
  const slots = holder?.record.heartbeat?.slots || holder?.record.hello.slots || 0;
  const ageMs = ageOf(holder?.record.heartbeatTime, now);
  return {
    code: "AWAITING_START",
    summary: `${worker} accepted it ${span(waitedMs)} ago and has not reported its start; the worker holds ${plural(held, "attempt")} for ${plural(slots, "slot")}`,
    since: task.acceptTime,
    evidence: [
      fact("worker", worker, "database"),
      fact("accepted_ms_ago", Math.round(waitedMs), "database"),
      { ...fact("held", held, "heartbeat"), ageMs },
      { ...fact("slots", slots, "heartbeat"), ageMs },
      fact("warn_after_ms", watch.unstartedAfterMs, "database"),
    ],
    remedy: late
      ? `check the log of ${worker}: it must start an accepted task when a slot is free; to run the task on another worker, stop ${worker}`
      : "it starts there when a slot is free",
  };
}

/** The latest `stuck` of each phase that neither recovered nor ended since, in order of arrival. */
function openStuckEvents(events: readonly TimelineEvent[]): Map<string, TimelineEvent> {
  const open = new Map<string, TimelineEvent>();
  for (const event of events) {
    const [, phase, change] = PHASE_EVENT.exec(event.name) ?? [];
    if (phase === undefined) continue;
    if (change === "stuck") open.set(phase, event);
    else if (change !== "started") open.delete(phase);
  }
  return open;
}

function fromEvent(event: TimelineEvent, now: Date): StuckTask {
  const { attributes } = event;
  const later = ageOf(event.time, now);
  const elapsedMs = number(attributes.elapsed_ms) + later;
  const stillMs = attributes.still_ms === undefined ? elapsedMs : number(attributes.still_ms) + later;
  const byScheduler = attributes.reported_by === "scheduler";
  const [, phase = ""] = PHASE_EVENT.exec(event.name) ?? [];
  return {
    phase: byScheduler && phase === "run" ? "" : phase,
    elapsedMs,
    stillMs,
    warnAfterMs: number(attributes.warn_after_s) * 1_000,
    by: byScheduler ? "scheduler" : "worker",
    event,
  };
}

function contextOf(event: TimelineEvent, now: Date): Evidence[] {
  const { warning, ...rest } = event.attributes;
  const ageMs = ageOf(event.time, now);
  const facts = Object.entries(rest).filter(([key]) => !OWN_FACTS.has(key));
  return [
    { ...fact("last_warning", `${event.name}${warning ? ` (${warning})` : ""}`, "event"), ageMs },
    ...facts.map(([key, value]) => fact(key, value, "event")),
  ];
}

function remedyOf({ phase, by }: Stuck, worker: string, taskId: string): string {
  const longer =
    phase === ""
      ? "if such tasks take this long, let the handler report phases or progress or call ctx.expect(), or raise --stuck-after or the task's watchdogs"
      : by === "worker"
        ? `if the phase may take this long, call ctx.expect() before it, or raise its threshold at the worker (warn: { ${phase}: seconds }, or WORKER_WARN_${phase.toUpperCase()}_S for the phases that have one)`
        : "if the phase may take this long, raise its threshold (--warn-phases, --stuck-after, or the task's watchdogs)";
  return `check the log of ${worker}; it is not killed: to end it, run \`muster cancel ${taskId}\`; ${longer}`;
}

function progressText(progress: Partial<Progress> | undefined, running: RunningRecord | undefined): string {
  // It has stood still: what was left at its last rate is no longer true.
  const { leftMs: _, ...standing } = progress ?? {};
  const said = progressWords(standing);
  if (said !== "") return said;
  if (running?.progress !== undefined) return `${Math.round(running.progress * 100)} % done`;
  return progress?.message || "no progress was reported";
}

function fact(key: string, value: string | number, source: string): Evidence {
  return { key, value: String(value), source };
}

function ageOf(since: Date | undefined, now: Date): number {
  return since === undefined ? 0 : Math.max(0, now.getTime() - since.getTime());
}

function number(text: string | undefined): number {
  const value = Number(text);
  return Number.isFinite(value) ? value : 0;
}
