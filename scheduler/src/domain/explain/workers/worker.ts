/** Explains workers. */
import type { EarlierStart } from "../../workers/startup-history.ts";
import { LOOP_BLOCKED_MS, type WorkerRecord } from "../../workers/worker.ts";
import { processEvidence, processOf } from "../assigned/assigned.ts";
import { blockedEvidence, blockedWords, unblockRemedy } from "../assigned/blocked-part.ts";
import { stackEvidence } from "../assigned/main-stack.ts";
import { stalledAttempts } from "../assigned/stalled.ts";
import type { ReasonCode } from "../codes.ts";
import type { FleetMember } from "../fleet.ts";
import { becauseOf, mechanismNotActing, type Withheld, type WithheldModes } from "../not-acting.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import { progress } from "../resources.ts";
import { heldBy, heldEvidence, holds, oldestHeld } from "./held.ts";
import { idle, type WaitingClass } from "./idle.ts";
import { fatalEvidence } from "./launch.ts";
import { paused } from "./paused.ts";
import { quarantined } from "./quarantined.ts";
import { revokedRunning } from "./revoked.ts";
import { usualOfWorker } from "./usual-startup.ts";

export type { WaitingClass } from "./idle.ts";

/** Why a living worker is in its state. @param now The database's clock. */
export function explainLiving(
  member: FleetMember,
  waiting: readonly WaitingClass[],
  now: Date,
  withheld: WithheldModes = {},
  earlier: readonly EarlierStart[] = [],
): Reason[] {
  const { record, state, candidate } = member;
  const beat = record.heartbeat;
  const beatAge = record.heartbeatTime ? now.getTime() - record.heartbeatTime.getTime() : 0;
  const held = heldBy(member, beatAge);
  const heldFacts = [...heldEvidence(held, beatAge), ...lastHeartbeat(record, beatAge)];
  // Another scheduler shortens its list of attempts and reports their number.
  const lingering = member.held.filter(({ revoked }) => revoked).length;
  const count = Math.max(
    held.length,
    member.elsewhere ? (beat?.seen?.outstanding ?? 0) + (beat?.seen?.released ?? 0) - lingering : 0,
  );
  const slots = beat?.slots || record.hello.slots;
  const late = lateHeartbeat(member, beatAge);
  if (state === "suspect") {
    const left = member.graceLeftMs === undefined ? "" : span(member.graceLeftMs);
    const { recovery } = withheld;
    return [
      ...(recovery && member.graceLeftMs === 0 ? [notEnded(member, beatAge, recovery)] : []),
      {
        code: "SUSPECT",
        summary: `${record.disconnected ? "its stream dropped" : "its heartbeats stopped"}; the last heartbeat came ${span(beatAge)} ago${left ? `; its grace ends in ${left}` : ""}`,
        since: record.heartbeatTime,
        evidence: [
          ...heldFacts,
          ...(left ? [{ key: "grace_left", value: left, source: "database" }] : []),
          {
            key: "process",
            value: `pid ${record.hello.host.pid} on ${record.hello.host.hostname}`,
            source: "database",
          },
          ...supervisorEvidence(record, now),
        ],
        remedy: `check on ${record.hello.host.hostname || "its host"} whether process ${record.hello.host.pid} runs and reaches the scheduler; it reconnects by itself, ${recovery ? `and keeps its attempts ${becauseOf("recovery", recovery)}` : `or its attempts are requeued ${left ? `in ${left}` : "when its grace is over"}`}`,
      },
    ];
  }
  const reasons: Reason[] = [];
  if (beat && beat.loopAgeMs >= LOOP_BLOCKED_MS) {
    const inside = held.find((each) => each.listed && each.state === "running");
    const loopAge = beat.loopAgeMs;
    reasons.push({
      code: "LOOP_BLOCKED",
      summary: `it is alive, but ${blockedWords(beat)}${inside ? ` in ${inside.attemptId}${inside.phase ? `, phase ${inside.phase}` : ""}` : ""}`,
      since: new Date(now.getTime() - beatAge - loopAge),
      evidence: [
        {
          key: "event_loop_age_ms",
          value: String(Math.round(loopAge)),
          source: "heartbeat",
          ageMs: beatAge,
        },
        ...blockedEvidence(beat, beatAge),
        ...stackEvidence(beat, beatAge),
        ...heldFacts,
        ...processEvidence(member),
      ],
      remedy: `${unblockRemedy(beat, "every task on this worker")}; its attempts are not requeued. If it never ends, stop the process${processOf(member)}: its attempts are then tried again on other workers`,
    });
  }
  reasons.push(...revokedRunning(member, now));
  if (beat?.verdict) reasons.push(...stalledAttempts(beat.verdict, beatAge, now, withheld.forgotten));
  const { quarantine } = record;
  if (quarantine) reasons.push(quarantined(quarantine, member, now));
  if (state === "draining") {
    reasons.push({
      code: "DRAINING",
      summary:
        count === 0
          ? `it takes no new work, holds nothing and is about to end${late}`
          : `it takes no new work and waits for ${plural(count, "attempt")}, the oldest ${oldestHeld(held)}${late}`,
      evidence: heldFacts,
      remedy:
        count === 0
          ? "nothing to do: it ends by itself"
          : "nothing to do: it ends when its attempts have ended; those that run after its drain timeout (WORKER_DRAIN_TIMEOUT_S) are requeued and use up no attempt",
    });
  } else if (state === "registered") {
    const last = record.phases.at(-1);
    const usual = usualOfWorker(record, now, earlier);
    reasons.push({
      code: "STARTING",
      summary: `it is registered, and its startup is not finished; its last phase is ${last?.phase ?? "unknown"}${last?.outcome === "failed" ? ` (failed${last.detail ? `: ${last.detail}` : ""})` : ""}${last ? `, reached ${span(last.elapsedMs)} after its start` : ""}${usual && `; ${usual}`}`,
      evidence: [
        ...(usual === "" ? [] : [{ key: "usual_startup", value: usual, source: "database" }]),
        ...record.phases.map(({ phase, outcome, detail, elapsedMs }) => ({
          key: "phase",
          value: `${phase}${outcome && outcome !== "ok" ? ` ${outcome}` : ""} at ${span(elapsedMs)}${detail ? ` (${detail})` : ""}`,
          source: "event",
        })),
      ],
      remedy: "wait until its startup is finished; check its log if the phase does not change",
    });
  } else if (candidate.pauseReason !== undefined) {
    const goesOn = count > 0 ? `; ${plural(count, "attempt", ["continues", "continue"])}` : "";
    reasons.push(...paused(member, { now, more: `${goesOn}${late}`, evidence: heldFacts }));
  } else if (count > 0) {
    const unlisted = held.find((each) => each.state === "unlisted" || each.state === "unaccepted");
    reasons.push({
      code: "BUSY",
      summary: `${holds(held, count, slots)}${unread(member)}${late}`,
      evidence: heldFacts,
      remedy: unlisted
        ? `run \`muster why ${unlisted.attemptId.split(".")[0]}\` for the oldest of them; let the worker list its attempts in its heartbeats, so that the scheduler can watch them`
        : "nothing to do",
    });
  } else if (
    quarantine === undefined &&
    (lingering === 0 || (candidate.credit > 0 && waiting.some(({ ready }) => ready > 0)))
  ) {
    const reason = idle(member, waiting, now);
    reasons.push({
      ...reason,
      summary: `${reason.summary}${unread(member)}${late}`,
      evidence: [...reason.evidence, ...lastHeartbeat(record, beatAge)],
    });
  }
  reasons.push(...loading(member, now));
  return reasons;
}

/** It is lost, and no scheduler ends its session. */
function notEnded({ record }: FleetMember, silentMs: number, recovery: Withheld): Reason {
  return mechanismNotActing(
    "recovery",
    recovery,
    {
      happened: `it has not answered for ${span(silentMs)}, and its lease and grace are over`,
      not: "its session is not ended and its attempts are not requeued",
      meanwhile: `start a process with the worker id ${record.workerId}: when it registers, they are requeued`,
    },
    record.leaseUntil,
    [],
  );
}

/** A worker whose heartbeats are late is not suspect before its lease ends, but its facts are old. */
function lateHeartbeat({ record, heartbeatMs }: FleetMember, beatAgeMs: number): string {
  if (beatAgeMs <= LATE_BEATS * heartbeatMs) return "";
  const due = `one is due every ${span(heartbeatMs)}`;
  if (!record.heartbeat)
    return `; it has sent no heartbeat in the ${span(beatAgeMs)} since it connected, and ${due}`;
  return `; its last heartbeat came ${span(beatAgeMs)} ago, and ${due}`;
}

/** A delay of less than one heartbeat interval is normal. */
const LATE_BEATS = 2;

function lastHeartbeat({ heartbeat, heartbeatTime }: WorkerRecord, ageMs: number): Evidence[] {
  if (!heartbeat || !heartbeatTime) return [];
  return [{ key: "last_heartbeat", value: heartbeatTime.toISOString(), source: "heartbeat", ageMs }];
}

/** One frame may be in flight; a worker that reads its stream has no more waiting. */
function unread({ unreadCount = 0 }: FleetMember): string {
  return unreadCount > 1 ? `; it has not read ${plural(unreadCount, "message")} on its stream` : "";
}

/** The last report of the supervisor of a worker that does not answer. */
function supervisorEvidence({ launch }: WorkerRecord, now: Date): Evidence[] {
  if (!launch || launch.end) return [];
  const ageMs = Math.max(0, now.getTime() - launch.reportTime.getTime());
  const value = `${launch.supervisor} on ${launch.hostname}: pid ${launch.pid} runs`;
  return [{ key: "supervisor", value, source: "launch", ageMs }];
}

/** `RESOURCE_NOT_LOADED`: resources that it was asked to load and has not loaded. */
function loading(member: FleetMember, now: Date): Reason[] {
  return [...member.asks].map(([resource, fact]) => {
    const ageMs = fact.askedAgeMs ?? fact.state?.ageMs ?? 0;
    return {
      code: "RESOURCE_NOT_LOADED",
      summary: `tasks wait for ${resource} on it: it ${progress(member, resource)}`,
      since: new Date(now.getTime() - ageMs),
      evidence: [
        { key: "resource", value: resource, source: "matcher" },
        { key: "asked_count", value: String(fact.askCount), source: "matcher" },
        ...(fact.state?.error
          ? [{ key: "last_error", value: fact.state.error, source: "heartbeat", ageMs: fact.state.ageMs }]
          : []),
      ],
      remedy:
        fact.state?.state === "failed"
          ? "fix the cause of the error; loading is requested again after growing waits"
          : "wait until it is loaded; if that takes too long, check its log",
    };
  });
}

/** The record of a worker's end. */
export interface EndFacts {
  /** From its last heartbeat to its end, milliseconds. */
  readonly silentMs: number | undefined;
  /** Attempts that it held, as text; undefined when the event of its end is not stored. */
  readonly held: string | undefined;
}

/** What happened to its attempts; empty when the event of its end is not stored. */
function heldAtEnd({ held }: EndFacts, became: string): string {
  if (held === undefined) return "";
  return held === "" ? "; it held no attempt" : `; its attempts were ${became}: ${held}`;
}

/** How a worker ended. */
export function explainGone(
  record: WorkerRecord,
  end: EndFacts = { silentMs: undefined, held: undefined },
): Reason {
  const since = record.goneTime;
  const reason = (code: ReasonCode, summary: string, remedy: string, evidence: Evidence[] = []): Reason => ({
    code,
    summary,
    since,
    evidence: [
      ...evidence,
      ...(end.silentMs === undefined || !since
        ? []
        : [
            {
              key: "last_beat",
              value: `${new Date(since.getTime() - end.silentMs).toISOString()}, ${span(end.silentMs)} before its end`,
              source: "database",
            },
          ]),
      ...(end.held ? [{ key: "held", value: end.held, source: "event" }] : []),
      { key: "scheduler", value: record.schedulerId, source: "database" },
      {
        key: "process",
        value: `pid ${record.hello.host.pid} on ${record.hello.host.hostname}`,
        source: "database",
      },
    ],
    remedy,
  });
  switch (record.goneReason) {
    case "lost":
      return reason(
        "LOST",
        `it stopped answering${end.silentMs === undefined ? "" : `: its last heartbeat came ${span(end.silentMs)} before its end`}; lease and grace expired${heldAtEnd(end, "requeued")}`,
        `check on ${record.hello.host.hostname || "its host"} whether process ${record.hello.host.pid} runs (the kernel log shows a kill for memory) and reaches the scheduler; it may register again at any time`,
      );
    case "fatal": {
      const fatal = record.fatal;
      return reason(
        "FATAL",
        fatal
          ? `it reported ${fatal.exceptionClass}: ${fatal.exceptionMessage} in ${fatal.phase} and exited with ${fatal.exitCode}${heldAtEnd(end, "requeued at once")}`
          : "it reported a fatal error",
        "fix the cause that the traceback shows, then start the worker again",
        fatal ? fatalEvidence(fatal, "event") : [],
      );
    }
    case "superseded":
      return reason(
        "SUPERSEDED",
        "a newer process registered with the same worker id",
        "give each process its own WORKER_ID, unless the newer one is a replacement",
      );
    default:
      return reason("EXITED", `it ended normally (${record.goneReason ?? "finished"})`, "nothing to do");
  }
}
