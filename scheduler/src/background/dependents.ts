/** Lets tasks start, or ends them, when the tasks that they wait for have ended. */
import type { Dispatch } from "../dispatch/dispatch.ts";
import { DEPENDENCY_FAILED } from "../domain/tasks/dependencies/dependencies.ts";
import type { EndState } from "../domain/tasks/task.ts";
import type { DependencyStore } from "../store/store.ts";

/** Ends of one step, and dependents of each: a step takes 2 to 100 ms. */
const ENDS_PER_STEP = 100;
const DEPENDENTS_PER_END = 100;

/** Releases or ends the dependents of tasks that have ended, in steps, until none is left. */
export class Dependents {
  readonly #parts: DependentsParts;

  constructor(parts: DependentsParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, dispatcher, peers, signals, waits, counters, wakeIn } = this.#parts;
    for (;;) {
      const { ends, released, ended } = await store.releaseDependents(ENDS_PER_STEP, DEPENDENTS_PER_END);
      if (ends === 0) return;
      const ready = new Set<number>();
      for (const { task, waitMs, held } of released) {
        counters.dependents.released++;
        if (held) {
          signals.changed(task.id);
          continue;
        }
        if (waitMs === undefined) {
          waits.woken(task.id);
          dispatcher.enqueue(task);
          ready.add(task.classId);
        } else wakeIn(waitMs);
        signals.changed(task.id);
      }
      if (ready.size > 0) peers.hintWork([...ready]);
      await this.#noteEnded(ended);
    }
  }

  async #noteEnded(
    ended: readonly { readonly id: number; readonly classId: number; readonly state: EndState }[],
  ): Promise<void> {
    if (ended.length === 0) return;
    const { classes, dispatcher, signals, counters, traces } = this.#parts;
    await classes.load(ended.map(({ classId }) => classId));
    for (const { id, classId, state } of ended) {
      if (state !== "succeeded") counters.dependents[state]++;
      if (state === "failed") counters.failedInQueue(classId, DEPENDENCY_FAILED);
      else counters.finished(classId, state);
      signals.changed(id);
    }
    traces.endedInQueue(ended.map(({ id }) => id));
    dispatcher.waitsEnded(new Set(ended.map(({ classId }) => classId)));
  }
}

export interface DependentsParts {
  readonly store: Pick<DependencyStore, "releaseDependents">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "enqueue" | "waitsEnded">;
  readonly waits: Pick<Dispatch["waits"], "woken">;
  readonly signals: Pick<Dispatch["signals"], "changed">;
  readonly peers: Pick<Dispatch["peers"], "hintWork">;
  readonly classes: Pick<Dispatch["classes"], "load">;
  readonly counters: Pick<Dispatch["counters"], "dependents" | "failedInQueue" | "finished">;
  readonly traces: Pick<Dispatch["traces"], "endedInQueue">;
  /** A task may start in so many milliseconds. */
  readonly wakeIn: (delayMs: number) => void;
}
