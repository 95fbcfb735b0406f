/** A task class in memory, with the front of its queue and its eligible sessions. */
import { shapeOf, type TaskClass } from "../../domain/matching/match.ts";
import { MatchLog } from "../../domain/matching/match-log.ts";
import { WaitingWindow } from "../../domain/tasks/window.ts";
import type { Floor } from "../../store/store.ts";
import type { Session } from "../sessions/session.ts";

/**
 * Ids held per class. A claim takes at most 1,000, so a window lasts for two; deeper queues stay in
 * Postgres and are read as the window empties.
 */
export const WINDOW_SIZE = 2_000;

/** A class with the front of its queue. */
export interface ClassEntry {
  /** Another object when the build rule of its queue changes. */
  taskClass: TaskClass;
  /** The same for all classes that any worker is matched with alike. */
  readonly shape: string;
  /** Changed only through `ClassWindows`: the order of the classes rests on its front. */
  readonly window: WaitingWindow;
  /** True when the store may hold claimable tasks of the class that the window has not. */
  mayHaveMore: boolean;
  /**
   * When the store was last read, nothing claimable went before this. What turns up before it later (an id that
   * was committed late, a task that is tried again) resets it, at the latest with the next poll.
   */
  floor: Floor | undefined;
  /** Sessions that the lasting filters (type, queue, labels, resources) let through. */
  eligible: Session[];
  /** Its window is read again when it has no more than these. */
  lowSize: number;
  /** True when the store may hold more tasks that go first by their age, which the window has not. */
  hasMoreAged?: boolean;
  /** Where the next search among `eligible` begins, so that work spreads. */
  turn: number;
  /** When the store was last read for tasks of one side of a ramp, monotonic milliseconds; see `ClassWindows.starve`. */
  sideReadAt?: number | undefined;
  /** The side of which the window has none although a worker could take one: read with the next refill. */
  starvedSide?: "ramp" | "rest" | undefined;
  /** The session that is reserved for it, when its tasks run alone. */
  keptFree?: Session | undefined;
  /** The session that keeps room for its next task, when its tasks cost more than sessions have free. */
  roomAt?: Session | undefined;
  /** When that session was chosen, monotonic milliseconds. */
  roomChosenAt?: number;
  /** Record of the search among them. */
  readonly log: MatchLog;
  /** When it was last submitted to, hinted at, or had an open task, monotonic milliseconds; as far as is known. */
  usedAt: number;
  /** True while searches leave it out: an admission rule holds it back, and unparks it. */
  parked: boolean;
}

/**
 * A new class, of which the store may hold tasks.
 *
 * @param now Monotonic milliseconds.
 */
export function madeEntry(taskClass: TaskClass, ageingMs: number, now: number): ClassEntry {
  return {
    taskClass,
    shape: shapeOf(taskClass),
    window: new WaitingWindow(ageingMs),
    mayHaveMore: true,
    floor: undefined,
    lowSize: WINDOW_SIZE / 4,
    hasMoreAged: false,
    eligible: [],
    turn: 0,
    log: new MatchLog(),
    usedAt: now,
    parked: false,
  };
}
