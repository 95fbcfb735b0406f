/** Reasons of assigned tasks: not accepted, cancelling, main loop blocked. */
import { formatAttemptId } from "../../ids.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { RunningRecord, WorkerRecord } from "../../workers/worker.ts";
import { becauseOf, mechanismNotActing } from "../not-acting.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import type { ActiveFacts, Holder } from "./active-facts.ts";
import { blockedEvidence, blockedWords, unblockRemedy } from "./blocked-part.ts";
import { stackEvidence } from "./main-stack.ts";

/** `AWAITING_ACCEPT`: assigned and not answered; has the time left until it is requeued. */
export function awaitingAccept(facts: ActiveFacts, worker: string): Reason[] {
  const { task, holder, acceptDeadlineMs, now } = facts;
  const unaccepted = facts.withheld?.unaccepted;
  const waitedMs = ageOf(task.assignTime, now);
  const leftMs = acceptDeadlineMs - waitedMs;
  const beatTime = holder?.record.heartbeatTime;
  const fate = unaccepted
    ? `it stays there ${becauseOf("unaccepted", unaccepted)}`
    : leftMs > 0
      ? `it is requeued in ${span(leftMs)} unless it is accepted by then`
      : `the accept deadline of ${span(acceptDeadlineMs)} is over, and it is about to be requeued`;
  const times = task.requeueCounts?.unaccepted ?? 0;
  const before =
    times === 0 ? "" : `; earlier assignments were not accepted in time (${plural(times, "time")})`;
  const reason: Reason = {
    code: "AWAITING_ACCEPT",
    summary: `it was assigned to ${worker} ${span(waitedMs)} ago, which has not accepted it yet; ${fate}${before}`,
    since: task.assignTime,
    evidence: [
      fact("worker", worker, "database"),
      fact("attempt", formatAttemptId({ taskId: task.id, epoch: task.epoch }), "database"),
      fact("assigned_ms_ago", Math.round(waitedMs), "database"),
      fact("accept_deadline_ms", Math.round(acceptDeadlineMs), "database"),
      ...(times > 0 ? [fact("unaccepted_before", times, "database")] : []),
      ...(unaccepted ? [] : [fact("taken_back_in_ms", Math.max(0, Math.round(leftMs)), "database")]),
      ...(beatTime
        ? [{ ...fact("last_beat", beatTime.toISOString(), "heartbeat"), ageMs: ageOf(beatTime, now) }]
        : []),
    ],
    remedy: unaccepted
      ? `run \`muster why ${worker}\` to see why it does not answer`
      : `nothing to do: a requeued task goes to another worker and uses up no attempt; run \`muster why ${worker}\` to see why this one does not answer`,
  };
  if (!unaccepted || leftMs > 0) return [reason];
  const withheld = mechanismNotActing(
    "unaccepted",
    unaccepted,
    {
      happened: `${worker} has not accepted it within the accept deadline of ${span(acceptDeadlineMs)}`,
      not: "it is not requeued",
      meanwhile: `run \`muster revoke t-${task.id}\` to requeue it`,
    },
    task.assignTime,
    [fact("worker", worker, "database"), fact("assigned_ms_ago", Math.round(waitedMs), "database")],
  );
  return [withheld, reason];
}

/** `CANCELLING`: a cancellation was requested, and the handler has not returned. */
export function cancelling(
  task: TaskRecord,
  cancelTime: Date,
  holder: Holder | undefined,
  running: RunningRecord | undefined,
  now: Date,
): Reason {
  const worker = task.workerId ?? "its worker";
  const reason = task.cancelReason ?? "no reason given";
  const phase = running?.phase ? ` in ${running.phase}` : "";
  return {
    code: "CANCELLING",
    summary: `its cancellation was requested ${span(ageOf(cancelTime, now))} ago (${reason}) and the handler on ${worker} has not returned; it keeps its slot until it does`,
    since: cancelTime,
    evidence: [
      fact("worker", worker, "database"),
      fact("attempt", formatAttemptId({ taskId: task.id, epoch: task.epoch }), "database"),
      fact("cancel_reason", reason, "database"),
      fact("cancel_requested_ms_ago", Math.round(ageOf(cancelTime, now)), "database"),
      ...processEvidence(holder),
      ...(running
        ? [
            {
              key: "handler",
              value: running.cancelling
                ? `asked to stop, still running${phase}`
                : `not asked to stop as of its last heartbeat${phase ? `, running${phase}` : ""}`,
              source: "heartbeat",
              ageMs: ageOf(holder?.record.heartbeatTime, now),
            },
          ]
        : []),
    ],
    remedy: `it ends when the handler observes ctx.signal; fix a handler that does not. To end it now, stop its process${processOf(holder)}: the task is then cancelled, and the other attempts of ${worker} are requeued (run \`muster drain ${worker}\` first to let them finish)`,
  };
}

/** `LOOP_BLOCKED`: the holder sends heartbeats from its own thread while its main loop is blocked. */
export function loopBlocked(holder: Holder, running: RunningRecord, now: Date): Reason {
  const { record } = holder;
  const { workerId: worker } = record;
  const beatAge = ageOf(record.heartbeatTime, now);
  const loopAge = record.heartbeat?.loopAgeMs ?? 0;
  const beat = (key: string, value: string | number): Evidence => ({
    ...fact(key, value, "heartbeat"),
    ageMs: beatAge,
  });
  return {
    code: "LOOP_BLOCKED",
    summary: `${worker} is alive, but ${blockedWords(record.heartbeat)}${running.phase ? ` in ${running.phase}` : ""}; the task keeps its attempt`,
    since: new Date(now.getTime() - beatAge - loopAge),
    evidence: [
      beat("event_loop_age_ms", Math.round(loopAge)),
      ...blockedEvidence(record.heartbeat, beatAge),
      ...stackEvidence(record.heartbeat, beatAge),
      ...(running.phase ? [beat("phase", `${running.phase} for ${span(running.phaseAgeMs)}`)] : []),
      fact("worker", worker, "database"),
      beat("attempt", running.attemptId),
      ...(record.heartbeatTime ? [beat("last_beat", record.heartbeatTime.toISOString())] : []),
      ...processEvidence(holder),
    ],
    remedy: `${unblockRemedy(record.heartbeat, `every task on ${worker}`)}; its result is committed when it runs again. If it never ends, stop the process${processOf(holder)}: the task is then tried again on another worker`,
  };
}

/** The process to stop, as a fact; nothing where it is not known. */
export function processEvidence(holder: { readonly record: WorkerRecord } | undefined): Evidence[] {
  const host = holder?.record.hello.host;
  return host && host.pid > 0 ? [fact("process", `pid ${host.pid} on ${host.hostname}`, "database")] : [];
}

/** ` (pid 4711 on gpu-7)`, or nothing where it is not known. */
export function processOf(holder: { readonly record: WorkerRecord } | undefined): string {
  const host = holder?.record.hello.host;
  return host && host.pid > 0 ? ` (pid ${host.pid} on ${host.hostname || "its host"})` : "";
}

function fact(key: string, value: string | number, source: string): Evidence {
  return { key, value: String(value), source };
}

function ageOf(since: Date | undefined, now: Date): number {
  return since === undefined ? 0 : Math.max(0, now.getTime() - since.getTime());
}
