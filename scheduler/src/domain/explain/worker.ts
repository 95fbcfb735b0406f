import { removedBy, type TaskClass } from "../match.ts";
import type { WorkerRecord } from "../worker.ts";
import { type Evidence, plural, type Reason, span } from "./reason.ts";
import { LOOP_BLOCKED_MS } from "./task.ts";
import type { FleetMember } from "./waiting.ts";

/** A class of tasks that waits. */
export interface WaitingClass {
  readonly taskClass: TaskClass;
  readonly ready: number;
}

/** Why a living worker does what it does. @param now The database's clock. */
export function explainLiving(member: FleetMember, waiting: readonly WaitingClass[], now: Date): Reason[] {
  const { record, state, candidate } = member;
  const beat = record.heartbeat;
  const beatAge = record.heartbeatTime ? now.getTime() - record.heartbeatTime.getTime() : 0;
  const held = beat?.running ?? [];
  const heldEvidence: Evidence[] = held.map((attempt) => ({
    key: "attempt",
    value: `${attempt.attemptId}${attempt.phase ? ` in ${attempt.phase}` : ""} for ${span(attempt.phaseAgeMs)}`,
    source: "heartbeat",
    ageMs: beatAge,
  }));
  if (state === "suspect") {
    return [
      {
        code: "SUSPECT",
        summary: `${record.disconnected ? "its stream dropped" : "its beats stopped"}; the last beat came ${span(beatAge)} ago`,
        since: record.heartbeatTime,
        evidence: heldEvidence,
        remedy:
          "it returns, or is given up when its grace is over; look whether its process and its network live",
      },
    ];
  }
  const reasons: Reason[] = [];
  if (beat && beat.loopAgeMs >= LOOP_BLOCKED_MS) {
    const inside = held.find(({ resultPending }) => !resultPending);
    reasons.push({
      code: "LOOP_BLOCKED",
      summary: `it is alive, but its main loop has been blocked for ${span(beat.loopAgeMs)}${inside ? ` in ${inside.attemptId}${inside.phase ? `, phase ${inside.phase}` : ""}` : ""}`,
      evidence: heldEvidence,
      remedy: "the handler computes without yielding; move such work to a thread or a child process",
    });
  }
  if (state === "draining") {
    reasons.push({
      code: "DRAINING",
      summary: `it takes no new work and waits for ${plural(held.length, "attempt")}`,
      evidence: heldEvidence,
      remedy: "it ends by itself when they end or its drain timeout passes",
    });
  } else if (state === "registered") {
    const last = record.phases.at(-1);
    reasons.push({
      code: "STARTING",
      summary: `it is registered and still starting; its last phase is ${last?.phase ?? "unknown"}${last ? `, reached ${span(last.elapsedMs)} after its start` : ""}`,
      evidence: record.phases.map(({ phase, elapsedMs }) => ({
        key: "phase",
        value: `${phase} at ${span(elapsedMs)}`,
        source: "event",
      })),
      remedy: "it takes work when its startup ends; look at its log if the phase does not change",
    });
  } else if (candidate.pauseReason !== undefined) {
    reasons.push({
      code: "PAUSED",
      summary: `it asks for no new work: ${candidate.pauseReason}`,
      evidence: heldEvidence,
      remedy: "it goes on by itself when the pressure is gone",
    });
  } else if (held.length > 0) {
    reasons.push({
      code: "BUSY",
      summary: `it runs ${plural(held.length, "attempt")} in ${plural(beat?.slots ?? record.hello.slots, "slot")}`,
      evidence: heldEvidence,
      remedy: "nothing to do",
    });
  } else reasons.push(idle(member, waiting));
  return reasons;
}

/** How a worker ended. */
export function explainGone(record: WorkerRecord): Reason {
  const since = record.goneTime;
  const reason = (code: string, summary: string, remedy: string, evidence: Evidence[] = []): Reason => ({
    code,
    summary,
    since,
    evidence,
    remedy,
  });
  switch (record.goneReason) {
    case "lost":
      return reason(
        "LOST",
        "it stopped answering and its lease and grace ran out; what it held was requeued",
        "look whether its process was killed or its network cut; it may register again at any time",
      );
    case "fatal": {
      const fatal = record.fatal;
      return reason(
        "FATAL",
        fatal
          ? `it reported ${fatal.exceptionClass}: ${fatal.exceptionMessage} in ${fatal.phase} and exited with ${fatal.exitCode}`
          : "it reported a fatal error",
        "mend the cause named in the traceback and start it again",
        fatal ? [{ key: "traceback", value: fatal.traceback, source: "event" }] : [],
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

function idle({ candidate }: FleetMember, waiting: readonly WaitingClass[]): Reason {
  const open = waiting.filter(({ ready }) => ready > 0);
  if (open.length === 0) {
    return {
      code: "IDLE_NO_WORK",
      summary: "it is ready and no task waits",
      evidence: [],
      remedy: "nothing to do",
    };
  }
  const removed = open.map((entry) => ({ ...entry, filter: removedBy(entry.taskClass, candidate) }));
  const total = open.reduce((sum, { ready }) => sum + ready, 0);
  const filters = [...new Set(removed.map(({ filter }) => filter ?? "none"))];
  return {
    code: "IDLE_NOT_ELIGIBLE",
    summary: `${plural(total, "task")} wait, none for it: removed by ${filters.join(", ")}`,
    evidence: removed.slice(0, 20).map(({ taskClass, ready, filter }) => ({
      key: `${taskClass.queue}/${taskClass.type}`,
      value: `${ready} ready; ${filter ? `removed by ${filter}` : "eligible, others were faster"}`,
      source: "matcher",
    })),
    remedy: "start a worker that the waiting tasks suit, or give this one what they ask for",
  };
}
