/** Decides which workers are asked to load a resource. */
import type { FleetMember } from "../explain/fleet.ts";
import { removedBy, type TaskClass } from "../matching/match.ts";
import { canLoad } from "./worker.ts";

/** Waiting tasks a slot for which one more worker is asked to load what they need. */
const WAITING_PER_SLOT = 4;

/** Longest wait before a worker that failed to load is asked again, in first waits. */
const MAX_BACKOFF = 32;

/** A resource that waiting tasks require. */
export interface Want {
  readonly resource: string;
  /** Classes that wait for it. */
  readonly classes: readonly TaskClass[];
  /** Tasks that wait. */
  readonly waiting: number;
}

/** The workers that have a wanted resource, that lack it, and that are asked now. */
export interface ResourcePlan {
  /** Eligible workers that have it. */
  readonly have: readonly FleetMember[];
  /** Workers that only lack this resource. */
  readonly lack: readonly FleetMember[];
  /** Of these, those that were asked. */
  readonly asked: readonly FleetMember[];
  /** Of these, those to ask now, again or for the first time. */
  readonly ask: readonly FleetMember[];
}

/**
 * Decides which workers to ask for a resource: as many workers as the depth warrants, never the whole fleet for a
 * handful of tasks. A worker that failed is asked again after a wait that doubles with each failure, one
 * that did not begin after `retryMs`.
 */
export function planResource(want: Want, fleet: readonly FleetMember[], retryMs: number): ResourcePlan {
  const { resource } = want;
  const eligible = fleet.filter((member) => isEligible(want, member));
  const have = eligible.filter(({ candidate }) => candidate.resources.has(resource));
  const lack = eligible.filter(({ candidate }) => !candidate.resources.has(resource));
  const asked = lack.filter(({ asks }) => asks.has(resource));
  const again = asked.filter((member) => isDue(member, resource, retryMs));
  const pending = asked.filter((member) => !again.includes(member) && !hasFailed(member, resource));
  let slots = slotsOf([...have, ...pending]);
  const ask: FleetMember[] = [];
  const fresh = lack
    .filter((member) => !asked.includes(member) && canLoad(member.record.hello, resource))
    .sort((a, b) => order(want, a, b));
  for (const member of [...fresh, ...again]) {
    if (slots * WAITING_PER_SLOT >= want.waiting) break;
    ask.push(member);
    slots += slotsOf([member]);
  }
  return { have, lack, asked, ask };
}

/** Ready, connected, and removed by no filter except resources, pause or slots. */
function isEligible({ classes }: Want, { candidate }: FleetMember): boolean {
  if (!candidate.ready || candidate.draining) return false;
  return classes.some((taskClass) => {
    const filter = removedBy(taskClass, candidate);
    return filter === undefined || filter === "resources" || filter === "paused" || filter === "slots";
  });
}

/** The nearer a worker is to running such a task, the earlier it is asked. */
function order({ classes }: Want, a: FleetMember, b: FleetMember): number {
  const missing = ({ candidate }: FleetMember) =>
    Math.min(
      ...classes.map(
        ({ requirements }) => requirements.resources.filter((name) => !candidate.resources.has(name)).length,
      ),
    );
  const busy = ({ candidate, asks }: FleetMember) =>
    (candidate.pauseReason === undefined ? 0 : 100) + asks.size * 10 + (candidate.credit > 0 ? 0 : 1);
  return (
    missing(a) - missing(b) ||
    busy(a) - busy(b) ||
    Number(a.elsewhere) - Number(b.elsewhere) ||
    (a.candidate.workerId < b.candidate.workerId ? -1 : 1)
  );
}

function isDue({ asks }: FleetMember, resource: string, retryMs: number): boolean {
  const fact = asks.get(resource);
  const state = fact?.state;
  if (state?.state === "loading") return false;
  if (state?.state === "failed") {
    return state.ageMs >= Math.min(2 ** Math.max(0, state.failures - 1), MAX_BACKOFF) * retryMs;
  }
  return (fact?.askedAgeMs ?? 0) >= retryMs * Math.max(1, fact?.askCount ?? 1);
}

function hasFailed({ asks }: FleetMember, resource: string): boolean {
  return asks.get(resource)?.state?.state === "failed";
}

function slotsOf(members: readonly FleetMember[]): number {
  return members.reduce((sum, { record }) => sum + (record.heartbeat?.slots || record.hello.slots), 0);
}
