/** Reasons of a ready worker without attempts. */
import { costInWords } from "../../matching/capacity.ts";
import {
  type Candidate,
  type Filter,
  NEAREST_FIRST,
  removedBy,
  type TaskClass,
} from "../../matching/match.ts";
import { canLoad } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, plural, type Reason, span } from "../reason.ts";
import { whyRemoved } from "../removed.ts";

/** A class of tasks that waits. */
export interface WaitingClass {
  readonly taskClass: TaskClass;
  /** Tasks that could start now. */
  readonly ready: number;
  /** True while its queue is paused. */
  readonly queuePaused?: boolean;
}

/** Kinds of tasks that one explanation lists. */
const MAX_KINDS = 20;

/** Why a ready worker holds no attempt. @param now The database's clock. */
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
      summary: `it is ready and has held no attempt${forHowLong}; no task waits that could start now`,
      since,
      evidence: [{ key: "ready_tasks", value: "0", source: "database" }],
      remedy: `nothing to do; to submit a task for it, run \`muster submit ${candidate.types.keys().next().value ?? "a-type"}\``,
    };
  }
  // The scheduler that holds its stream reports the rest of the stall; its clock is not needed.
  const clock = member.stalledMs === undefined ? Number.POSITIVE_INFINITY : 0;
  // The class that passes the most filters comes first: a thousand tasks of another type do not concern this worker.
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
      summary: next.taskClass.builds?.ramp
        ? `it is ready and holds nothing, and ${plural(mine, "task")} ${agree(mine, ["waits", "wait"])}, of which it may run those that queue ${next.taskClass.queue} runs on its build`
        : `it is ready and holds nothing, and ${plural(mine, "task")} that it may run ${agree(mine, ["waits", "wait"])}: the next is about to be assigned to it, or to another worker that may run it`,
      since,
      evidence,
      remedy: `nothing to do unless it lasts; then run \`muster why queue:${next.taskClass.queue}\``,
    };
  }
  const [first] = removed;
  return {
    code: "IDLE_NOT_ELIGIBLE",
    summary: `${plural(total, "task", ["waits", "wait"])}, and it can run none of them: ${causes(removed)}`,
    since,
    evidence,
    remedy: first ? remedyFor(first.filter, first.taskClass, member) : "nothing to do",
  };
}

/** The matcher's candidate, with a stall that another scheduler's clock measures. */
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
      return `run \`muster queue resume ${queue}\` when the reason is gone`;
    case "type":
      return `register a handler for ${type} on ${id}, or start a worker that has one`;
    case "queue":
      return `add ${queue} to the queues of ${id}, or start a worker that takes from it`;
    case "build":
      return `run \`muster queue build ${queue} --clear\`, or start a worker of the build that the queue asks for (MUSTER_BUILD_ID)`;
    case "labels":
      return `start a worker with the labels ${Object.entries(requirements.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(", ")}`;
    case "capacity":
      return `start a worker with at least ${costInWords(requirements.cost)} (options concurrency and capacities)`;
    case "resources":
      return lacks.every((name) => canLoad(record.hello, name))
        ? `wait: it can load ${lacks.join(", ")}, and is asked to when the other workers cannot do all the work`
        : `load ${lacks.join(", ")} on ${id}, or let it load on request: worker.resources.register(NAME, { load })`;
    case "unanswered":
    case "starting":
    case "draining":
    case "paused":
    case "quarantined":
    case "slots":
    case "alone":
      return "wait until that is over; it takes them then";
    default:
      return filter satisfies never;
  }
}
