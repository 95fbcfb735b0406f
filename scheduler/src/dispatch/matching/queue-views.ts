/** Sends idle workers the waiting tasks, with the reason that they get none. */
import type { Clock } from "../../clock.ts";
import { whyRemoved } from "../../domain/explain/removed.ts";
import { largest } from "../../domain/largest.ts";
import { removedBy, type TaskClass } from "../../domain/matching/match.ts";
import type { Admission } from "../admission/admission.ts";
import type { QueueViewEntry } from "../sessions/link.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import type { Backlog } from "./backlog.ts";
import type { ClassEntry } from "./class-entry.ts";

/** Kinds of tasks in one view, as the protocol says. */
const MAX_ENTRIES = 20;

/** The largest classes that are looked at; with the bound on sessions it bounds a run to some 10 ms. */
const MAX_CLASSES = 200;

/** Idle workers served in one run; the others come in the next. */
const MAX_SESSIONS = 500;

/** While only the depths change, views of one worker come at growing intervals up to this many times the first. */
const MAX_GROWTH = 12;

/** The view that a session was sent last, or that was left out because it had not changed. Times are monotonic milliseconds. */
interface SentView {
  at: number;
  waitMs: number;
  /** Kinds and filters. */
  shape: string;
  /** The same with the depths. */
  text: string;
}

/** What the views are made from. */
export interface QueueViewParts {
  readonly classes: { get(id: number): Pick<ClassEntry, "taskClass"> | undefined };
  readonly admission: Pick<Admission, "holdReason">;
  readonly registry: Registry;
  readonly backlog: Pick<Backlog, "read">;
  readonly clock: Clock;
  /** Shortest time between two views of one worker, milliseconds. */
  readonly intervalMs: number;
}

/**
 * Sends idle workers what waits and why none of it may run there. Costs nothing while no worker is idle, one bounded
 * count an interval otherwise, and a message only when the view has changed.
 */
export class QueueViews {
  readonly #parts: QueueViewParts;
  /** By session uuid, which a reconnect keeps. */
  readonly #sent = new Map<string, SentView>();

  constructor(parts: QueueViewParts) {
    this.#parts = parts;
  }

  /** Serves the idle workers whose turn it is. @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { registry, backlog, clock, intervalMs } = this.#parts;
    if (this.#sent.size > 2 * registry.size + MAX_SESSIONS) this.#forgetGone();
    const due: Session[] = [];
    for (const session of registry.all()) {
      if (due.length >= MAX_SESSIONS) break;
      if (this.#isDue(session, clock.monotonic())) due.push(session);
    }
    if (due.length === 0) return;
    const counts = await backlog.read(intervalMs / 2);
    const waiting = this.#waiting(counts);
    for (const session of due) {
      // It may have been given something meanwhile.
      if (session.link && session.outstanding === 0) this.#send(session, waiting);
    }
  }

  #forgetGone(): void {
    for (const uuid of this.#sent.keys()) if (!this.#parts.registry.byUuid(uuid)) this.#sent.delete(uuid);
  }

  #isDue(session: Session, now: number): boolean {
    if (!session.ready || session.draining || session.outstanding > 0) return false;
    const sent = this.#sent.get(session.uuid);
    return sent === undefined || now - sent.at >= sent.waitMs;
  }

  #waiting(counts: ReadonlyMap<number, number>): { taskClass: TaskClass; ready: number }[] {
    return largest(counts, MAX_CLASSES, ([, a], [, b]) => b - a).flatMap(([id, ready]) => {
      const entry = this.#parts.classes.get(id);
      return entry ? [{ taskClass: entry.taskClass, ready }] : [];
    });
  }

  #send(session: Session, waiting: readonly { taskClass: TaskClass; ready: number }[]): void {
    const { clock, intervalMs } = this.#parts;
    const entries = this.#entries(session, waiting);
    const shape = entries
      .map(({ queue, type, removedBy: filter }) => `${queue} ${type} ${filter}`)
      .join("\n");
    const text = entries.map(({ ready, detail }) => `${ready} ${detail}`).join("\n") + shape;
    const before = this.#sent.get(session.uuid);
    // An empty view ends one that was not.
    const changed = text !== (before?.text ?? "");
    const waitMs =
      before === undefined || shape !== before.shape
        ? intervalMs
        : changed
          ? Math.min(before.waitMs * 2, intervalMs * MAX_GROWTH)
          : before.waitMs;
    this.#sent.set(session.uuid, { at: clock.monotonic(), waitMs, shape, text });
    if (changed) session.link?.queueView(entries);
  }

  /** The largest first; classes that differ only in their requirements and are removed alike are one. */
  #entries(session: Session, waiting: readonly { taskClass: TaskClass; ready: number }[]): QueueViewEntry[] {
    const { classes, admission, clock } = this.#parts;
    const now = clock.monotonic();
    const kinds = new Map<
      string,
      { queue: string; type: string; ready: number; removedBy: string; detail: string }
    >();
    for (const { taskClass, ready } of waiting) {
      const filter = removedBy(taskClass, session, now);
      const hold = filter === undefined ? admission.holdReason(taskClass) : undefined;
      const name = filter ?? hold?.name ?? "";
      const key = `${taskClass.queue} ${taskClass.type} ${name}`;
      const kind = kinds.get(key);
      if (kind) {
        kind.ready += ready;
        continue;
      }
      const detail = hold?.detail ?? whyRemoved(taskClass, session, filter);
      kinds.set(key, { queue: taskClass.queue, type: taskClass.type, ready, removedBy: name, detail });
    }
    for (const [classId, count] of session.takeLostRaces()) {
      const taskClass = classes.get(classId)?.taskClass;
      if (!taskClass) continue;
      const { queue, type } = taskClass;
      const key = `${queue} ${type} `;
      const detail = `lost race: ${count} were claimed by others first`;
      const kind = kinds.get(key);
      if (kind) kind.detail = detail;
      else kinds.set(key, { queue, type, ready: 0, removedBy: "", detail });
    }
    return [...kinds.values()].sort((a, b) => b.ready - a.ready).slice(0, MAX_ENTRIES);
  }
}
