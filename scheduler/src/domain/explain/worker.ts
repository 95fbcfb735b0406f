import { LOOP_BLOCKED_MS, type WorkerRecord } from "../workers/worker.ts";
import { processEvidence, processOf } from "./assigned.ts";
import type { ReasonCode } from "./codes.ts";
import type { FleetMember } from "./fleet.ts";
import { heldBy, heldEvidence, holds, oldestHeld } from "./held.ts";
import { idle, type WaitingClass } from "./idle.ts";
import { fatalEvidence } from "./launch.ts";
import { agree, type Evidence, plural, type Reason, span } from "./reason.ts";
import { progress } from "./resources.ts";
import { revokedRunning } from "./revoked.ts";
import { stalledAttempts } from "./stalled.ts";

export type { WaitingClass } from "./idle.ts";

/** Why a living worker does what it does. @param now The database's clock. */
export function explainLiving(member: FleetMember, waiting: readonly WaitingClass[], now: Date): Reason[] {
  const { record, state, candidate } = member;
  const beat = record.heartbeat;
  const beatAge = record.heartbeatTime ? now.getTime() - record.heartbeatTime.getTime() : 0;
  const held = heldBy(member, beatAge);
  const heldFacts = [...heldEvidence(held, beatAge), ...lastHeartbeat(record, beatAge)];
  // A list that another scheduler cut counts what it left out as well.
  const lingering = member.held.filter(({ revoked }) => revoked).length;
  const count = Math.max(held.length, member.elsewhere ? (beat?.seen?.outstanding ?? 0) - lingering : 0);
  const slots = beat?.slots || record.hello.slots;
  const late = lateHeartbeat(member, beatAge);
  if (state === "suspect") {
    const left = member.graceLeftMs === undefined ? "" : span(member.graceLeftMs);
    return [
      {
        code: "SUSPECT",
        summary: `${record.disconnected ? "its stream dropped" : "its beats stopped"}; the last beat came ${span(beatAge)} ago${left ? `; it is given up in ${left}` : ""}`,
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
        remedy: `it returns by itself, or is given up ${left ? `in ${left}` : "when its grace is over"} and what it holds is requeued; look on ${record.hello.host.hostname || "its host"} whether process ${record.hello.host.pid} lives and reaches the scheduler`,
      },
    ];
  }
  const reasons: Reason[] = [];
  if (beat && beat.loopAgeMs >= LOOP_BLOCKED_MS) {
    const inside = held.find(({ named, standing }) => named && standing === "running");
    const loopAge = beat.loopAgeMs;
    reasons.push({
      code: "LOOP_BLOCKED",
      summary: `it is alive, but its main loop has been blocked for ${span(loopAge)}${inside ? ` in ${inside.attemptId}${inside.phase ? `, phase ${inside.phase}` : ""}` : ""}`,
      since: new Date(now.getTime() - beatAge - loopAge),
      evidence: [
        {
          key: "event_loop_age_ms",
          value: String(Math.round(loopAge)),
          source: "heartbeat",
          ageMs: beatAge,
        },
        ...heldFacts,
        ...processEvidence(member),
      ],
      remedy: `what it holds is left alone, and nothing on it moves until the loop turns again. The handler computes without yielding: move such work to a thread or a child process; if it never ends, stop the process${processOf(member)}, and what it holds is tried again elsewhere`,
    });
  }
  reasons.push(...revokedRunning(member, now));
  if (beat?.verdict) reasons.push(...stalledAttempts(beat.verdict, beatAge, now));
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
          : "nothing to do: it ends by itself when they end; what has not ended when its drain timeout (WORKER_DRAIN_TIMEOUT_S) passes goes to other workers and costs no attempt",
    });
  } else if (state === "registered") {
    const last = record.phases.at(-1);
    reasons.push({
      code: "STARTING",
      summary: `it is registered and still starting; its last phase is ${last?.phase ?? "unknown"}${last?.outcome === "failed" ? ` (failed${last.detail ? `: ${last.detail}` : ""})` : ""}${last ? `, reached ${span(last.elapsedMs)} after its start` : ""}`,
      evidence: record.phases.map(({ phase, outcome, detail, elapsedMs }) => ({
        key: "phase",
        value: `${phase}${outcome && outcome !== "ok" ? ` ${outcome}` : ""} at ${span(elapsedMs)}${detail ? ` (${detail})` : ""}`,
        source: "event",
      })),
      remedy: "it takes work when its startup ends; look at its log if the phase does not change",
    });
  } else if (candidate.pauseReason !== undefined) {
    reasons.push({
      code: "PAUSED",
      summary: `it asks for no new work: ${candidate.pauseReason}${count > 0 ? `; ${plural(count, "attempt")} it holds ${agree(count, ["goes", "go"])} on` : ""}${late}`,
      evidence: [
        { key: "pause_reason", value: candidate.pauseReason, source: "heartbeat", ageMs: beatAge },
        ...heldFacts,
      ],
      remedy: "it takes work again by itself when the reason is gone; check what uses its memory or CPU",
    });
  } else if (count > 0) {
    const unnamed = held.find(({ standing }) => standing === "unnamed" || standing === "unaccepted");
    reasons.push({
      code: "BUSY",
      summary: `${holds(held, count, slots)}${unread(member)}${late}`,
      evidence: heldFacts,
      remedy: unnamed
        ? `how the oldest of them stands: muster why ${unnamed.attemptId.split(".")[0]}; a worker that names in its heartbeats what it runs can be watched`
        : "nothing to do",
    });
  } else if (lingering === 0 || (candidate.credit > 0 && waiting.some(({ ready }) => ready > 0))) {
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

/** A worker whose heartbeats are late is not suspect before its lease ends; what is known of it is old all the same. */
function lateHeartbeat({ record, heartbeatMs }: FleetMember, beatAgeMs: number): string {
  if (beatAgeMs <= LATE_BEATS * heartbeatMs) return "";
  const due = `one is due every ${span(heartbeatMs)}`;
  if (!record.heartbeat)
    return `; it has sent no heartbeat in the ${span(beatAgeMs)} since it connected, and ${due}`;
  return `; its last heartbeat came ${span(beatAgeMs)} ago, and ${due}`;
}

/** Heartbeats late by less than one are ordinary. */
const LATE_BEATS = 2;

function lastHeartbeat({ heartbeat, heartbeatTime }: WorkerRecord, ageMs: number): Evidence[] {
  if (!heartbeat || !heartbeatTime) return [];
  return [{ key: "last_heartbeat", value: heartbeatTime.toISOString(), source: "heartbeat", ageMs }];
}

/** One frame is under way now and then; a worker that reads has none waiting for longer. */
function unread({ unreadCount = 0 }: FleetMember): string {
  return unreadCount > 1 ? `; ${plural(unreadCount, "message")} to it wait until it reads its stream` : "";
}

/** What the supervisor of a worker that does not answer says of its process. */
function supervisorEvidence({ launch }: WorkerRecord, now: Date): Evidence[] {
  if (!launch || launch.end) return [];
  const ageMs = Math.max(0, now.getTime() - launch.reportTime.getTime());
  const value = `${launch.supervisor} on ${launch.hostname} says that pid ${launch.pid} runs`;
  return [{ key: "supervisor", value, source: "launch", ageMs }];
}

/** What it was asked to load and has not loaded, which keeps tasks from it. */
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
          ? "fix the cause of the error; it is asked again by itself, after growing waits"
          : "it takes such tasks once it is loaded; if that takes too long, look at its log",
    };
  });
}

/** What was recorded when a worker was given up. */
export interface EndFacts {
  /** Since its last beat, milliseconds. */
  readonly silentMs: number | undefined;
  /** Attempts that it held, as text; undefined when the event of its end is not kept. */
  readonly held: string | undefined;
}

/** What became of what it held; nothing where no event is kept that says so. */
function heldAtEnd({ held }: EndFacts, became: string): string {
  if (held === undefined) return "";
  return held === "" ? "; it held nothing" : `; what it held ${became}: ${held}`;
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
              value: `${new Date(since.getTime() - end.silentMs).toISOString()}, ${span(end.silentMs)} before it was given up`,
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
        `it stopped answering${end.silentMs === undefined ? "" : `: its last beat came ${span(end.silentMs)} before it was given up`}; lease and grace ran out${heldAtEnd(end, "was requeued")}`,
        `look on ${record.hello.host.hostname || "its host"} whether process ${record.hello.host.pid} lives (kernel log: was it killed for memory?) and reaches the scheduler; it may register again at any time`,
      );
    case "fatal": {
      const fatal = record.fatal;
      return reason(
        "FATAL",
        fatal
          ? `it reported ${fatal.exceptionClass}: ${fatal.exceptionMessage} in ${fatal.phase} and exited with ${fatal.exitCode}${heldAtEnd(end, "was requeued at once")}`
          : "it reported a fatal error",
        "fix the cause named in the traceback and start it again",
        fatal ? fatalEvidence(fatal, "event") : [],
      );
    }
    case "superseded":
      return reason(
        "SUPERSEDED",
        "a newer process registered with the same worker id",
        "give each process a worker id of its own (WORKER_ID) unless it was a replacement",
      );
    default:
      return reason(
        "EXITED",
        `it ended in an orderly way (${record.goneReason ?? "finished"})`,
        "nothing to do",
      );
  }
}
