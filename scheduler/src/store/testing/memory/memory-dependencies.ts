/** The fake of the role that lets tasks start when the tasks that they wait for have ended. */
import {
  DEPENDENCY_FAILED,
  type DependencyCause,
  type LinkedTask,
  type Predecessor,
  type TaskLinks,
  UnknownPredecessorsError,
} from "../../../domain/tasks/dependencies/dependencies.ts";
import {
  type BrokenDependent,
  type EndedDependency,
  type PredecessorEnd,
  planDependents,
} from "../../../domain/tasks/dependencies/dependency-plan.ts";
import type { EndState, NewTask } from "../../../domain/tasks/task.ts";
import type { DependencyStore, DependentsStep } from "../../store.ts";
import type { EndedRow, MemoryTables } from "./memory-tables.ts";

/** A dependency, its end counted or not. */
interface Link {
  readonly id: number;
  readonly predecessorId: number;
  readonly taskId: number;
  readonly success: boolean;
  counted: { readonly state: EndState; readonly time: Date } | undefined;
}

interface End extends PredecessorEnd {
  doneId: number;
  readonly lastId: number;
}

/** A task that is to wait, with what its submit named. */
export interface NewDependent {
  readonly taskId: number;
  readonly task: NewTask;
  readonly index: number;
  readonly after: readonly Predecessor[];
}

/** A fake of dependencies, in memory. */
export class MemoryDependencies implements DependencyStore {
  readonly #tables: MemoryTables;
  readonly #links: Link[] = [];
  readonly #open = new Map<number, number>();
  #ends: End[] = [];
  #lastId = 0;
  #lastEndId = 0;

  constructor(tables: MemoryTables) {
    this.#tables = tables;
    tables.onEnd((row) => this.#ended(row));
  }

  /** Before tasks are inserted. @throws UnknownPredecessorsError */
  check(dependents: readonly NewDependent[], own: ReadonlySet<number>): void {
    const { open, ended } = this.#tables;
    const unknown = dependents.flatMap(({ taskId: dependent, index, after }) =>
      after.flatMap(({ taskId }, position) =>
        (own.has(taskId) ? taskId < dependent : open.has(taskId) || ended.has(taskId))
          ? []
          : [{ index, position, taskId }],
      ),
    );
    if (unknown.length > 0) throw new UnknownPredecessorsError(unknown);
  }

  /** Has inserted tasks wait; returns those that do. */
  link(dependents: readonly NewDependent[]): ReadonlySet<number> {
    const { open, ended } = this.#tables;
    const waiting = new Set<number>();
    for (const { taskId, after } of dependents)
      for (const { taskId: predecessorId, condition } of after) {
        const over = ended.get(predecessorId);
        const success = condition === "succeeded";
        const isMet = over !== undefined && (!success || over.state === "succeeded");
        const id = ++this.#lastId;
        const counted = isMet ? { state: over.state, time: new Date(this.#tables.clock.now()) } : undefined;
        this.#links.push({ id, predecessorId, taskId, success, counted });
        if (isMet) continue;
        if (over) this.#ends.push({ ...this.#endOf(over), doneId: id - 1, lastId: id });
        this.#open.set(taskId, (this.#open.get(taskId) ?? 0) + 1);
        waiting.add(taskId);
      }
    for (const id of waiting) {
      const row = open.get(id);
      if (!row) continue;
      row.wakeAt = Number.POSITIVE_INFINITY;
      row.startDeadline = undefined;
    }
    return waiting;
  }

  #ended(row: EndedRow): void {
    this.#open.delete(row.id);
    const last = this.#links.findLast(({ predecessorId, counted }) => predecessorId === row.id && !counted);
    if (last) this.#ends.push({ ...this.#endOf(row), doneId: 0, lastId: last.id });
  }

  async releaseDependents(maxEnds: number, perEnd: number): Promise<DependentsStep> {
    const ends = this.#ends.slice(0, maxEnds);
    const links = new Map<EndedDependency, Link>();
    for (const { id: endId, taskId: predecessorId, doneId, lastId } of ends) {
      const own = this.#links.filter(
        (link) =>
          link.predecessorId === predecessorId && !link.counted && link.id > doneId && link.id <= lastId,
      );
      for (const link of own.slice(0, perEnd)) {
        const { id, taskId, success } = link;
        links.set({ endId, id, taskId, success, openCount: this.#open.get(taskId) }, link);
      }
    }
    const plan = planDependents(ends, [...links.keys()], perEnd);
    const time = new Date(this.#tables.clock.now());
    for (const [{ endId }, link] of links) {
      const end = ends.find(({ id }) => id === endId);
      if (end) link.counted = { state: end.state, time };
    }
    this.#ends = this.#ends.filter(({ id }) => !plan.finished.includes(id));
    for (const { endId, doneId } of plan.continued)
      for (const end of this.#ends) if (end.id === endId) end.doneId = doneId;
    for (const [taskId, count] of plan.waiting) this.#open.set(taskId, count);
    return {
      ends: ends.length,
      released: plan.released.flatMap((taskId) => this.#release(taskId)),
      ended: plan.broken.flatMap((broken) => this.#break(broken)),
    };
  }

  #release(taskId: number): DependentsStep["released"] {
    const row = this.#tables.open.get(taskId);
    this.#open.delete(taskId);
    if (!row) return [];
    const now = this.#tables.clock.now();
    const { delayMs, runAtMs, priority, options } = row.task;
    const queueWaitMs = options?.timeouts?.queueWaitMs;
    row.wakeAt = delayMs ? now + delayMs : runAtMs !== undefined && runAtMs > now ? runAtMs : undefined;
    row.startDeadline = queueWaitMs === undefined ? undefined : (row.wakeAt ?? now) + queueWaitMs;
    const waitMs = row.wakeAt === undefined ? undefined : row.wakeAt - now;
    return [{ task: { id: taskId, classId: row.classId, priority }, waitMs }];
  }

  #break({ taskId, state, reason, cause }: BrokenDependent): DependentsStep["ended"] {
    const row = this.#tables.open.get(taskId);
    if (!row) return [];
    const failure =
      state === "failed"
        ? { failureClass: "non_retryable" as const, code: DEPENDENCY_FAILED, message: reason }
        : row.failure;
    const task = { ...row.task, options: { ...row.task.options, dependency: cause } };
    this.#tables.end({ ...row, task, state, detail: DEPENDENCY_FAILED, output: undefined, failure });
    return [{ id: taskId, classId: row.classId, state }];
  }

  async predecessors(taskId: number): Promise<LinkedTask[]> {
    return this.#links
      .filter((link) => link.taskId === taskId)
      .map((link) => this.#linked(link, link.predecessorId));
  }

  async taskLinks(taskId: number, after: number, limit: number): Promise<TaskLinks> {
    const links = this.#links.filter(({ predecessorId }) => predecessorId === taskId);
    const later = links.filter(({ id }) => id > after);
    return {
      predecessors: await this.predecessors(taskId),
      dependents: later.slice(0, limit).map((link) => this.#linked(link, link.taskId)),
      lastPosition: later.length > limit ? later[limit - 1]?.id : undefined,
      dependentCount: links.length,
    };
  }

  #linked({ success, counted }: Link, taskId: number): LinkedTask {
    const ended = this.#tables.ended.get(taskId);
    const row = ended ?? this.#tables.open.get(taskId);
    const { queue, type } = row ? this.#tables.classOf(row.classId) : {};
    return {
      ...{ taskId, condition: success ? "succeeded" : "ended", counted, queue, type },
      state: row?.state,
      detail: ended?.detail,
      createTime: row && new Date(row.createdAt),
    };
  }

  #endOf(row: EndedRow): PredecessorEnd {
    const { state, detail } = row;
    const message = row.failure?.message;
    const before = detail === DEPENDENCY_FAILED ? row.task.options?.dependency : undefined;
    const cause: DependencyCause = {
      ...{ taskId: row.id, state, detail },
      ...(message === undefined ? {} : { message }),
      ...(before ? { root: before.root ?? before } : {}),
    };
    return { id: ++this.#lastEndId, taskId: row.id, state, cause };
  }
}
