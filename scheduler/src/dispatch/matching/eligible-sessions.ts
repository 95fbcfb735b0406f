/** Keeps, for each class in memory, the sessions that may ever run its tasks as they are registered. */
import { type Filter, LASTING_FILTERS, removedBy, type TaskClass } from "../../domain/matching/match.ts";
import type { Session } from "../sessions/session.ts";
import type { ClassEntry } from "./class-entry.ts";

export class EligibleSessions {
  readonly #entries: ReadonlyMap<number, ClassEntry>;
  readonly #sessions = new Set<Session>();

  /** @param entries The classes by id. */
  constructor(entries: ReadonlyMap<number, ClassEntry>) {
    this.#entries = entries;
  }

  /** The sessions that classes are matched with. */
  get all(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** A new class: finds its sessions. */
  addClass(entry: ClassEntry): void {
    for (const session of this.#sessions) this.#join(entry, session);
  }

  /** Adds a session to the classes that it is eligible for. */
  add(session: Session): void {
    if (this.#sessions.has(session)) return;
    this.#sessions.add(session);
    for (const entry of this.#entries.values()) this.#join(entry, session);
  }

  /** Makes a change that may affect the lasting filters, and updates the classes that the session is eligible for. */
  change(session: Session, change: () => void): void {
    if (!this.#sessions.has(session)) return change();
    const before = new Map<ClassEntry, Filter | undefined>();
    for (const entry of this.#entries.values()) before.set(entry, lastingFilter(entry.taskClass, session));
    change();
    for (const [entry, filter] of before) {
      if (lastingFilter(entry.taskClass, session) === filter) continue;
      this.#leave(entry, session, filter);
      this.#join(entry, session);
    }
  }

  /** Makes a change of a class that may affect the lasting filters. */
  changeClass(entry: ClassEntry, change: () => void): void {
    const before = new Map<Session, Filter | undefined>();
    for (const session of this.#sessions) before.set(session, lastingFilter(entry.taskClass, session));
    change();
    for (const [session, filter] of before) {
      if (lastingFilter(entry.taskClass, session) === filter) continue;
      this.#leave(entry, session, filter);
      this.#join(entry, session);
    }
  }

  /** Removes a session from all classes. */
  remove(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const entry of this.#entries.values()) {
      this.#leave(entry, session, lastingFilter(entry.taskClass, session));
    }
  }

  #join(entry: ClassEntry, session: Session): void {
    const filter = lastingFilter(entry.taskClass, session);
    if (filter) entry.log.joined(filter, session.workerId);
    else entry.eligible.push(session);
  }

  #leave(entry: ClassEntry, session: Session, filter: Filter | undefined): void {
    if (!filter) {
      entry.eligible = entry.eligible.filter((other) => other !== session);
      return;
    }
    entry.log.left(filter, session.workerId, () => {
      for (const other of this.#sessions) {
        if (lastingFilter(entry.taskClass, other) === filter) return other.workerId;
      }
      return undefined;
    });
  }
}

/** The filter that removes the session until it registers anew or loads something; undefined when it is eligible. */
function lastingFilter(taskClass: TaskClass, session: Session): Filter | undefined {
  const filter = removedBy(taskClass, session);
  return filter !== undefined && LASTING_FILTERS.has(filter) ? filter : undefined;
}
