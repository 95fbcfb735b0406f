/** Finds out whether other workers serve all classes that a worker serves: only then may it be quarantined. */
import type { FleetMember } from "../../domain/explain/fleet.ts";
import { type Filter, LASTING_FILTERS, removedBy, type TaskClass } from "../../domain/matching/match.ts";
import type { WorkerState } from "../../domain/workers/worker.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { Session } from "../sessions/session.ts";

/** The use of a class is looked at once a minute. */
const USE_AGE_MS = 60_000;

/** What is over by itself: the worker serves the class. */
const BUSY: ReadonlySet<Filter | undefined> = new Set([undefined, "slots", "alone", "unanswered"]);

/**
 * Classes that the session is eligible for and that wait or were used within the window, one for each combination of what
 * the matcher looks at: classes that differ in their concurrency keys alone have the same workers.
 *
 * @param now Monotonic milliseconds.
 */
export function neededClasses(
  entries: Iterable<ClassEntry>,
  session: Session,
  now: number,
  windowMs: number,
): TaskClass[] {
  const needed = new Map<string, TaskClass>();
  const since = now - windowMs - USE_AGE_MS;
  for (const { taskClass, window, usedAt } of entries) {
    if (usedAt < since && window.size === 0) continue;
    const filter = removedBy(taskClass, session, now);
    if (filter !== undefined && LASTING_FILTERS.has(filter)) continue;
    const { queue, type, requirements } = taskClass;
    needed.set(JSON.stringify([queue, type, requirements]), taskClass);
  }
  return [...needed.values()];
}

/**
 * True when each of the classes has a worker beside the session that serves it, busy or not, and is not quarantined.
 *
 * @param states In which states another worker counts: one that is suspect may be back in a moment, or be lost.
 */
export function othersServe(
  classes: readonly TaskClass[],
  session: Session,
  fleet: readonly FleetMember[],
  now: number,
  states: ReadonlySet<WorkerState>,
): boolean {
  const others = fleet.filter(({ record, state }) => record.sessionId !== session.id && states.has(state));
  return classes.every((taskClass) =>
    others.some(({ candidate, elsewhere, state }) => {
      const filter = removedBy(taskClass, candidate, elsewhere ? Number.POSITIVE_INFINITY : now);
      return BUSY.has(filter) || (filter === "starting" && state === "suspect");
    }),
  );
}
