/** Creates, closes and cancels batches. */
import { ClassesGoneError } from "../../domain/errors.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { BatchStore } from "../../store/store.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { TaskControl } from "../attempts/task-control.ts";
import type { TaskChanger } from "../changes/task-changer.ts";
import type { ClassIndex } from "../matching/class-index.ts";

/** Members that are read at once, and cancelled in the steps of a bulk operation before the place is written. */
const CANCELS_PER_STEP = 2_000;

/** A cancellation that another scheduler began is taken over when its lead is older than this, milliseconds: it is renewed with each read. */
const LEAD_MS = 3_000;

/** A class that is deleted this often during one call is so by a fault. */
const MAX_ROUNDS = 10;

export interface BatchesParts {
  readonly store: Pick<
    BatchStore,
    "batchCancelled" | "closeBatch" | "createBatch" | "nextBatchCancel" | "requestBatchCancel"
  > & { lead(name: string, schedulerId: string, leaseMs: number): Promise<boolean> };
  readonly schedulerId: string;
  readonly classes: Pick<ClassIndex, "forget" | "resolveAll">;
  readonly control: Pick<TaskControl, "cancel">;
  readonly changer: Pick<TaskChanger, "changeNamed">;
  readonly counters: Pick<Counters, "batches" | "dependents" | "submitted">;
}

/** The batches of tasks. Counts and completion tasks are the business of dependencies. */
export class Batches {
  readonly #parts: BatchesParts;
  #soon: () => void = () => undefined;

  constructor(parts: BatchesParts) {
    this.#parts = parts;
  }

  /** Calls back when a cancellation was asked for here. */
  onCancel(soon: () => void): void {
    this.#soon = soon;
  }

  /** Creates a batch; returns its id. @throws DatabaseUnavailableError */
  async create(title: string, completion: NewTask | undefined): Promise<number> {
    const { store, classes, counters } = this.#parts;
    for (let round = 1; ; round++) {
      const [taskClass] = completion ? await classes.resolveAll([completion]) : [];
      const insert =
        completion && taskClass
          ? { task: completion, classId: taskClass.id, assignTo: undefined }
          : undefined;
      try {
        const id = await store.createBatch(title, insert);
        counters.batches.created++;
        if (insert) {
          counters.submitted++;
          counters.dependents.held++;
        }
        return id;
      } catch (error) {
        if (!(error instanceof ClassesGoneError) || round === MAX_ROUNDS) throw error;
        classes.forget(new Set(error.classIds));
      }
    }
  }

  /** Takes no more members; false when there is no such batch. */
  close(id: number): Promise<boolean> {
    return this.#parts.store.closeBatch(id);
  }

  /** Cancels the completion task, and has the members cancelled; false when there is no such batch. */
  async cancel(id: number, reason: string, hasCompletion: boolean): Promise<boolean> {
    // First: it would start when the last member has ended.
    if (hasCompletion) await this.#parts.control.cancel(id, reason);
    const found = await this.#parts.store.requestBatchCancel(id, reason);
    if (found) this.#parts.counters.batches.cancelled++;
    this.#soon();
    return found;
  }

  /** Cancels members of batches that are to be cancelled, in steps. One scheduler does it for all. */
  async runOnce(): Promise<void> {
    const { store, schedulerId } = this.#parts;
    while ((await store.nextBatchCancel(1)) && (await store.lead("batches", schedulerId, LEAD_MS))) {
      const step = await store.nextBatchCancel(CANCELS_PER_STEP);
      if (!step) return;
      if (step.taskIds.length > 0)
        await this.#parts.changer.changeNamed({ kind: "cancel" }, step.taskIds, step.reason);
      await store.batchCancelled(step.batchId, step.lastPosition);
    }
  }
}
