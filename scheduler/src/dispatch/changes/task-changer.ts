/** Changes many tasks in steps: cancels, retries, moves, reprioritises or deletes them. */
import type { Clock } from "../../clock.ts";
import { schedulerStopping } from "../../domain/refusals.ts";
import { MOVED, untilAllFound } from "../../domain/tasks/moving-task.ts";
import {
  type ChangeFilter,
  type FoundTask,
  nextStep,
  STEP,
  sizeAfter,
  skipOf,
  type TaskChange,
} from "../../domain/tasks/task-change.ts";
import type {
  ChangedTasks,
  ChangePosition,
  ChangeScope,
  ChangeSource,
  ChangeStore,
  CutOff,
  EventStore,
} from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { QueueLimits } from "../submission/queue-limits.ts";
import type { ChangeEffects } from "./change-effects.ts";
import { type ChangeProgress, ChangeTally } from "./change-tally.ts";

/** Rows that one look reads: 2 to 20 ms, also where few of them match. */
const LOOK = 2_000;

/** A change of many tasks. */
export interface ChangeRequest {
  readonly change: TaskChange;
  readonly filter: ChangeFilter;
  /** Who asks and why. */
  readonly reason: string;
  readonly dryRun: boolean;
  /** Where an earlier call ended; undefined for a change that begins. */
  readonly from: { readonly cutOff: CutOff; readonly position: ChangePosition } | undefined;
}

export interface TaskChangerParts {
  readonly store: Pick<ChangeStore, "changeScope" | "changeTasks" | "tasksToChange"> &
    Pick<EventStore, "appendEvents">;
  readonly schedulerId: string;
  readonly effects: Pick<ChangeEffects, "apply" | "flush">;
  readonly limits: Pick<QueueLimits, "admitUpTo">;
  readonly counters: Pick<Counters, "changes">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
}

/**
 * Changes many tasks, one step at a time for all changes of this scheduler. Each step is a transaction, and between steps
 * nothing is locked: a change that stops, for whatever reason, leaves every task either changed or as it was.
 */
export class TaskChanger {
  readonly #parts: TaskChangerParts;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: TaskChangerParts) {
    this.#parts = parts;
  }

  /**
   * Carries a change out for as long as its progress is read.
   *
   * @param over Ends it after the step that is under way: the caller is gone.
   * @param stopping The same when the scheduler stops.
   * @throws Refusal `SCHEDULER_STOPPING`. @throws DatabaseUnavailableError
   */
  async *run(
    request: ChangeRequest,
    over: AbortSignal,
    stopping: AbortSignal,
  ): AsyncGenerator<ChangeProgress, void, undefined> {
    const tally = new ChangeTally();
    let outcome = "stopped";
    try {
      for await (const left of this.#steps(request, tally)) {
        if (over.aborted) return;
        if (left === undefined) outcome = "finished";
        yield tally.progress(left);
        if (over.aborted || left === undefined) return;
        if (stopping.aborted) throw schedulerStopping("change");
      }
    } catch (error) {
      if (!stopping.aborted) outcome = "failed";
      throw error;
    } finally {
      if (!request.dryRun) await this.#conclude(request, tally, outcome);
    }
  }

  /**
   * Changes tasks by their ids, in the same steps. Those that cannot be changed stay as they are.
   *
   * @throws DatabaseUnavailableError Steps that are done stay done, and a second call changes the rest.
   */
  async changeNamed(change: TaskChange, taskIds: readonly number[], reason: string): Promise<void> {
    const request = { change, filter: { ...NO_FILTER, taskIds }, reason, dryRun: false, from: undefined };
    try {
      for await (const _ of this.#steps(request, new ChangeTally()));
    } finally {
      this.#parts.effects.flush();
    }
  }

  /** Yields after each step where the next one begins; undefined after the last one. */
  async *#steps(request: ChangeRequest, tally: ChangeTally): AsyncGenerator<ChangeProgress["left"]> {
    const { change, filter, from } = request;
    const scope = await this.#parts.store.changeScope(change, filter, from?.cutOff);
    const { cutOff } = scope;
    let size: number = STEP.most;
    let position = from?.position ?? startOf(scope, scope.sources[0]);
    while (position !== undefined) {
      const found = await this.#parts.store.tasksToChange(scope, position, LOOK);
      const { source } = position;
      tally.examined += found.examined;
      for (const id of found.unknown) tally.skip(id, "TASK_NOT_FOUND");
      for (let rest = found.tasks; rest.length > 0; ) {
        const step = nextStep(rest, size);
        rest = rest.slice(step.length);
        const ms = await this.#inTurn(() => this.#step(request, scope, step, tally));
        size = sizeAfter(size, ms);
        const last = step.at(-1);
        if (rest.length > 0 && last) yield { cutOff, position: after(source, last) };
      }
      position = found.next ?? startOf(scope, sourceAfter(scope, source));
      yield position && { cutOff, position };
    }
    if (scope.sources.length === 0) yield undefined;
  }

  async #step(
    request: ChangeRequest,
    scope: ChangeScope,
    tasks: readonly FoundTask[],
    tally: ChangeTally,
  ): Promise<void> {
    for (const { id } of tasks) tally.example(id);
    if (request.dryRun) return countOnly(request.change, tasks, tally);
    const { store } = this.#parts;
    const isNamed = scope.sources.includes("ids") || scope.sources.includes("members");
    let left = await this.#admitted(request.change, tasks, tally);
    if (left.tasks.length === 0) return left.settled();
    await untilAllFound(
      () => left.tasks.map(({ id }) => id),
      "changed",
      async () => {
        const done = await store.changeTasks(scope, left.tasks, request.reason).finally(left.settled);
        await this.#parts.effects.apply(request.change.kind, left.tasks, done);
        count(request.change, done, tally, this.#parts.counters);
        if (!isNamed || done.missed.length === 0) return;
        const taskIds = [...done.missed].sort((a, b) => a - b);
        const again = await store.tasksToChange(
          { ...scope, sources: ["ids"], taskIds },
          { source: "ids", id: 0 },
          taskIds.length,
        );
        left = { tasks: again.tasks, settled: NOTHING };
        return left.tasks.length > 0 ? MOVED : undefined;
      },
    );
  }

  /** Those of the tasks that a queue with a limit takes. */
  async #admitted(
    change: TaskChange,
    tasks: readonly FoundTask[],
    tally: ChangeTally,
  ): Promise<{ readonly tasks: readonly FoundTask[]; readonly settled: () => void }> {
    if (change.kind !== "move") return { tasks, settled: NOTHING };
    // A task that stays as it is takes no room.
    const moving = tasks.filter((task) => skipOf(change, task) === undefined);
    const { count: room, settled } = await this.#parts.limits.admitUpTo(change.queue, moving.length);
    const full = new Set(moving.slice(room));
    for (const { id } of full) {
      tally.skip(id, "QUEUE_FULL");
      this.#parts.counters.changes.count(change.kind, "skipped");
    }
    return { tasks: full.size === 0 ? tasks : tasks.filter((task) => !full.has(task)), settled };
  }

  /** One step at a time: several changes at once take no more of the database than one. Answers its milliseconds. */
  #inTurn(step: () => Promise<void>): Promise<number> {
    const { clock } = this.#parts;
    const done = this.#turn.then(async () => {
      const began = clock.monotonic();
      await step();
      return clock.monotonic() - began;
    });
    // The caller of this step gets its error; the next step goes on.
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #conclude(
    { change, filter, reason }: ChangeRequest,
    tally: ChangeTally,
    outcome: string,
  ): Promise<void> {
    const { store, effects, log, schedulerId } = this.#parts;
    effects.flush();
    const attributes = {
      change: textOf(change),
      filter: filterText(filter),
      reason,
      outcome,
      done: String(tally.done),
      requested: String(tally.requested),
      skipped: tally.skippedText,
      scheduler: schedulerId,
    };
    log.info("tasks.changed", attributes);
    try {
      await store.appendEvents([{ name: "tasks.changed", attributes }]);
    } catch (error) {
      log.warn("tasks.change_unrecorded", { ...attributes, error });
    }
  }
}

const NOTHING = () => undefined;

const NO_FILTER: ChangeFilter = {
  ...{ taskIds: [], states: [], queues: [], types: [], details: [], failureCodes: [], tags: [] },
  ...{
    errorText: undefined,
    workerId: undefined,
    batchId: undefined,
    uniqueKey: undefined,
    minAgeMs: undefined,
    maxAgeMs: undefined,
  },
  ...{ minEndedAgeMs: undefined, maxEndedAgeMs: undefined },
};

/** The place before the first task of a source. */
function startOf(scope: ChangeScope, source: ChangeSource | undefined): ChangePosition | undefined {
  if (source !== "open") return source && { source, id: 0 };
  const [classId] = scope.classIds;
  // Before every task of the class.
  return { source, classId: classId ?? 0, priority: 32_767, id: 0 };
}

function sourceAfter({ sources }: ChangeScope, source: ChangeSource): ChangeSource | undefined {
  return sources[sources.indexOf(source) + 1];
}

function after(source: ChangeSource, { id, classId, priority }: FoundTask): ChangePosition {
  return source === "open" ? { source, classId, priority, id } : { source, id };
}

function countOnly(change: TaskChange, tasks: readonly FoundTask[], tally: ChangeTally): void {
  for (const task of tasks) {
    const code = skipOf(change, task);
    if (code) tally.skip(task.id, code);
    else tally.done++;
  }
}

function count(
  { kind }: TaskChange,
  { ended, requested, waiting, deleted, skipped }: ChangedTasks,
  tally: ChangeTally,
  counters: Pick<Counters, "changes">,
): void {
  const done = ended.length + requested.length + waiting.length + deleted.length;
  tally.done += done;
  tally.requested += requested.length;
  for (const { id, code } of skipped) tally.skip(id, code);
  counters.changes.count(kind, "done", done);
  counters.changes.count(kind, "skipped", skipped.length);
}

function textOf(change: TaskChange): string {
  if (change.kind === "move") return `move to ${change.queue}`;
  if (change.kind === "set_priority") return `set_priority ${change.priority}`;
  if (change.kind === "retry" && change.step !== undefined) return `retry step ${change.step}`;
  return change.kind;
}

/** The conditions of a filter, as far as they fit into an event. */
function filterText(filter: ChangeFilter): string {
  const conditions = Object.entries(filter).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  const text = JSON.stringify(Object.fromEntries(conditions));
  return text.length > MAX_FILTER_TEXT ? `${text.slice(0, MAX_FILTER_TEXT)}...` : text;
}

const MAX_FILTER_TEXT = 2_000;
