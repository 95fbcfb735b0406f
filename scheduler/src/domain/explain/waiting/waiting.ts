/** Explains waiting tasks. */
import { closestNames } from "@muster/common/text/closest-names";
import { costInWords } from "../../matching/capacity.ts";
import { isKeptFrom } from "../../matching/kept-room.ts";
import { type Filter, NEAREST_FIRST, removedBy, type TaskClass } from "../../matching/match.ts";
import { DEFAULT_RETRY_POLICY } from "../../tasks/outcome/retry.ts";
import type { WorkerRecord } from "../../workers/worker.ts";
import { raiseEvidence, withRaises } from "../capacity/cost-raised.ts";
import { misfit, neverFitsReason, noWorkerFits } from "../capacity/never-fits.ts";
import type { ReasonCode } from "../codes.ts";
import { failureFacts } from "../failure-facts.ts";
import { type FleetMember, names } from "../fleet.ts";
import { circuitOpen } from "../limits/circuit-open.ts";
import { keysHeld } from "../limits/key-held.ts";
import { keysPaused } from "../limits/key-paused.ts";
import { ratesExhausted } from "../limits/rate-limited.ts";
import { limitNotActing } from "../not-acting.ts";
import { agree, type Evidence, IS, plural, type Reason, span } from "../reason.ts";
import { list } from "../removed.ts";
import { notLoaded } from "../resources.ts";
import { workersPaused } from "../workers/paused.ts";
import { workersQuarantined } from "../workers/quarantined.ts";
import { acceptTimedOut } from "./accept-timed-out.ts";
import { afterRevocation } from "./after-revocation.ts";
import { LOSS_OUTCOMES, lossEvidence, lossesInWords, runsAlone } from "./alone.ts";
import { buildNotRunning } from "./build-not-running.ts";
import { allBusy, didYouMean, noLabels, starting } from "./causes.ts";
import { delayed } from "./delayed.ts";
import { retryPolicyEvidence } from "./retry-policy.ts";
import { taskHeld } from "./task-held.ts";
import type { WaitingFacts } from "./waiting-facts.ts";
import { waitingForBatch, waitingForTasks } from "./waiting-for-tasks.ts";

export type { FleetMember } from "../fleet.ts";

/** Why a queued task is not assigned, the most important reason first; never empty. */
export function explainWaiting(facts: WaitingFacts): Reason[] {
  const { task, now, queuePause } = facts;
  const reasons: Reason[] = [];
  const held = taskHeld(task, now);
  if (held) reasons.push(held);
  // What it waits for besides does not start it.
  const late = held ? undefined : acceptTimedOut(facts);
  if (facts.batch) reasons.push(waitingForBatch(task, facts.batch));
  else if (facts.predecessors) reasons.push(waitingForTasks(task, facts.predecessors, now));
  if (late && task.runTime && task.runTime > now) reasons.push(late);
  else if (!held && task.runTime && task.runTime > now) reasons.push(notYet(facts, task.runTime));
  if (queuePause) {
    reasons.push({
      code: "QUEUE_PAUSED",
      summary: `queue ${task.queue} ${queuePause.since ? `has been paused for ${span(now.getTime() - queuePause.since.getTime())}` : "is paused"}: ${queuePause.reason}`,
      since: queuePause.since && laterOf(queuePause.since, readyTime(facts)),
      evidence: [
        { key: "queue", value: task.queue, source: "database" },
        { key: "pause_reason", value: queuePause.reason, source: "database" },
      ],
      remedy: `run \`muster queue resume ${task.queue}\` when the reason is gone`,
    });
  }
  const { heldBack, keys, rates, circuit } = facts;
  if (keys) reasons.push(...keysHeld(keys.asked, keys, now));
  if (rates)
    reasons.push(...keysPaused(rates.asked, now), ...ratesExhausted(rates.asked, rates.emptySince, now));
  const open = circuit && circuitOpen(circuit.asked, circuit.since, now);
  if (open) reasons.push(open);
  if (heldBack) {
    reasons.push({
      code: heldBack.code,
      summary: heldBack.detail,
      since: heldBack.since,
      evidence: heldBack.evidence ?? [],
      remedy: heldBack.remedy ?? "it is assigned by itself when the rule admits it",
    });
  }
  const heldUp = reasons.length > 0;
  const never = misfit(facts.taskClass, facts.known ?? []);
  if (never) reasons.push(withRaises(neverFitsReason(task.id, never, readyTime(facts)), facts.raises));
  const match = explainMatch(facts).filter(({ code }) => !never || code !== "NO_WORKER_FITS");
  // That a worker could take it is no reason to wait while something else holds the task back.
  const after = late && !reasons.includes(late) ? [late] : [];
  const policy = facts.retry?.policy ?? DEFAULT_RETRY_POLICY;
  const beyond = limitNotActing(task, policy, facts.withheld?.attempt_limits);
  if (beyond) after.push(beyond);
  return [...reasons, ...(heldUp ? match.filter(({ code }) => BLOCKS.has(code)) : match), ...after];
}

/** Reasons that remain when its time has come or its queue is resumed. */
const BLOCKS: ReadonlySet<ReasonCode> = new Set([
  "BUILD_NOT_RUNNING",
  "NO_WORKERS",
  "NO_WORKER_FOR_TYPE",
  "NO_WORKER_MATCHES_LABELS",
  "NO_WORKER_FITS",
  "RESOURCE_NOT_LOADED",
]);

function notYet(facts: WaitingFacts, runTime: Date): Reason {
  const revoked = afterRevocation(facts, runTime);
  if (revoked) return revoked;
  const { task, lastAttempt, retry, now } = facts;
  const wait = runTime.getTime() - now.getTime();
  const failure = task.failure;
  if (!failure) {
    return {
      code: "SCHEDULED_FOR_LATER",
      summary: `the task is scheduled to start in ${span(wait)}, at ${runTime.toISOString()}`,
      since: task.createTime,
      evidence: [{ key: "run_time", value: runTime.toISOString(), source: "database" }],
      remedy: `it starts by itself; run \`muster retry t-${task.id}\` to start it now`,
    };
  }
  const lost = lastAttempt !== undefined && LOSS_OUTCOMES.has(lastAttempt.outcome);
  const losses = lost ? lossesInWords(task) : "";
  return {
    code: "WAITING_FOR_RETRY",
    since: lastAttempt?.endTime,
    summary: `attempt ${lastAttempt?.number ?? task.attemptCount} failed with ${failure.code} (${failure.message}); ${losses && `${losses}, so `}the next begins in ${span(wait)}`,
    evidence: [
      { key: "attempt", value: String(lastAttempt?.number ?? task.attemptCount), source: "database" },
      { key: "run_time", value: runTime.toISOString(), source: "database" },
      { key: "error_code", value: failure.code, source: "database" },
      { key: "error_message", value: failure.message, source: "database" },
      ...failureFacts(failure),
      ...(lastAttempt?.workerId ? [{ key: "worker", value: lastAttempt.workerId, source: "database" }] : []),
      ...(lost ? lossEvidence(task) : []),
      ...(retry ? retryPolicyEvidence(retry, task.queue) : []),
    ],
    remedy: `it runs again by itself; run \`muster retry t-${task.id}\` to run it now`,
  };
}

function explainMatch(facts: WaitingFacts): Reason[] {
  const { task, taskClass, fleet, monotonicNow } = facts;
  if (fleet.length === 0) return [noWorkers(facts)];
  const groups = new Map<Filter | undefined, FleetMember[]>();
  const { id, priority } = task;
  const front = { id, priority, readyAt: monotonicNow - (facts.now.getTime() - readyTime(facts).getTime()) };
  for (const member of fleet) {
    // Stalls are times of another scheduler's clock; that scheduler applies them itself.
    const now = member.elsewhere ? Number.POSITIVE_INFINITY : monotonicNow;
    const { candidate } = member;
    const filter =
      removedBy(taskClass, candidate, now) ??
      (isKeptFrom(candidate, taskClass, front, now) ? "slots" : undefined);
    const group = groups.get(filter);
    if (group) group.push(member);
    else groups.set(filter, [member]);
  }
  const evidence = matchEvidence(facts, groups);
  const fits = groups.get(undefined);
  if (fits) return [delayed({ ...facts, readyTime: readyTime(facts) }, fits, evidence)];
  const [nearest, ...further] = NEAREST_FIRST.filter((filter) => groups.has(filter));
  if (nearest === undefined) return [noWorkers(facts)];
  // Any of these may end by itself; the other filters need another worker.
  const also = further.filter((filter) => TRANSIENT.has(filter));
  return [nearest, ...also].map((filter) => {
    const since = filter === nearest ? nearestSince(facts, nearest) : readyTime(facts);
    return reasonOf(filter, groups.get(filter) ?? [], { facts, evidence, since, first: filter === nearest });
  });
}

const TRANSIENT: ReadonlySet<Filter> = new Set([
  "slots",
  "alone",
  "unanswered",
  "quarantined",
  "paused",
  "draining",
  "starting",
  "resources",
]);

interface ReasonContext {
  readonly facts: WaitingFacts;
  readonly evidence: readonly Evidence[];
  readonly since: Date;
  /** No worker passed more filters; else these are further workers that may run it. */
  readonly first: boolean;
}

function reasonOf(
  filter: Filter,
  members: readonly FleetMember[],
  { facts, evidence, since, first }: ReasonContext,
): Reason {
  const { task, taskClass, now, address } = facts;
  switch (filter) {
    case "slots":
      return allBusy(facts, members, [...evidence, ...raiseEvidence(facts.raises)], since);
    case "alone":
      return runsAlone(facts, members, evidence, since);
    case "unanswered":
      return stalled(members, evidence, since);
    case "paused":
      return workersPaused(members, { evidence, since, now });
    case "quarantined":
      return workersQuarantined(members, { evidence, since, now });
    case "draining":
      return {
        code: "WORKERS_DRAINING",
        summary: first
          ? `${members.length === 1 ? "the only worker that could run it is" : `all ${members.length} workers that could run it are`} draining: ${names(members)}`
          : `${plural(members.length, "more worker")} that could run it ${agree(members.length, IS)} draining: ${names(members)}`,
        since,
        evidence,
        remedy: `${startWorker(taskClass, address)} to replace ${agree(members.length, ["it", "them"])}`,
      };
    case "starting":
      return starting(members, {
        evidence,
        since,
        now,
        first,
        withheld: facts.withheld,
        earlier: facts.earlier,
      });
    case "resources":
      return notLoaded(taskClass, members, { evidence, since, now, first });
    case "capacity":
      return withRaises(
        noWorkerFits(taskClass, members, facts.known ?? [], { evidence, since }),
        facts.raises,
      );
    case "build":
      return buildNotRunning(taskClass, members, { evidence, since });
    case "labels":
      return noLabels(task.id, taskClass, members, [...evidence, ...labelsAdded(task)], since);
    case "queue": {
      const known = new Set(members.flatMap(({ candidate }) => [...candidate.queues]));
      const near = closestNames(task.queue, known);
      return {
        code: "NO_WORKER_FOR_TYPE",
        summary: `${plural(members.length, "worker")} can run ${task.type}, but none takes from queue ${task.queue}: ${agree(members.length, ["it takes", "they take"])} from ${list([...known])}${didYouMean(near)}`,
        since,
        evidence: [
          ...evidence,
          { key: "known_queues", value: list([...known].sort()), source: "matcher" },
          ...near.map((value) => ({ key: "nearest_queue", value, source: "matcher" })),
        ],
        remedy: `add ${task.queue} to the queues of a worker; if the queue is a mistake, run \`muster cancel t-${task.id}\` and submit the task to ${near[0] ?? [...known][0] ?? "another"}`,
      };
    }
    case "type":
      return noHandler(facts, members, evidence, since);
    default:
      return filter satisfies never;
  }
}

/** Labels that its retry policy added, because a worker ran out of memory while it ran. */
function labelsAdded({ options, outOfMemoryCount }: WaitingFacts["task"]): Evidence[] {
  const added = options?.retry?.onOutOfMemory?.labels;
  if (added === undefined || outOfMemoryCount === 0) return [];
  return Object.entries(added).map(([name, value]) => ({
    key: "label_added_after_out_of_memory",
    value: `${name}=${value}, by its retry policy`,
    source: "database",
  }));
}

/** Stall of a worker of another scheduler, whose own value is not known here. */
const DEFAULT_STALL_MS = 15_000;

/** `DISPATCH_DELAYED`: they did not accept an assignment, and nothing is assigned to them for a while. */
function stalled(members: readonly FleetMember[], evidence: readonly Evidence[], since: Date): Reason {
  const why = members.map(({ candidate }) => candidate.stallReason || "left the last assignment unanswered");
  const stallMs = Math.min(...members.map(({ candidate }) => candidate.stallMs || DEFAULT_STALL_MS));
  return {
    code: "DISPATCH_DELAYED",
    summary: `${names(members)} could run it, but ${[...new Set(why)].join(" or ")} and ${agree(members.length, IS)} assigned nothing for a while`,
    since,
    evidence,
    remedy: `wait: assignments to it resume within ${span(stallMs)}; if it lasts, restart the worker (run \`muster why ${members[0]?.candidate.workerId}\` for the cause)`,
  };
}

function noHandler(
  facts: WaitingFacts,
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason {
  const { task, taskClass, gone, now, address } = facts;
  const known = new Set(members.flatMap(({ candidate }) => [...candidate.types.keys()]));
  const near = closestNames(task.type, known);
  const last = gone.find(({ hello }) => hello.types.some(({ type }) => type === task.type));
  const lastSeen = last?.goneTime
    ? `; the last one that had, ${last.workerId}, ended ${span(now.getTime() - last.goneTime.getTime())} ago (${last.goneReason})`
    : "";
  return {
    code: "NO_WORKER_FOR_TYPE",
    summary: `${members.length === 1 ? "the only connected worker has no" : `none of ${plural(members.length, "connected worker")} has a`} handler for ${task.type}${lastSeen}${didYouMean(near)}`,
    since: last?.goneTime ? laterOf(since, last.goneTime) : since,
    evidence: [
      ...evidence,
      { key: "known_types", value: list([...known].sort()), source: "matcher" },
      ...near.map((value) => ({ key: "nearest_type", value, source: "matcher" })),
    ],
    remedy:
      near.length > 0 && !last
        ? `if ${task.type} is a mistake, run \`muster cancel t-${task.id}\` and submit the task as ${near[0]}; otherwise ${startWorker(taskClass, address)}`
        : `${startWorker(taskClass, address)}; or run \`muster cancel t-${task.id}\``,
  };
}

function noWorkers(facts: WaitingFacts): Reason {
  const { task, taskClass, gone, now, address } = facts;
  const [last] = gone;
  const goneAt = last?.goneTime;
  const eligible = gone.find(
    ({ hello }) => hello.queues.includes(task.queue) && hello.types.some(({ type }) => type === task.type),
  );
  const seen = (record: WorkerRecord | undefined, goneTime: Date | undefined) =>
    record && goneTime
      ? `${record.workerId}, ${span(now.getTime() - goneTime.getTime())} ago (${record.goneReason})`
      : "";
  return {
    code: "NO_WORKERS",
    summary: last
      ? `no worker is connected; the last one was ${seen(last, goneAt)}${eligible && eligible !== last ? `, the last one that could run it ${seen(eligible, eligible.goneTime)}` : ""}`
      : "no worker is connected, and none has ever registered",
    since: goneAt ? laterOf(readyTime(facts), goneAt) : readyTime(facts),
    evidence: [
      { key: "workers", value: "0", source: "database" },
      ...(last ? [{ key: "last_worker", value: seen(last, goneAt), source: "database" }] : []),
    ],
    remedy: `${startWorker(taskClass, address)}${last ? `; run \`muster why ${last.workerId}\` to see why the last one ended` : ""}`,
  };
}

/** The counts of this scheduler's matcher, and those of the workers of other schedulers. */
function matchEvidence(
  { fleet, match }: WaitingFacts,
  groups: ReadonlyMap<Filter | undefined, readonly FleetMember[]>,
): Evidence[] {
  const elsewhere = fleet.filter((member) => member.elsewhere);
  const lookAge = match?.ageMs === undefined ? {} : { ageMs: match.ageMs };
  const evidence: Evidence[] = [
    { key: "workers_looked_at", value: String(fleet.length), source: "matcher", ...lookAge },
  ];
  for (const filter of [...NEAREST_FIRST].reverse()) {
    const group = groups.get(filter);
    if (!group) continue;
    // The matcher counted the workers of this scheduler; a search that finds a worker stops there.
    const own = match?.found ? undefined : match?.removed.get(filter);
    const others = group.filter((member) => member.elsewhere);
    const count = (own?.count ?? group.length - others.length) + others.length;
    const example = own?.example ?? group[0]?.candidate.workerId ?? "";
    evidence.push({
      key: `removed_by_${filter}`,
      value: `${count} (for example ${example})`,
      source: "matcher",
      ...lookAge,
    });
  }
  const fits = groups.get(undefined);
  if (fits) evidence.push({ key: "eligible_workers", value: names(fits), source: "matcher", ...lookAge });
  for (const [scheduler, members] of Map.groupBy(elsewhere, ({ record }) => record.schedulerId)) {
    evidence.push({
      key: "workers_at_other_scheduler",
      value: `${members.length} at ${scheduler} (for example ${members[0]?.candidate.workerId})`,
      source: "database",
      ageMs: Math.max(...members.map(({ ageMs }) => ageMs)),
    });
  }
  return evidence;
}

/** How to start a worker for the class. */
function startWorker({ queue, type, requirements }: TaskClass, address: string): string {
  const labels = Object.entries(requirements.labels).map(([name, value]) => `${name}=${value}`);
  const needs = [
    `a handler for ${type}`,
    queue === "default" ? "" : `queues ["${queue}"]`,
    labels.length > 0 ? `labels ${labels.join(", ")}` : "",
    requirements.cost === undefined ? "" : `at least ${costInWords(requirements.cost)}`,
  ].filter(Boolean);
  return `start a worker with ${needs.join(", ")} and MUSTER_SCHEDULER_ADDR=${address}`;
}

/** Since when the nearest filter has been the cause; the matcher's time only when all workers are of this scheduler. */
function nearestSince(facts: WaitingFacts, nearest: Filter): Date {
  const { match, fleet, now } = facts;
  const ready = readyTime(facts);
  if (match?.nearest !== nearest || fleet.some((member) => member.elsewhere)) return ready;
  return laterOf(ready, new Date(now.getTime() - match.nearestAgeMs));
}

/** Since when the task has been ready to start; of a scheduled one whose time has come, since that time. */
export function readyTime({ task, now }: Pick<WaitingFacts, "task" | "now">): Date {
  return task.runTime && task.runTime <= now ? laterOf(task.readyTime, task.runTime) : task.readyTime;
}

function laterOf(a: Date, b: Date): Date {
  return a > b ? a : b;
}
