/** Finds a session for a task of a class. */
import type { Clock } from "../../clock.ts";
import { type BuildWish, serves, wishOf } from "../../domain/builds/build-rule.ts";
import { type Cost, shortages, slotsOf } from "../../domain/matching/capacity.ts";
import { isKeptFrom } from "../../domain/matching/kept-room.ts";
import { closedBy, removedBy, type TaskClass } from "../../domain/matching/match.ts";
import type { MatchLog } from "../../domain/matching/match-log.ts";
import type { Session } from "../sessions/session.ts";
import type { ClassEntry } from "./class-entry.ts";
import type { ClassIndex } from "./class-index.ts";

/**
 * Interval between two searches of all eligible sessions of a class without a free one, milliseconds: for each session,
 * and at least. They serve only the log of the class, and cost up to 0.8 µs a session (4 ms for one class and 5,000 of
 * them).
 */
const LOOK_EVERY_MS = { session: 10, least: 250 };

/** A session stays reserved for this long after the last search; every poll searches. */
const KEPT_FREE_MS = 10_000;

/** Another session that keeps room is chosen at most so often, milliseconds: all eligible ones are looked at. */
const CHOOSE_EVERY_MS = 250;

/** Finds sessions for the tasks of a class, and keeps the log of the searches. */
export class Matcher {
  readonly #classes: ClassIndex;
  readonly #clock: Clock;

  constructor(classes: ClassIndex, clock: Clock) {
    this.#classes = classes;
    this.#clock = clock;
  }

  /** Begins a search for many classes at one moment. */
  search(): Search {
    return new Search(this.#classes.sessions, this.#clock.monotonic(), this.#classes.windows.ageingMs);
  }

  /** Round robin among all eligible sessions; a free slot comes before a place in the prefetch. */
  find(entry: ClassEntry): Session | undefined {
    return findEligible(entry, this.#clock.monotonic());
  }

  /**
   * Reserves a session for a class whose tasks run alone: under load no session would ever be empty otherwise. One at a
   * time, the one with the fewest attempts; renewed while tasks of the class wait.
   */
  keepFree(entry: ClassEntry): void {
    const now = this.#clock.monotonic();
    const { keptFree } = entry;
    const wish = frontWish(entry);
    if (
      keptFree &&
      keptFree.keptFreeUntil > now &&
      this.#classes.has(keptFree) &&
      serves(wish, keptFree.build)
    ) {
      if (removedBy(entry.taskClass, keptFree, now) === "alone") {
        keptFree.keepFree(now + KEPT_FREE_MS);
        return;
      }
    }
    let least: Session | undefined;
    for (const session of entry.eligible) {
      if (session.runsAlone || removedBy(entry.taskClass, session, now) !== "alone") continue;
      if (!serves(wish, session.build)) continue;
      if (!least || session.outstanding < least.outstanding) least = session;
    }
    entry.keptFree = least;
    least?.keepFree(now + KEPT_FREE_MS);
  }

  /** Searches a worker for the class as an assignment would, so that the log of the class is current. */
  look(entry: ClassEntry): void {
    const { turn } = entry;
    this.find(entry);
    entry.turn = turn;
  }
}

/**
 * A search for many classes at one moment. Mostly no session, or a few of thousands, can take a task: these are collected
 * once, and a class searches them when they are fewer than its eligible sessions.
 */
export class Search {
  readonly #sessions: Iterable<Session>;
  readonly #now: number;
  readonly #ageingMs: number;
  /** Workers that were open at the first search: mostly nothing waits. */
  #open: readonly Session[] | undefined;
  /** How many of those have not been filled since. */
  #left = 0;

  /**
   * @param now Monotonic milliseconds.
   * @param ageingMs The wait of a task that counts as much as one level of priority.
   */
  constructor(sessions: Iterable<Session>, now: number, ageingMs = Number.POSITIVE_INFINITY) {
    this.#sessions = sessions;
    this.#now = now;
    this.#ageingMs = ageingMs;
  }

  /** True while a session has credit left, whatever the class. */
  get isOpen(): boolean {
    this.#open ??= this.#gather();
    return this.#left > 0;
  }

  /** Types that the open sessions serve; undefined when together they name more than `limit`. */
  openTypes(limit: number): ReadonlySet<string> | undefined {
    this.#open ??= this.#gather();
    let named = 0;
    for (const { types } of this.#open) named += types.size;
    if (named > limit) return undefined;
    const served = new Set<string>();
    for (const { types } of this.#open) for (const type of types.keys()) served.add(type);
    return served;
  }

  /**
   * As the matcher's `find`.
   *
   * @param wish What the next task asks of builds, where the tasks of the class do not all ask the same.
   */
  find(entry: ClassEntry, wish?: BuildWish): Session | undefined {
    this.#open ??= this.#gather();
    if (this.#left > 0) {
      if (entry.eligible.length <= this.#open.length) return findEligible(entry, this.#now, wish);
      const session = pick(entry, this.#open, this.#now, undefined, wish);
      if (session) {
        entry.log.met(this.#now);
        return session;
      }
    }
    if (isLookDue(entry, this.#now)) findEligible(entry, this.#now);
    else entry.log.missed();
    return undefined;
  }

  /** Whether `find` would find a worker; the round-robin position does not move. */
  has(entry: ClassEntry): boolean {
    const { turn } = entry;
    const session = this.find(entry);
    entry.turn = turn;
    return session !== undefined;
  }

  /** Keeps a place at a session that was found. */
  reserve(session: Session, taskClass: TaskClass): void {
    session.reserve(taskClass);
    if (session.keptRoom?.classId === taskClass.id) session.keepRoom(undefined);
    if (closedBy(session, this.#now) !== undefined) this.#left--;
  }

  /**
   * No session has room for the next task of the class: one of those that are large enough keeps what becomes free for it,
   * against tasks that go after it.
   */
  keepRoom(entry: ClassEntry): void {
    const { taskClass, roomAt } = entry;
    const { cost } = taskClass.requirements;
    const front = entry.window.peek();
    if (cost === undefined || front === undefined) return;
    const wish = frontWish(entry);
    const mayKeep = (session: Session) => serves(wish, session.build) && this.#mayKeep(session, taskClass);
    let kept = roomAt && mayKeep(roomAt) ? roomAt : undefined;
    if (!kept && this.#now - (entry.roomChosenAt ?? Number.NEGATIVE_INFINITY) >= CHOOSE_EVERY_MS) {
      entry.roomChosenAt = this.#now;
      for (const session of entry.eligible) {
        if (!mayKeep(session)) continue;
        if (!kept || missing(cost, session) < missing(cost, kept)) kept = session;
      }
    }
    if (roomAt && roomAt !== kept && roomAt.keptRoom?.classId === taskClass.id) roomAt.keepRoom(undefined);
    entry.roomAt = kept;
    const { id: classId, type, queue, fairness } = taskClass;
    const until = this.#now + KEPT_FREE_MS;
    kept?.keepRoom({
      ...{ ...front, classId, type, queue, cost, until },
      ...{ fairnessKey: fairness?.key, ageingMs: this.#ageingMs },
    });
  }

  /** True for a session that only lacks room, and keeps none for another class. */
  #mayKeep(session: Session, taskClass: TaskClass): boolean {
    const room = session.keptRoom;
    if (room && room.classId !== taskClass.id && room.until > this.#now) return false;
    const counted = session.types.get(taskClass.type);
    if (counted === undefined || counted.active >= counted.limit) return false;
    return removedBy(taskClass, session, this.#now) === "slots" && session.link !== undefined;
  }

  #gather(): Session[] {
    const open: Session[] = [];
    for (const session of this.#sessions) if (closedBy(session, this.#now) === undefined) open.push(session);
    this.#left = open.length;
    return open;
  }
}

/** What the next task of the class asks of builds; undefined where all tasks of it ask the same. */
function frontWish({ taskClass: { builds }, window }: ClassEntry): BuildWish | undefined {
  const front = builds?.ramp && window.peek();
  return builds && front ? wishOf(builds, front.id) : undefined;
}

/** How much is missing of what the task costs: 1 for all of it, of each capacity. */
function missing(cost: Cost, session: Session): number {
  return shortages(cost, session).reduce((sum, { needed, free }) => sum + (needed - free) / needed, 0);
}

function isLookDue({ eligible, log }: ClassEntry, now: number): boolean {
  return (
    eligible.length === 0 ||
    log.isDue(now, Math.max(LOOK_EVERY_MS.least, LOOK_EVERY_MS.session * eligible.length))
  );
}

function findEligible(entry: ClassEntry, now: number, wish?: BuildWish): Session | undefined {
  entry.log.begin(now);
  const session = pick(entry, entry.eligible, now, entry.log, wish);
  entry.log.end(session !== undefined, now);
  return session;
}

function pick(
  entry: ClassEntry,
  sessions: readonly Session[],
  now: number,
  log?: MatchLog,
  wish?: BuildWish,
): Session | undefined {
  let prefetching: Session | undefined;
  const wanted = slotsOf(entry.taskClass.requirements.cost);
  for (let step = 0; step < sessions.length; step++) {
    const session = sessions[(entry.turn + step) % sessions.length];
    if (!session) continue;
    const filter =
      removedBy(entry.taskClass, session, now) ??
      (session.keptRoom && isKeptFrom(session, entry.taskClass, entry.window.peek(), now)
        ? "slots"
        : undefined);
    if (filter !== undefined) {
      log?.removed(filter, session.workerId);
      continue;
    }
    // The log is of the class: some tasks of it may run there.
    if (wish !== undefined && !serves(wish, session.build)) continue;
    if (session.freeSlots >= wanted) {
      entry.turn = (entry.turn + step + 1) % sessions.length;
      return session;
    }
    prefetching ??= session;
  }
  return prefetching;
}
