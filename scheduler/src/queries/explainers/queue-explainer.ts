/** Explains why the next waiting task of each kind of a queue does not move. */
import { shownCount } from "../../dispatch/matching/backlog.ts";
import { queueBuildRule } from "../../domain/explain/limits/queue-build-rule.ts";
import { queueFull } from "../../domain/explain/limits/queue-full.ts";
import { type Explanation, plural, type Reason } from "../../domain/explain/reason.ts";
import { formatTaskId } from "../../domain/ids.ts";
import { largest } from "../../domain/largest.ts";
import { Slices } from "../../slices.ts";
import { BACKLOG_AGE_MS, type ExplainerParts } from "./explainer-parts.ts";
import type { TaskExplainer } from "./task-explainer.ts";

/** Kinds of waiting tasks that the explanation of a queue lists. */
const MAX_KINDS = 20;

export class QueueExplainer {
  readonly #parts: ExplainerParts;
  readonly #tasks: TaskExplainer;

  constructor(parts: ExplainerParts, tasks: TaskExplainer) {
    this.#parts = parts;
    this.#tasks = tasks;
  }

  /** Undefined when there is no such queue. */
  async explain(name: string): Promise<Explanation | undefined> {
    const { store, classes, backlog } = this.#parts;
    const queue = await store.getQueue(name);
    if (!queue) return undefined;
    await classes.learn();
    const counts = await backlog.read(BACKLOG_AGE_MS);
    const here: { readonly id: number; readonly count: number }[] = [];
    const slices = new Slices();
    for (const [id, count] of counts) {
      if (classes.get(id)?.taskClass.queue === name) here.push({ id, count });
      if (slices.isOver) await slices.next();
    }
    const waiting = largest(here, MAX_KINDS, (a, b) => b.count - a.count || a.id - b.id);
    const fronts = await store.waitingTasks(
      waiting.map(({ id }) => id),
      1,
    );
    const reasons: Reason[] = [];
    for (const { id, classId } of fronts) {
      const task = await store.getTask(id);
      if (task?.state !== "queued") continue;
      const kind = `${shownCount(counts.get(classId) ?? 1)} ${task.type} waiting, first ${formatTaskId(id)}`;
      for (const reason of await this.#tasks.reasons(task)) {
        // The pause of the queue is one reason for all kinds.
        if (reason.code === "QUEUE_PAUSED") continue;
        reasons.push({ ...reason, summary: `${kind}: ${reason.summary}` });
      }
    }
    const pause = queue.pauseTime;
    const waits = here.reduce((sum, { count }) => sum + count, 0);
    if (pause) {
      reasons.unshift({
        code: "QUEUE_PAUSED",
        summary: `the queue is paused: ${queue.pauseReason}; ${waits === 0 ? "nothing waits in it" : `${plural(waits, "task", ["waits", "wait"])} in it`}`,
        since: pause,
        evidence: [
          { key: "pause_reason", value: queue.pauseReason ?? "", source: "database" },
          { key: "ready_tasks", value: String(waits), source: "database" },
        ],
        remedy: `resume it when the reason is gone: muster queue resume ${name}`,
      });
    }
    if (queue.limit) {
      const limited = (await store.limitedQueues()).find((each) => each.name === name);
      const full = limited && queueFull(limited, await store.databaseTime());
      if (full) reasons.push(full);
    }
    const rule = queue.settings?.builds;
    const bound = rule && queueBuildRule(name, rule, queue.settingsSet, await store.databaseTime());
    if (reasons.length === 0) {
      reasons.push({
        code: "IDLE_NO_WORK",
        summary: "nothing that could start now waits in the queue",
        evidence: [{ key: "ready_tasks", value: "0", source: "database" }],
        remedy: "nothing to do",
      });
    }
    if (bound) reasons.push(bound);
    const state = pause ? "paused" : waits > 0 ? "waiting" : "empty";
    return { subject: `queue:${name}`, state, reasons };
  }
}
