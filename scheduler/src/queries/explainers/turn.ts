/** Reads what shares the workers with a waiting task, and what goes before it by its priority. */
import type { ClassEntry } from "../../dispatch/matching/class-entry.ts";
import type { Portion, TurnFacts, Weighed } from "../../domain/explain/waiting/turn.ts";
import { readyTime } from "../../domain/explain/waiting/waiting.ts";
import { largest } from "../../domain/largest.ts";
import { goesBefore } from "../../domain/tasks/ageing.ts";
import type { TaskRecord } from "../../domain/tasks/task.ts";
import type { WaitingTask } from "../../store/store.ts";
import type { ExplainerParts } from "./explainer-parts.ts";

/** Classes that are looked at. */
const MAX_CLASSES = 2_000;

/** Shares that are named. */
const MAX_NAMED = 5;

type TurnParts = Pick<ExplainerParts, "admission" | "classes" | "store">;

/**
 * The classes are those of which this scheduler knows that a task may wait, for its workers; which of them have one is read.
 *
 * @returns Undefined when the task's class is not in memory.
 * @throws DatabaseUnavailableError
 */
export async function readTurn(
  parts: TurnParts,
  task: TaskRecord,
  now: Date,
): Promise<TurnFacts | undefined> {
  const { classes, store } = parts;
  const own = classes.get(task.classId);
  if (!own) return undefined;
  const competing = rivals(parts, own);
  const fronts = await store.waitingTasks(
    competing.map(({ taskClass }) => taskClass.id),
    1,
    competing.map(({ floor }) => floor),
  );
  const waiting = new Map(fronts.map((front) => [front.classId, front]));
  const found = competing.filter(({ taskClass }) => waiting.has(taskClass.id));
  const first = firstOf(
    found.flatMap((entry) => (isOfKey(entry, own) ? (waiting.get(entry.taskClass.id) ?? []) : [])),
    classes.windows.ageingMs,
  );
  const { order } = classes.windows;
  const next = order.firstOf(found)?.taskClass;
  return {
    ...shares(order, own, found),
    ...(next ? { next: { queue: next.queue, key: next.fairness?.key ?? "" } } : {}),
    ...urgent(task, first, classes.windows.ageingMs, now),
  };
}

/** Classes that could have a worker of the class, and itself. */
function rivals({ admission, classes }: TurnParts, own: ClassEntry): ClassEntry[] {
  const eligible = new Set(own.eligible);
  const found = [own];
  for (const other of classes.windows.movable()) {
    if (found.length >= MAX_CLASSES) break;
    if (other === own || !other.eligible.some((session) => eligible.has(session))) continue;
    if (admission.admits(other.taskClass)) found.push(other);
  }
  return found;
}

function isOfKey({ taskClass: one }: ClassEntry, { taskClass: other }: ClassEntry): boolean {
  return one.queue === other.queue && one.fairness?.key === other.fairness?.key;
}

function shares(
  order: TurnParts["classes"]["windows"]["order"],
  { taskClass: own }: ClassEntry,
  found: readonly ClassEntry[],
): Pick<TurnFacts, "queue" | "key"> {
  const queues = new Map<string, Weighed>();
  const keys = new Map<string, Weighed>();
  for (const { taskClass } of found) {
    const { queue, fairness } = taskClass;
    const key = fairness?.key ?? "";
    if (queue !== own.queue) queues.set(queue, { name: queue, weight: order.queueWeight(queue) });
    else if (key !== (own.fairness?.key ?? ""))
      keys.set(key, { name: key, weight: order.keyWeight(queue, fairness) });
  }
  const ofKey = { name: own.fairness?.key ?? "", weight: order.keyWeight(own.queue, own.fairness) };
  return {
    queue: portion({ name: own.queue, weight: order.queueWeight(own.queue) }, [...queues.values()]),
    ...(own.fairness || keys.size > 0 ? { key: portion(ofKey, [...keys.values()]) } : {}),
  };
}

function portion(own: Weighed, others: readonly Weighed[]): Portion {
  return {
    ...own,
    others: largest(others, MAX_NAMED, (a, b) => b.weight - a.weight),
    otherCount: others.length,
    otherWeight: others.reduce((sum, { weight }) => sum + weight, 0),
  };
}

function firstOf(fronts: readonly WaitingTask[], ageingMs: number): WaitingTask | undefined {
  const aged = (front: WaitingTask) => ({ ...front, readyAt: -(front.ageMs ?? 0) });
  return fronts.reduce<WaitingTask | undefined>(
    (first, front) => (!first || goesBefore(aged(front), aged(first), ageingMs) ? front : first),
    undefined,
  );
}

/** Set while a task of a higher priority goes first. */
function urgent(
  task: TaskRecord,
  first: WaitingTask | undefined,
  ageingMs: number,
  now: Date,
): Pick<TurnFacts, "priority"> {
  const { id, priority: own } = task;
  if (!first || first.priority <= own) return {};
  const ready = readyTime({ task, now });
  const ofTask = { id, priority: own, readyAt: ready.getTime() - now.getTime() };
  if (goesBefore(ofTask, { ...first, readyAt: -(first.ageMs ?? 0) }, ageingMs)) return {};
  const passesAt =
    ageingMs === Number.POSITIVE_INFINITY
      ? undefined
      : new Date(ready.getTime() + (first.priority - own) * ageingMs);
  return { priority: { own, first: first.priority, passesAt } };
}
