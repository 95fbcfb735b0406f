import { type Candidate, type Filter, NEAREST_FIRST, removedBy, type TaskClass } from "../matching/match.ts";
import { canLoad } from "../workers/worker.ts";
import type { FleetMember } from "./fleet.ts";
import { agree, plural, type Reason, span } from "./reason.ts";
import { whyRemoved } from "./removed.ts";

/** A class of tasks that waits. */
export interface WaitingClass {
  readonly taskClass: TaskClass;
  /** Tasks that could start now. */
  readonly ready: number;
  /** True while its queue gives nothing out. */
  readonly queuePaused?: boolean;
}

/** Kinds of tasks that one explanation lists. */
const MAX_KINDS = 20;

/** Why a worker that is ready holds nothing. @param now The database's clock. */
export function idle(member: FleetMember, waiting: readonly WaitingClass[], now: Date): Reason {
  const { candidate, record } = member;
  // `now` may be older than the time at which idleness was measured: it is idle since it connected at the earliest.
  const connectedMs = Math.max(0, now.getTime() - record.connectTime.getTime());
  const idleMs = member.idleMs === undefined ? undefined : Math.min(member.idleMs, connectedMs);
  const since = idleMs === undefined ? undefined : new Date(now.getTime() - idleMs);
  const forHowLong = idleMs === undefined ? "" : ` for ${span(idleMs)}`;
  const open = waiting.filter(({ ready }) => ready > 0);
  if (open.length === 0) {
    return {
      code: "IDLE_NO_WORK",
      summary: `it is ready and has held nothing${forHowLong}; nothing that could start now waits`,
      since,
      evidence: [{ key: "ready_tasks", value: "0", source: "database" }],
      remedy: `nothing to do; submit work for it: muster submit ${candidate.types.keys().next().value ?? "a-type"}`,
    };
  }
  // The scheduler that holds its stream says for how long it is held back; its clock is not needed for that.
  const clock = member.stalledMs === undefined ? Number.POSITIVE_INFINITY : 0;
  // What it is nearest to getting comes first: another type's thousand tasks say nothing about this worker.
  const removed = open
    .map((entry) => ({ ...entry, filter: removedBy(entry.taskClass, stalled(member), clock) }))
    .sort((a, b) => nearness(a.filter) - nearness(b.filter) || b.ready - a.ready);
  const total = open.reduce((sum, { ready }) => sum + ready, 0);
  const evidence = removed.slice(0, MAX_KINDS).map(({ taskClass, ready, filter, queuePaused }) => ({
    key: `${taskClass.queue}/${taskClass.type}`,
    value: `${ready} ready; ${filter ? `removed by ${filter}: ` : ""}${queuePaused && !filter ? "its queue is paused" : whyRemoved(taskClass, candidate, filter)}`,
    source: "matcher",
  }));
  const eligible = removed.filter(({ filter, queuePaused }) => filter === undefined && !queuePaused);
  const mine = eligible.reduce((sum, { ready }) => sum + ready, 0);
  const [next] = eligible;
  if (next) {
    return {
      code: "DISPATCH_DELAYED",
      summary: `it is ready and holds nothing, and ${plural(mine, "task")} that it may run ${agree(mine, ["waits", "wait"])}: the next is about to be assigned to it, or to another worker that may run it`,
      since,
      evidence,
      remedy: `nothing to do unless it lasts; then ask what waits: muster why queue:${next.taskClass.queue}`,
    };
  }
  const [first] = removed;
  return {
    code: "IDLE_NOT_ELIGIBLE",
    summary: `${plural(total, "task", ["waits", "wait"])}, none for it: ${causes(removed)}`,
    since,
    evidence,
    remedy: first ? remedyFor(first.filter, first.taskClass, member) : "nothing to do",
  };
}

/** As the matcher sees it: what another scheduler's clock counts is not in its record. */
function stalled({ candidate, stalledMs }: FleetMember): Candidate {
  return stalledMs === undefined || candidate.acceptStalledUntil
    ? candidate
    : { ...candidate, acceptStalledUntil: stalledMs };
}

function nearness(filter: Filter | undefined): number {
  return filter === undefined ? -1 : NEAREST_FIRST.indexOf(filter);
}

/** `125 llm in default: model:x is not loaded on it`, the largest first, at most three. */
function causes(removed: readonly (WaitingClass & { readonly filter: Filter | undefined })[]): string {
  const shown = removed.slice(0, 3).map(({ taskClass, ready, filter, queuePaused }) => {
    const why = queuePaused && !filter ? "the queue is paused" : `removed by ${filter}`;
    return `${ready} ${taskClass.type} in ${taskClass.queue} (${why})`;
  });
  return removed.length > 3
    ? `${shown.join(", ")} and ${plural(removed.length - 3, "more kind")}`
    : shown.join(", ");
}

function remedyFor(
  filter: Filter | undefined,
  { queue, type, requirements }: TaskClass,
  { candidate, record }: FleetMember,
): string {
  const id = candidate.workerId;
  const lacks = requirements.resources.filter((name) => !candidate.resources.has(name));
  switch (filter) {
    case undefined:
      return `resume the queue when the reason is gone: muster queue resume ${queue}`;
    case "type":
      return `register a handler for ${type} on ${id}, or start a worker that has one`;
    case "queue":
      return `add ${queue} to the queues of ${id}, or start a worker that takes from it`;
    case "labels":
      return `start a worker with the labels ${Object.entries(requirements.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(", ")}`;
    case "resources":
      return lacks.every((name) => canLoad(record.hello, name))
        ? `it can load ${lacks.join(", ")} and is asked to by itself when there is more work than others can do`
        : `load ${lacks.join(", ")} on ${id}; a worker that registers worker.resources.register(NAME, { load }) is asked to by itself`;
    case "unanswered":
    case "starting":
    case "draining":
    case "paused":
    case "slots":
    case "alone":
      return "it takes them when that is over";
    default:
      return filter satisfies never;
  }
}
