/** Notifies callers that wait for tasks. */
import type { Clock } from "../../clock.ts";
import { isAbsence } from "../../domain/errors.ts";
import type { SeenTask, TaskStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Peers } from "../claiming/peers.ts";
import type { TaskSignals } from "./task-signals.ts";

/** All followed tasks are looked at this often in one statement: another scheduler may have changed them. */
const LOOK_EVERY_MS = 500;

/** Tasks in one statement, which takes some 10 ms of the database for each thousand. */
const MAX_LOOK = 10_000;

/** One caller that follows a task. */
export interface Follower {
  /** Notes what the caller has been sent, so that only what is newer wakes it. */
  saw(seen: Omit<SeenTask, "taskId">): void;
  /** Resolves when the task may have changed since it was called last, or the signal aborts. */
  changed(signal: AbortSignal): Promise<void>;
  close(): void;
}

/**
 * Those who follow tasks. A thousand that wait for a thousand tasks cost what one costs: this scheduler's own changes wake
 * them at once, and those of others are looked for together.
 */
export class TaskFollowers {
  readonly #parts: {
    readonly store: Pick<TaskStore, "changedTasks">;
    readonly signals: TaskSignals;
    readonly peers: Peers;
    readonly clock: Clock;
    readonly log: Logger;
  };
  readonly #waiting = new Map<symbol, { seen: SeenTask; wake: () => void }>();
  #armed = false;

  constructor(parts: {
    store: Pick<TaskStore, "changedTasks">;
    signals: TaskSignals;
    peers: Peers;
    clock: Clock;
    log: Logger;
  }) {
    this.#parts = parts;
  }

  /** Begins to follow; what changes from now on is not missed. */
  open(taskId: number): Follower {
    const key = Symbol();
    let dirty = false;
    let wake: () => void = () => undefined;
    let seen: SeenTask | undefined;
    const unwatch = this.#parts.signals.watch(taskId, () => {
      dirty = true;
      wake();
    });
    return {
      saw: (what) => {
        seen = { taskId, ...what };
      },
      changed: async (signal) => {
        if (!dirty && !signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            signal.addEventListener("abort", wake, { once: true });
            if (seen) this.#waiting.set(key, { seen, wake });
            this.#arm();
          });
          signal.removeEventListener("abort", wake);
          this.#waiting.delete(key);
        }
        dirty = false;
      },
      close: () => {
        unwatch();
        this.#waiting.delete(key);
      },
    };
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#parts.clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { store, peers, log } = this.#parts;
    const waiting = [...this.#waiting.values()];
    try {
      for (let start = 0; start < waiting.length; start += MAX_LOOK) {
        const part = waiting.slice(start, start + MAX_LOOK);
        // Output of this scheduler's workers wakes by itself.
        const changed = new Set(
          await store.changedTasks(
            part.map(({ seen }) => seen),
            peers.count > 0,
          ),
        );
        for (const { seen, wake } of part) if (changed.has(seen.taskId)) wake();
      }
    } catch (error) {
      // The database watch logs the database's absence; they are looked for again.
      if (!isAbsence(error)) log.error("followers.look_failed", { error });
    }
    this.#armed = false;
    if (this.#waiting.size > 0) this.#arm();
  }
}
