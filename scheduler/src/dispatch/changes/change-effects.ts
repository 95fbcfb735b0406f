/** Has the parts of the hot path take note of tasks that a change of many tasks has ended, queued again or moved. */
import type { Clock } from "../../clock.ts";
import type { ChangeKind } from "../../domain/tasks/task-change.ts";
import type { ChangedTasks, WaitingTask } from "../../store/store.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Admission } from "../admission/admission.ts";
import type { AttemptTraces } from "../attempts/writers/attempt-traces.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { Peers } from "../claiming/peers.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { ClassIndex } from "../matching/class-index.ts";

/** Other schedulers read changed classes anew, up to 2,000 ids each: no more often than this during one change. */
const HINT_EVERY_MS = 500;

export interface ChangeEffectsParts {
  readonly admission: Pick<Admission, "endWaits">;
  readonly classes: Pick<ClassIndex, "load">;
  readonly dispatcher: Pick<Dispatcher, "leftQueue" | "lookAgain" | "reorder" | "waitsEnded">;
  readonly peers: Pick<Peers, "hintOrder" | "hintWork">;
  readonly signals: Pick<TaskSignals, "changed">;
  readonly counters: Pick<Counters, "finished">;
  readonly traces: Pick<AttemptTraces, "endedInQueue">;
  readonly clock: Pick<Clock, "monotonic">;
}

/** A task as its class knew it before the change. */
type Placed = Pick<WaitingTask, "classId" | "id">;

export class ChangeEffects {
  readonly #parts: ChangeEffectsParts;
  /** Classes of which other schedulers may have tasks in memory that wait there no longer. */
  readonly #changed = new Set<number>();
  #hintedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ChangeEffectsParts) {
    this.#parts = parts;
  }

  /**
   * A step of a change is committed.
   *
   * @param before Its tasks with the classes that they had.
   */
  async apply(kind: ChangeKind, before: readonly Placed[], done: ChangedTasks): Promise<void> {
    const { signals } = this.#parts;
    if (kind === "cancel") await this.#ended(done.ended);
    else if (kind === "retry") await this.#queued(done.waiting);
    else if (kind !== "delete") await this.#moved(before, done.waiting);
    for (const { id } of done.waiting) signals.changed(id);
    for (const { id } of done.ended) signals.changed(id);
    for (const id of done.requested) signals.changed(id);
    for (const id of done.deleted) signals.changed(id);
    const now = this.#parts.clock.monotonic();
    if (now - this.#hintedAt >= HINT_EVERY_MS) {
      this.#hintedAt = now;
      this.flush();
    }
  }

  /** Sends other schedulers the hints that have not been sent yet. */
  flush(): void {
    if (this.#changed.size > 0) this.#parts.peers.hintOrder([...this.#changed]);
    this.#changed.clear();
  }

  async #ended(ended: ChangedTasks["ended"]): Promise<void> {
    if (ended.length === 0) return;
    const { admission, classes, counters, dispatcher, traces } = this.#parts;
    const classIds = new Set(ended.map(({ classId }) => classId));
    const ids = ended.map(({ id }) => id);
    await classes.load(classIds);
    dispatcher.leftQueue(ended);
    admission.endWaits(ids, "cancelled_in_queue");
    for (const { classId } of ended) counters.finished(classId, "cancelled");
    traces.endedInQueue(ids);
    dispatcher.waitsEnded(classIds);
    for (const id of classIds) this.#changed.add(id);
  }

  async #queued(waiting: readonly WaitingTask[]): Promise<void> {
    const classIds = [...new Set(waiting.map(({ classId }) => classId))];
    await this.#parts.classes.load(classIds);
    this.#parts.dispatcher.lookAgain(classIds);
    this.#parts.peers.hintWork(classIds);
  }

  async #moved(before: readonly Placed[], waiting: readonly WaitingTask[]): Promise<void> {
    if (waiting.length === 0) return;
    const { admission, classes, dispatcher } = this.#parts;
    const ids = new Set(waiting.map(({ id }) => id));
    const left = before.filter(({ id }) => ids.has(id));
    const classIds = new Set(waiting.map(({ classId }) => classId));
    await classes.load(classIds);
    for (const { classId } of left) classIds.add(classId);
    admission.endWaits([...ids], "changed_in_queue");
    dispatcher.reorder([...classIds]);
    dispatcher.waitsEnded(left.map(({ classId }) => classId));
    for (const id of classIds) this.#changed.add(id);
  }
}
