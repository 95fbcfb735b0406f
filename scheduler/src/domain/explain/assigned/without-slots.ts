/** A running attempt that is without its slots, because its handler waits: `WAITING_FOR_TASKS`, `ALL_SLOTS_BUSY`, `RUNNING`. */
import { formatAttemptId, formatTaskId } from "../../ids.ts";
import { slotsOf } from "../../matching/capacity.ts";
import type { SlotReleaseRecord } from "../../tasks/attempts/slot-release.ts";
import { HELD_DETAIL } from "../../tasks/hold.ts";
import { hasEnded, type TaskRecord } from "../../tasks/task.ts";
import type { RunningRecord } from "../../workers/worker.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import type { ActiveFacts, AwaitedTask, Holder } from "./active-facts.ts";

/** Tasks that are named in the summary; the evidence has all that were read. */
const MAX_NAMED = 3;

/** Attempts that are named as having the slots. */
const MAX_HOLDERS = 10;

/** What the attempt's worker says of its slots: from memory, or from its last heartbeat. */
export function slotReleaseOf(
  holder: Holder | undefined,
  attemptId: string,
  running: RunningRecord | undefined,
  beatAgeMs: number,
): SlotReleaseRecord | undefined {
  const held = holder?.held?.find((each) => each.attemptId === attemptId);
  if (held) return held.slotRelease;
  const { slotRelease } = running ?? {};
  return slotRelease && { ...slotRelease, ageMs: slotRelease.ageMs + beatAgeMs };
}

/** The reason of an attempt that is without its slots. */
export function withoutSlots(facts: ActiveFacts, worker: string, release: SlotReleaseRecord): Reason {
  if (release.returning) return returning(facts, worker, release);
  return release.taskCount === 0
    ? waitsOutside(facts, worker, release)
    : waitsForTasks(facts, worker, release);
}

function common(facts: ActiveFacts, worker: string, { ageMs, taskCount, reason }: SlotReleaseRecord) {
  const evidence: Evidence[] = [
    { key: "worker", value: worker, source: "database" },
    reported(facts, "slots_released_ms", String(Math.round(ageMs))),
    ...(taskCount === 0 ? [] : [reported(facts, "awaited_tasks", String(taskCount))]),
    ...(reason === "" ? [] : [reported(facts, "waits_for", reason)]),
  ];
  return { since: new Date(facts.now.getTime() - ageMs), evidence };
}

/** A fact as the scheduler that holds the stream has it, or as old as the heartbeat. */
function reported({ holder, now }: ActiveFacts, key: string, value: string): Evidence {
  const heartbeatTime = holder?.record.heartbeatTime;
  return holder?.held && !holder.elsewhere
    ? { key, value, source: "matcher" }
    : { key, value, source: "heartbeat", ageMs: heartbeatTime ? now.getTime() - heartbeatTime.getTime() : 0 };
}

function waitsForTasks(facts: ActiveFacts, worker: string, release: SlotReleaseRecord): Reason {
  const { task, awaited = [], now } = facts;
  const { since, evidence } = common(facts, worker, release);
  const open = awaited.filter((each) => !hasEnded(each.task.state));
  const named = awaited.slice(0, MAX_NAMED).map((each) => described(each, now));
  const unnamed = release.taskCount - named.length;
  const more = unnamed > 0 && named.length > 0 ? ` and ${plural(unnamed, "more task")}` : "";
  const names = named.length > 0 ? `: ${named.join("; ")}${more}` : "";
  const shared = open.flatMap((each) =>
    each.task.state === "queued" ? sharedKeys(task, each).map((key) => ({ key, id: each.task.id })) : [],
  );
  const [first] = open;
  const [blocking] = shared;
  const queued = first?.reason ? `; ${formatTaskId(first.task.id)} waits: ${first.reason.summary}` : "";
  return {
    code: "WAITING_FOR_TASKS",
    summary: `its handler on ${worker} has waited without its slots for ${span(release.ageMs)} for ${plural(release.taskCount, "task")}${names}${queued}`,
    since,
    evidence: [
      ...evidence,
      ...awaited.map((each) => ({ key: "awaited_task", value: described(each, now), source: "database" })),
      ...(first?.reason
        ? [{ key: "awaited_task_reason", value: first.reason.code, source: "database" }]
        : []),
      ...shared.map(({ key, id }) => ({
        key: "shared_key",
        value: `${key}, of ${formatTaskId(id)}`,
        source: "database",
      })),
    ],
    remedy: blocking
      ? `${formatTaskId(blocking.id)} has the concurrency key ${blocking.key}, too, which this task holds until it ends: run \`muster cancel ${formatTaskId(blocking.id)}\` or raise the limit, and give such a child no key of its parent`
      : first
        ? `it goes on by itself when ${release.taskCount === 1 ? "that task has" : "they have"} ended; ${first.reason ? first.reason.remedy : `run \`muster why ${formatTaskId(first.task.id)}\` for the ${open.length === 1 ? "one that it waits for" : "first of them"}`}`
        : "its worker is about to learn that they have ended; if it lasts, check the log of the worker",
  };
}

function described({ task, reason }: AwaitedTask, now: Date): string {
  const { id, type, state, detail, createTime, startTime, workerId } = task;
  const age =
    state === "running" && startTime
      ? `, for ${span(now.getTime() - startTime.getTime())} on ${workerId}`
      : `, submitted ${span(now.getTime() - createTime.getTime())} ago`;
  const why = reason ? ` (${reason.code})` : "";
  const is = hasEnded(state) ? `has ended as ${state}` : `is ${state}`;
  return `${formatTaskId(id)} (${type}), which ${is}${why}${detail === HELD_DETAIL ? " and held" : ""}${age}`;
}

/** Concurrency keys that the queued task needs and the waiting one holds. */
function sharedKeys({ concurrency = [] }: TaskRecord, { task }: AwaitedTask): string[] {
  const own = new Set(concurrency.map(({ key }) => key));
  return (task.concurrency ?? []).flatMap(({ key }) => (own.has(key) ? key : []));
}

function waitsOutside(facts: ActiveFacts, worker: string, release: SlotReleaseRecord): Reason {
  const what = release.reason === "" ? "" : `; it waits for: ${release.reason}`;
  return {
    code: "RUNNING",
    summary: `its handler on ${worker} has waited without its slots for ${span(release.ageMs)}${what}`,
    ...common(facts, worker, release),
    remedy: "nothing to do: its watchdogs count again when it goes on, and its timeouts go on",
  };
}

function returning(facts: ActiveFacts, worker: string, release: SlotReleaseRecord): Reason {
  const { task, holder } = facts;
  const { since, evidence } = common(facts, worker, release);
  const own = formatAttemptId({ taskId: task.id, epoch: task.epoch });
  const holders = (holder?.held ?? []).filter(
    ({ attemptId, slotRelease }) => attemptId !== own && slotRelease === undefined,
  );
  const names = holders.slice(0, MAX_NAMED).map(({ attemptId }) => attemptId);
  const more =
    holders.length > names.length ? ` and ${plural(holders.length - names.length, "more attempt")}` : "";
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `what its handler on ${worker} waited for has ended, and it goes on when its slots there are free again${names.length === 0 ? "" : `; ${names.join(", ")}${more} ${holders.length === 1 ? "has" : "have"} slots`}; it released them ${span(release.ageMs)} ago`,
    since,
    evidence: [
      ...evidence,
      ...holders
        .slice(0, MAX_HOLDERS)
        .map(({ attemptId, type, ageMs, cost }) =>
          reported(
            facts,
            "slot_holder",
            `${attemptId}${type === "" ? "" : ` (${type}, ${plural(slotsOf(cost), "slot")})`} for ${span(ageMs)}`,
          ),
        ),
    ],
    remedy: `it goes on before any new task starts there${holders[0] ? `; run \`muster why ${holders[0].attemptId.split(".")[0]}\` to see whether the first one makes progress` : ""}`,
  };
}
