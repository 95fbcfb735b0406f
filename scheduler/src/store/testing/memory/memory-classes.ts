/** The fake of the role of task classes. */
import { isOfRamp } from "../../../domain/builds/build-rule.ts";
import type { TaskClass } from "../../../domain/matching/match.ts";
import type { ClassStore, Floor, WaitingTask, WantedClass } from "../../store.ts";
import type { MemoryTables, OpenRow } from "./memory-tables.ts";

/** A fake of the classes' role, in memory. */
export class MemoryClasses implements ClassStore {
  readonly #tables: MemoryTables;

  constructor(tables: MemoryTables) {
    this.#tables = tables;
  }

  async resolveClasses(wanted: readonly WantedClass[]): Promise<TaskClass[]> {
    return wanted.map((each) => resolveClass(this.#tables, each));
  }

  async classesAfter(id: number): Promise<TaskClass[]> {
    return this.#tables.classes.filter((each) => each.id > id);
  }

  async classesById(ids: readonly number[]): Promise<TaskClass[]> {
    const wanted = new Set(ids);
    return this.#tables.classes.filter(({ id }) => wanted.has(id));
  }

  async openClasses(): Promise<{ lastId: number; classes: TaskClass[] }> {
    return {
      lastId: this.#tables.classes.at(-1)?.id ?? 0,
      classes: await this.classesById(await this.openClassIds()),
    };
  }

  async openClassIds(): Promise<number[]> {
    const ids = new Set(Array.from(this.#tables.open.values(), ({ classId }) => classId));
    return [...ids].sort((a, b) => a - b);
  }

  async waitingTasks(
    classIds: readonly number[],
    limitPerClass: number,
    floors: readonly (Floor | undefined)[] = [],
  ): Promise<WaitingTask[]> {
    const waiting = this.#waiting();
    return classIds.flatMap((classId, index) => {
      const floor = floors[index];
      return (waiting.get(classId) ?? [])
        .filter(
          ({ priority, id }) =>
            !floor || priority < floor.priority || (priority === floor.priority && id >= floor.id),
        )
        .slice(0, limitPerClass);
    });
  }

  async agedTasks(
    tops: readonly WaitingTask[],
    ageingMs: number,
    limitPerLevel: number,
  ): Promise<WaitingTask[]> {
    const waiting = this.#waiting();
    return tops.flatMap(({ classId, priority: top, ageMs: topAge = 0 }) => {
      const isAged = ({ priority, ageMs = 0 }: WaitingTask) =>
        priority < top && ageMs - (top - priority) * ageingMs > topAge;
      const levels = [...Map.groupBy(waiting.get(classId) ?? [], ({ priority }) => priority).values()];
      return levels
        .filter(([first]) => first && isAged(first))
        .flatMap((level) => level.slice(0, limitPerLevel).filter(isAged));
    });
  }

  async waitingOfRamp(
    classId: number,
    share: number,
    ofRamp: boolean,
    limit: number,
  ): Promise<WaitingTask[]> {
    const waiting = this.#waiting().get(classId) ?? [];
    return waiting.filter(({ id }) => isOfRamp(id, share) === ofRamp).slice(0, limit);
  }

  async countWaiting(
    classIds: readonly number[],
    limitPerClass: number,
  ): Promise<ReadonlyMap<number, number>> {
    const counts = new Map<number, number>();
    const waiting = this.#waiting();
    for (const classId of classIds) {
      const count = Math.min(limitPerClass, waiting.get(classId)?.length ?? 0);
      if (count > 0) counts.set(classId, count);
    }
    return counts;
  }

  /** By class, each highest priority first, then the oldest. */
  #waiting(): ReadonlyMap<number, (WaitingTask & { readonly ageMs: number })[]> {
    const tasks = Array.from(this.#tables.open.values())
      .filter(isReady)
      .map(({ id, classId, task: { priority }, createdAt }) => ({
        ...{ id, classId, priority },
        ageMs: this.#tables.clock.now() - createdAt,
      }))
      .sort((a, b) => b.priority - a.priority || a.id - b.id);
    return Map.groupBy(tasks, ({ classId }) => classId);
  }
}

/** The class of a combination, made when it is missing. @param alone Its tasks run alone in a process. */
export function resolveClass(
  { classes, classPlaces, buckets }: Pick<MemoryTables, "buckets" | "classes" | "classPlaces">,
  wanted: WantedClass,
  alone = false,
): TaskClass {
  const { queue, type, requirements, concurrency, rateLimits, circuit, fairness } = wanted;
  const known = classPlaces.find(keyOf(wanted, alone), (each) => keyOf(each, each.alone));
  if (known) return known;
  const id = classes.length + 1;
  const made = {
    ...{ id, queue, type, requirements },
    ...(concurrency ? { concurrency } : {}),
    ...(rateLimits ? { rateLimits } : {}),
    ...(circuit ? { circuit } : {}),
    ...(fairness ? { fairness } : {}),
    ...(alone ? { alone } : {}),
  };
  classes.push(made);
  for (const limit of rateLimits ?? []) buckets.make(limit);
  return made;
}

/** Whether the task can be claimed. */
export function isReady({ state, wakeAt }: OpenRow): boolean {
  return state === "queued" && wakeAt === undefined;
}

/** The order of labels and resources does not matter. */
function keyOf(wanted: WantedClass, alone = false): string {
  const { queue, type, requirements, concurrency, rateLimits, circuit, fairness } = wanted;
  const labels = Object.entries(requirements.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const resources = [...requirements.resources].sort();
  return JSON.stringify([
    ...[queue, type, labels, resources, requirements.cost],
    ...[concurrency, rateLimits, circuit, fairness, alone],
  ]);
}
