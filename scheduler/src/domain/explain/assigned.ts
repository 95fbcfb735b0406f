import { formatAttemptId } from "../ids.ts";
import type { TaskRecord } from "../tasks/task.ts";
import type { RunningRecord, WorkerRecord } from "../workers/worker.ts";
import type { ActiveFacts, Holder } from "./active-facts.ts";
import { type Evidence, plural, type Reason, span } from "./reason.ts";

/** `AWAITING_ACCEPT`: assigned and not answered, with the time left until it is requeued. */
export function awaitingAccept({ task, holder, acceptDeadlineMs, now }: ActiveFacts, worker: string): Reason {
  const waitedMs = ageOf(task.assignTime, now);
  const leftMs = acceptDeadlineMs - waitedMs;
  const beatTime = holder?.record.heartbeatTime;
  const fate =
    leftMs > 0
      ? `it is taken back in ${span(leftMs)} unless it is accepted by then`
      : `the deadline of ${span(acceptDeadlineMs)} is over, and it is about to be taken back`;
  const unaccepted = task.requeueCounts?.unaccepted ?? 0;
  const before =
    unaccepted === 0 ? "" : `; it was not accepted in time before (${plural(unaccepted, "time")})`;
  return {
    code: "AWAITING_ACCEPT",
    summary: `it was given to ${worker} ${span(waitedMs)} ago, which has not accepted it yet; ${fate}${before}`,
    since: task.assignTime,
    evidence: [
      fact("worker", worker, "database"),
      fact("attempt", formatAttemptId({ taskId: task.id, epoch: task.epoch }), "database"),
      fact("assigned_ms_ago", Math.round(waitedMs), "database"),
      fact("accept_deadline_ms", Math.round(acceptDeadlineMs), "database"),
      ...(unaccepted > 0 ? [fact("unaccepted_before", unaccepted, "database")] : []),
      fact("taken_back_in_ms", Math.max(0, Math.round(leftMs)), "database"),
      ...(beatTime
        ? [{ ...fact("last_beat", beatTime.toISOString(), "heartbeat"), ageMs: ageOf(beatTime, now) }]
        : []),
    ],
    remedy: `nothing to do: taken back, it goes to another worker and costs no attempt; what keeps this one from answering: muster why ${worker}`,
  };
}

/** `CANCELLING`: asked for, and the handler has not returned. */
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
    summary: `its cancellation was asked for ${span(ageOf(cancelTime, now))} ago (${reason}) and the handler on ${worker} has not returned; it keeps its slot until it does`,
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
    remedy: `it ends by itself when the handler looks at ctx.signal. A handler that never does must be fixed; to end it now stop its process${processOf(holder)}: the task is then cancelled, and what else ${worker} holds is given to other workers (muster drain ${worker} first lets that end)`,
  };
}

/** `LOOP_BLOCKED`: the holder sends heartbeats from its own thread while its main loop does not turn. */
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
    summary: `${worker} is alive, but its main loop has been blocked for ${span(loopAge)}${running.phase ? ` in ${running.phase}` : ""}; the task is left alone and keeps its attempt`,
    since: new Date(now.getTime() - beatAge - loopAge),
    evidence: [
      beat("event_loop_age_ms", Math.round(loopAge)),
      ...(running.phase ? [beat("phase", `${running.phase} for ${span(running.phaseAgeMs)}`)] : []),
      fact("worker", worker, "database"),
      beat("attempt", running.attemptId),
      ...(record.heartbeatTime ? [beat("last_beat", record.heartbeatTime.toISOString())] : []),
      ...processEvidence(holder),
    ],
    remedy: `nothing is lost: its result lands when the loop turns again, but until then nothing else on ${worker} moves. Its handler computes without yielding: move such work to a thread or a child process; if it never ends, stop the process${processOf(holder)}: the task is then tried again elsewhere`,
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
