/** Explains tasks, workers and queues, from the database or, while it is away, from memory. */
import { mayBeLocked, withLock } from "../domain/database/database-lock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { databaseUnavailable } from "../domain/explain/outage.ts";
import type { Explanation, Reason } from "../domain/explain/reason.ts";
import { explainSchedule, withTick } from "../domain/explain/schedule.ts";
import { formatTaskId } from "../domain/ids.ts";
import type { ExplainerParts } from "./explainers/explainer-parts.ts";
import { MemoryExplainer } from "./explainers/memory-explainer.ts";
import { PoolExplainer } from "./explainers/pool-explainer.ts";
import { QueueExplainer } from "./explainers/queue-explainer.ts";
import { TaskExplainer } from "./explainers/task-explainer.ts";
import { WorkerExplainer } from "./explainers/worker-explainer.ts";
import { explainWithRejections } from "./rejected-workers.ts";

/** A claim or a commit takes some 20 ms; one that waits for a lock for this long is held up by it. */
const LOCKED_AFTER_MS = 1_000;

/**
 * Reads the facts and explains them. Workers of all schedulers pass the filters that assign work; while the database is
 * away, the explanation rests on what this scheduler holds in memory.
 */
export class Explainer {
  readonly #parts: ExplainerParts;
  readonly #tasks: TaskExplainer;
  readonly #workers: WorkerExplainer;
  readonly #queues: QueueExplainer;
  readonly #pools: PoolExplainer;
  readonly #memory: MemoryExplainer;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
    this.#tasks = new TaskExplainer(parts);
    this.#workers = new WorkerExplainer(parts);
    this.#queues = new QueueExplainer(parts, this.#tasks);
    this.#pools = new PoolExplainer(parts);
    this.#memory = new MemoryExplainer(parts);
  }

  /** Undefined when there is no such task. */
  task(id: number): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      async () => {
        const task = await this.#parts.store.getTask(id);
        if (!task) return undefined;
        const reasons = withTick(await this.#tasks.reasons(task), task.options?.tick);
        const lock = mayBeLocked(reasons) ? await this.#parts.store.foreignLock(LOCKED_AFTER_MS) : undefined;
        return {
          subject: formatTaskId(id),
          state: task.state,
          reasons: lock ? withLock(reasons, lock) : reasons,
        };
      },
      (outage) => this.#memory.task(id, outage),
    );
  }

  /** Undefined when no worker of this id ever registered or was refused. */
  worker(id: string): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      async () => {
        const { store } = this.#parts;
        const [record, rejected] = [await store.getWorker(id), await store.listRejectedWorkers(id)];
        const explanation = record && (await this.#workers.explain(record));
        if (rejected.length === 0) return explanation;
        return explainWithRejections(id, explanation, record?.goneTime, rejected, await store.databaseTime());
      },
      (outage) => this.#memory.worker(id, outage),
    );
  }

  /** Why the queue's next waiting task of each kind does not move; undefined when there is no such queue. */
  queue(name: string): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      () => this.#queues.explain(name),
      (outage) => this.#memory.queue(name, outage),
    );
  }

  /** Undefined when there is no such schedule. */
  schedule(name: string): Promise<Explanation | undefined> {
    const { store } = this.#parts;
    return this.#orFromMemory(
      async () => {
        const found = await store.getSchedule(name);
        if (!found) return undefined;
        const { schedule } = found;
        const openTaskIds = await store.openTasks(schedule.taskIds);
        return explainSchedule({ schedule, openTaskIds, now: await store.databaseTime() });
      },
      (outage) => ({ subject: `schedule:${name}`, state: "unknown", reasons: [outage] }),
    );
  }

  /** Undefined when there is no such pool. */
  pool(name: string): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      () => this.#pools.explain(name),
      (outage) => ({ subject: `pool:${name}`, state: "unknown", reasons: [outage] }),
    );
  }

  async #orFromMemory(
    explain: () => Promise<Explanation | undefined>,
    fromMemory: (outage: Reason) => Explanation,
  ): Promise<Explanation | undefined> {
    const { database } = this.#parts;
    try {
      return await database.run(explain);
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
      return fromMemory(databaseUnavailable(this.#memory.outage(error)));
    }
  }
}
