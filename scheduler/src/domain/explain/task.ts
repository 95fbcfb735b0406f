/** Explains assigned and ended tasks. */
import { formatAttemptId, formatTaskId } from "../ids.ts";
import { remedyFor } from "../remedy.ts";
import { POISONED_AFTER } from "../tasks/outcome/blame.ts";
import type { AttemptRecord, TaskRecord } from "../tasks/task.ts";
import { holdsKey, type KeyHolder } from "../tasks/unique-keys/unique-key.ts";
import { LOOP_BLOCKED_MS } from "../workers/worker.ts";
import type { ActiveFacts, Holder } from "./assigned/active-facts.ts";
import { awaitingAccept, cancelling, loopBlocked } from "./assigned/assigned.ts";
import { type ExpectedQuiet, expectedQuiet, quietEvidence, quietWords } from "./assigned/expected-quiet.ts";
import { progressWords } from "./assigned/progress-words.ts";
import { awaitingStart, missingAtWorker, resultPending, stuckReason, stuckTask } from "./assigned/stalled.ts";
import { timingOut } from "./assigned/timing-out.ts";
import { waitingForBatch } from "./assigned/waiting-for-batch.ts";
import { slotReleaseOf, withoutSlots } from "./assigned/without-slots.ts";
import { endedByBudget } from "./ended/budget.ts";
import { endedByDependency } from "./ended/dependency-failed.ts";
import { failureFacts } from "./failure-facts.ts";
import { endedByLimit } from "./limits/limited.ts";
import { becauseOf, mechanismNotActing, type Withheld } from "./not-acting.ts";
import { type Evidence, plural, type Reason, span } from "./reason.ts";
import { list } from "./removed.ts";
import { LOSS_OUTCOMES } from "./waiting/alone.ts";
import type { WaitingClass } from "./workers/idle.ts";

/** Why an assigned task makes no progress. */
export function explainActive(facts: ActiveFacts): Reason[] {
  const { task, holder, now } = facts;
  const age = (since: Date | undefined) => (since ? now.getTime() - since.getTime() : 0);
  const attemptId = formatAttemptId({ taskId: task.id, epoch: task.epoch });
  const worker = task.workerId ?? "its worker";
  const reasons: Reason[] = [];
  const running = holder?.record.heartbeat?.running.find((attempt) => attempt.attemptId === attemptId);
  if (holder?.state === "suspect") {
    const silent = age(holder.record.heartbeatTime);
    const left = holder.graceLeftMs === undefined ? "" : span(holder.graceLeftMs);
    const end = left ? `in ${left}` : "when its grace ends";
    const { recovery } = facts.withheld ?? {};
    if (recovery && holder.graceLeftMs === 0)
      reasons.push(notRecovered(task, worker, silent, holder, recovery));
    reasons.push({
      code: "WORKER_SUSPECT",
      summary: `${worker}, which holds it, does not answer; its last heartbeat came ${span(silent)} ago${left ? `, and its grace ends in ${left}` : ""}`,
      since: holder.record.heartbeatTime,
      evidence: [
        { key: "worker", value: worker, source: "heartbeat", ageMs: silent },
        ...(left ? [{ key: "grace_left", value: left, source: "database" }] : []),
      ],
      remedy: `wait: it reconnects, ${recovery ? `and its task stays with it ${becauseOf("recovery", recovery)}` : `or ${end} the task is ${task.cancelTime ? "cancelled" : "requeued"}`}; run \`muster why ${worker}\` for the cause`,
    });
  }
  const heldUp = holder?.held?.find((attempt) => attempt.attemptId === attemptId)?.heldUp;
  const pending = running?.resultPending || heldUp !== undefined;
  if (task.cancelTime) reasons.push(cancelling(task, task.cancelTime, holder, running, now));
  else if (!pending) reasons.push(...timingOut(facts, worker, running));
  const loopAge = holder?.record.heartbeat?.loopAgeMs ?? 0;
  if (running && holder && loopAge >= LOOP_BLOCKED_MS) reasons.push(loopBlocked(holder, running, now));
  const release = pending
    ? undefined
    : slotReleaseOf(holder, attemptId, running, age(holder?.record.heartbeatTime));
  const stuck = pending || release ? undefined : stuckTask(facts, running);
  if (stuck) reasons.push(stuckReason(facts, stuck, running));
  if (pending)
    reasons.push(resultPending(worker, attemptId, running, heldUp, age(holder?.record.heartbeatTime), now));
  const unlisted = holder?.record.heartbeat?.verdict?.unlisted.find(
    ({ taskId, epoch }) => taskId === task.id && epoch === task.epoch,
  );
  if (unlisted && !running) {
    reasons.push(...missingAtWorker(worker, attemptId, unlisted, age(holder?.record.heartbeatTime), facts));
  }
  if (reasons.length > 0) return reasons;
  if (task.state === "assigned") return awaitingAccept(facts, worker);
  if (release) return [withoutSlots(facts, worker, release)];
  const unstarted = awaitingStart(facts, worker);
  return [
    unstarted ??
      waitingForBatch(facts, worker) ??
      runningReason(facts, worker, age, expectedQuiet(facts, running)),
  ];
}

/** Its worker is lost, and no scheduler ends the session. */
function notRecovered(
  { id, assignTime }: TaskRecord,
  worker: string,
  silentMs: number,
  { record }: Holder,
  recovery: Withheld,
): Reason {
  const { leaseUntil } = record;
  // What began before is a reason for this task since it was assigned.
  const since = leaseUntil && assignTime && leaseUntil < assignTime ? assignTime : leaseUntil;
  return mechanismNotActing(
    "recovery",
    recovery,
    {
      happened: `${worker}, which holds it, has not answered for ${span(silentMs)}, and its lease and grace are over`,
      not: "the task is not requeued",
      meanwhile: `run \`muster revoke t-${id}\` to requeue the task`,
    },
    since,
    [{ key: "worker", value: worker, source: "heartbeat", ageMs: silentMs }],
  );
}

/**
 * How a task ended.
 *
 * @param keyOwner The task that its unique key belongs to; undefined when there is none.
 */
export function explainEnded(
  task: TaskRecord,
  attempts: readonly AttemptRecord[],
  keyOwner?: KeyHolder,
): Reason {
  const tries = attempts.map(
    (attempt) =>
      `${formatAttemptId({ taskId: task.id, epoch: attempt.epoch })} on ${attempt.workerId ?? "no worker"}${attempt.build ? ` (build ${attempt.build})` : ""}: ${attempt.outcome}${attempt.failure ? ` (${attempt.failure.code}: ${attempt.failure.message})` : ""}`,
  );
  const evidence: Evidence[] = [
    ...tries.map((value) => ({ key: "attempt", value, source: "database" })),
    ...(task.uniqueKey === undefined
      ? []
      : [
          {
            key: "unique_key",
            value: `${task.uniqueKey}: ${keyText(task.id, keyOwner)}`,
            source: "database",
          },
        ]),
  ];
  if (task.state === "failed" && task.failure) evidence.push(...failureFacts(task.failure));
  const since = task.finishTime;
  if (task.state === "succeeded") {
    const warned = task.warnings.length > 0;
    return {
      code: warned ? "SUCCEEDED_WITH_WARNINGS" : "SUCCEEDED",
      summary: warned
        ? `it succeeded on ${task.workerId}, with ${plural(task.warnings.length, "warning")}: ${task.warnings.map(({ step, message }) => `${step}: ${message}`).join("; ")}`
        : `it succeeded on ${task.workerId}`,
      since,
      evidence: [...evidence, { key: "worker", value: task.workerId ?? "none", source: "database" }],
      remedy: warned ? "check the steps that failed; the work itself is done" : "nothing to do",
    };
  }
  if (task.state === "cancelled") {
    const reason = endedByLimit(task, evidence) ?? endedByDependency(task, evidence);
    if (reason) return reason;
    return {
      code: "CANCELLED",
      summary: `it was cancelled: ${task.cancelReason ?? "the handler ended it"}`,
      since,
      evidence: [
        ...evidence,
        ...(task.cancelReason === undefined
          ? []
          : [{ key: "cancel_reason", value: task.cancelReason, source: "database" }]),
      ],
      remedy: `run \`muster retry t-${task.id}\` to run it again`,
    };
  }
  const dependency = endedByDependency(task, evidence);
  if (dependency) return dependency;
  const failure = task.failure;
  const last = failure ? `${failure.code}: ${failure.message}` : "no error was kept";
  if (task.detail === "POISONED") return poisoned(task, attempts, evidence, last);
  const budget = endedByBudget(task, evidence, last);
  if (budget) return budget;
  const exhausted = task.detail === "RETRIES_EXHAUSTED";
  return {
    code: exhausted ? "RETRIES_EXHAUSTED" : "FAILED",
    summary: exhausted
      ? `it failed ${plural(task.attemptCount, "time")}${task.outOfMemoryCount > 0 ? ` and ran out of memory ${plural(task.outOfMemoryCount, "time")}, which have a budget of their own; that is` : ", which is"} all its retry policy allows; last ${last}`
      : `it failed with ${last}`,
    since,
    evidence: [
      ...evidence,
      { key: "last_error", value: last, source: "database" },
      { key: "worker", value: task.workerId ?? "none", source: "database" },
    ],
    remedy: `${remedyFor(failure?.code, formatTaskId(task.id))}, then run \`muster retry t-${task.id}\``,
  };
}

/** What a later submit with the unique key of an ended task meets. */
function keyText(taskId: number, owner: KeyHolder | undefined): string {
  if (!owner || !holdsKey(owner)) return "free: a later submit with this key makes a new task";
  return owner.id === taskId
    ? "a later submit with this key returns this task, marked as a duplicate, or is refused where it asks for that"
    : `held by ${formatTaskId(owner.id)}, which is ${owner.state}: a retry of this task is refused until it frees the key`;
}

/** `POISONED`: processes died while it ran. */
function poisoned(
  task: TaskRecord,
  attempts: readonly AttemptRecord[],
  evidence: readonly Evidence[],
  last: string,
): Reason {
  const killed = attempts.filter(({ outcome, epoch }) => LOSS_OUTCOMES.has(outcome) || epoch === task.epoch);
  const workers = [...new Set(killed.map(({ workerId }) => workerId ?? "an unknown worker"))];
  const id = formatTaskId(task.id);
  return {
    code: "POISONED",
    summary: `${POISONED_AFTER} processes died while it ran, the last one while it ran alone or as the worker reported: ${list(workers)}; last ${last}`,
    since: task.finishTime,
    evidence: [
      ...evidence,
      { key: "last_error", value: last, source: "database" },
      ...workers.slice(0, 20).map((value) => ({ key: "killed_process_of", value, source: "database" })),
      ...killed.slice(-20).flatMap((attempt) => processDeath(task.id, attempt)),
    ],
    remedy: `run ${workers
      .slice(0, 3)
      .map((worker) => `\`muster why ${worker}\``)
      .join(
        ", ",
      )} for the last output of each process; fix the handler or its input, then run \`muster retry ${id}\``,
  };
}

/** When a process ended that ran it, how, and where its last output is. */
function processDeath(taskId: number, { epoch, workerId, endTime, failure }: AttemptRecord): Evidence[] {
  if (!endTime || workerId === undefined) return [];
  const how = failure ? `: ${failure.code}: ${failure.message}` : "";
  return [
    {
      key: "process_end",
      value: `${formatAttemptId({ taskId, epoch })} at ${endTime.toISOString()} on ${workerId}${how}; last output: muster why ${workerId}`,
      source: "database",
    },
  ];
}

/** A handler may wait for a task that waits for the handler's own slot; only the handler has that knowledge. */
function waitsBehind(behind: readonly WaitingClass[], worker: string): string {
  const [largest] = behind;
  if (!largest) return "";
  const total = behind.reduce((sum, { ready }) => sum + ready, 0);
  const { type, queue } = largest.taskClass;
  return `. No slot is free on ${worker}, and ${plural(total, "task", ["waits", "wait"])} for one (${largest.ready} ${type} in ${queue}): if its handler waits for the result of one of them, let it wait with \`ctx.run\`, which frees its slot; start another worker or raise WORKER_MAX_CONCURRENCY now, or both wait forever`;
}

function runningReason(
  { task, behind = [] }: ActiveFacts,
  worker: string,
  age: (since: Date | undefined) => number,
  expected: ExpectedQuiet | undefined,
): Reason {
  const since = task.startTime;
  const phase = task.phase ? `, in ${task.phase} for ${span(age(task.phaseTime))}` : "";
  const { progress } = task;
  const words = progressWords(progress);
  const share = words === "" ? "" : `, ${words}`;
  const said = progress
    ? [
        {
          key: "progress",
          value: progress.message || words,
          source: "event",
          ageMs: age(progress.at),
        },
      ]
    : [];
  return {
    code: "RUNNING",
    summary: `it has been running on ${worker} for ${span(age(since))}${phase}${share}${quietWords(expected)}`,
    since,
    evidence: [
      { key: "worker", value: worker, source: "database" },
      ...said,
      ...quietEvidence(expected),
      ...behind.slice(0, 10).map(({ taskClass, ready }) => ({
        key: "waiting_for_slot",
        value: `${ready} ${taskClass.type} in ${taskClass.queue}`,
        source: "matcher",
      })),
    ],
    remedy: `nothing to do${waitsBehind(behind, worker)}`,
  };
}
