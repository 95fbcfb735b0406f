import type { ClassIndex } from "../dispatch/class-index.ts";
import type { Explanation, Reason } from "../domain/explain/reason.ts";
import { withRefused } from "../domain/explain/refused.ts";
import { explainActive, explainEnded } from "../domain/explain/task.ts";
import { explainWaiting, type FleetMember } from "../domain/explain/waiting.ts";
import { explainGone, explainLiving } from "../domain/explain/worker.ts";
import { formatTaskId, parseAttemptId } from "../domain/ids.ts";
import { hasEnded, type TaskRecord } from "../domain/task.ts";
import { type WorkerRecord, workerState } from "../domain/worker.ts";
import type { QueueRow, Store } from "../store/store.ts";

/** Workers looked at for one explanation. */
const MAX_FLEET = 10_000;

/**
 * Gathers the facts and explains. Workers of all schedulers are looked at, through the filters that
 * assign work.
 */
export class Explainer {
  readonly #store: Store;
  readonly #classes: ClassIndex;

  constructor(store: Store, classes: ClassIndex) {
    this.#store = store;
    this.#classes = classes;
  }

  async task(task: TaskRecord): Promise<Explanation> {
    return { subject: formatTaskId(task.id), state: task.state, reasons: await this.#taskReasons(task) };
  }

  async worker(record: WorkerRecord): Promise<Explanation> {
    const now = await this.#store.databaseTime();
    const state = workerState(record, now);
    if (record.goneTime) return { subject: record.workerId, state, reasons: [explainGone(record)] };
    const member = await this.#member(record, now);
    const waiting = (await this.#store.depths()).flatMap(({ classId, ready }) => {
      const taskClass = this.#classes.get(classId)?.taskClass;
      return taskClass ? [{ taskClass, ready }] : [];
    });
    return { subject: record.workerId, state, reasons: explainLiving(member, waiting, now) };
  }

  /** Why the queue's oldest waiting task of each type does not move. */
  async queue(queue: QueueRow): Promise<Explanation> {
    const tasks = await this.#store.listTasks({
      states: ["queued"],
      queue: queue.name,
      type: undefined,
      detail: undefined,
      workerId: undefined,
      beforeId: undefined,
      limit: 1_000,
    });
    const byType = new Map(tasks.map((task) => [task.type, task]));
    const reasons: Reason[] = [];
    for (const task of byType.values()) {
      for (const reason of await this.#taskReasons(task)) {
        const summary = `${task.type} (oldest ${formatTaskId(task.id)}): ${reason.summary}`;
        reasons.push({ ...reason, summary });
      }
    }
    const state = queue.pauseTime ? "paused" : tasks.length > 0 ? "waiting" : "empty";
    if (reasons.length === 0) {
      reasons.push({
        code: queue.pauseTime ? "QUEUE_PAUSED" : "IDLE_NO_WORK",
        summary: queue.pauseTime
          ? `the queue is paused (${queue.pauseReason}) and nothing waits in it`
          : "nothing waits in the queue",
        since: queue.pauseTime,
        evidence: [],
        remedy: queue.pauseTime ? `muster queue resume ${queue.name}` : "nothing to do",
      });
    }
    return { subject: `queue:${queue.name}`, state, reasons };
  }

  async #taskReasons(task: TaskRecord): Promise<Reason[]> {
    if (hasEnded(task.state)) return [explainEnded(task, await this.#store.getAttempts(task.id))];
    const now = await this.#store.databaseTime();
    if (task.state === "queued") return this.#waitingReasons(task, now);
    const record = task.workerId === undefined ? undefined : await this.#store.getWorker(task.workerId);
    return explainActive(task, record && { record, state: workerState(record, now) }, now);
  }

  async #waitingReasons(task: TaskRecord, now: Date): Promise<Reason[]> {
    const taskClass = await this.#classes.resolve(task.queue, task.type, task.requirements);
    const filter = { pool: undefined, beforeId: undefined };
    const living = await this.#store.listWorkers({ ...filter, living: true, limit: MAX_FLEET });
    const fleet: FleetMember[] = [];
    for (const record of living) fleet.push(await this.#member(record, now));
    const [lastGone] =
      fleet.length > 0 ? [] : await this.#store.listWorkers({ ...filter, living: false, limit: 1 });
    const queue = (await this.#store.listQueues()).find(({ name }) => name === task.queue);
    const reasons = explainWaiting({
      task,
      taskClass,
      queuePause: queue?.pauseTime && { reason: queue.pauseReason ?? "", since: queue.pauseTime },
      fleet,
      lastWorkerSeen: lastGone?.goneTime,
      now,
    });
    return withRefused(reasons, task, await this.#store.listRefusals(undefined), now);
  }

  async #member(record: WorkerRecord, now: Date): Promise<FleetMember> {
    const state = workerState(record, now);
    const { hello, heartbeat } = record;
    const slots = heartbeat?.slots ?? hello.slots;
    return {
      record,
      state,
      candidate: {
        workerId: record.workerId,
        ready: state === "ready" || state === "draining",
        draining: record.draining,
        pauseReason: heartbeat?.paused ? heartbeat.pauseReason || "paused" : undefined,
        queues: new Set(hello.queues),
        types: await this.#types(record),
        labels: hello.labels,
        resources: new Set(heartbeat?.resources ?? hello.resources),
        credit: slots + hello.prefetch - record.activeCount,
      },
    };
  }

  /** Capacity by type; what runs is known by the beat, its types by the store only where a limit asks. */
  async #types({ hello, heartbeat }: WorkerRecord) {
    const active = new Map<string, number>();
    if (hello.types.some(({ concurrency }) => concurrency > 0)) {
      for (const { attemptId } of heartbeat?.running ?? []) {
        const key = parseAttemptId(attemptId);
        const task = key && (await this.#store.getTask(key.taskId));
        if (task) active.set(task.type, (active.get(task.type) ?? 0) + 1);
      }
    }
    return new Map(
      hello.types.map(({ type, concurrency }) => [
        type,
        {
          limit: concurrency > 0 ? concurrency : Number.POSITIVE_INFINITY,
          active: active.get(type) ?? 0,
        },
      ]),
    );
  }
}
