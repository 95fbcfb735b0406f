/** Makes tasks ready whose time has come, and fails those whose deadline has passed. */
import type { Dispatch } from "../dispatch/dispatch.ts";
import type { Store } from "../store/store.ts";

/** Tasks woken or failed in one statement. */
const SWEEP_BATCH = 1_000;

/** Queues scheduled and retried tasks whose time has come, and fails those whose start deadline has passed. */
export class WakeUp {
  readonly #parts: WakeUpParts;

  constructor(parts: WakeUpParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    await this.#wakeDue();
    await this.#failOverdue();
  }

  async #wakeDue(): Promise<void> {
    const { store, waits, dispatcher, signals, peers } = this.#parts;
    for (;;) {
      const due = await store.wakeDue(SWEEP_BATCH);
      for (const task of due) {
        waits.woken(task.id);
        dispatcher.enqueue(task);
        signals.changed(task.id);
      }
      if (due.length > 0) peers.hintWork([...new Set(due.map(({ classId }) => classId))]);
      if (due.length < SWEEP_BATCH) return;
    }
  }

  async #failOverdue(): Promise<void> {
    const { store, admission, classes, dispatcher, signals, counters, traces } = this.#parts;
    for (;;) {
      const failed = await store.failOverdue(SWEEP_BATCH);
      await classes.load(failed.map(({ classId }) => classId));
      for (const { id, classId } of failed) {
        signals.changed(id);
        counters.failedInQueue(classId, "DEADLINE_BEFORE_START");
      }
      admission.endWaits(
        failed.map(({ id }) => id),
        "overdue_in_queue",
      );
      traces.endedInQueue(failed.map(({ id }) => id));
      dispatcher.waitsEnded(new Set(failed.map(({ classId }) => classId)));
      if (failed.length < SWEEP_BATCH) return;
    }
  }
}

export interface WakeUpParts {
  readonly store: Pick<Store, "wakeDue" | "failOverdue">;
  readonly admission: Pick<Dispatch["admission"], "endWaits">;
  readonly waits: Pick<Dispatch["waits"], "woken">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "enqueue" | "waitsEnded">;
  readonly signals: Pick<Dispatch["signals"], "changed">;
  readonly peers: Pick<Dispatch["peers"], "hintWork">;
  readonly classes: Pick<Dispatch["classes"], "load">;
  readonly counters: Pick<Dispatch["counters"], "failedInQueue">;
  readonly traces: Pick<Dispatch["traces"], "endedInQueue">;
}
