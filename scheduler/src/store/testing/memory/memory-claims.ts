/** The fake of the role that submits and claims. */
import {
  type ConcurrencyKey,
  type KeyState,
  type OrderState,
  strictKeys,
} from "../../../domain/tasks/limits/concurrency.ts";
import {
  type EndedWait,
  type LimitPlan,
  limitOutcome,
  type OpenOfKey,
  planLimits,
  policyKeys,
} from "../../../domain/tasks/limits/limit-plan.ts";
import { queueRateKey } from "../../../domain/tasks/limits/rate-limit.ts";
import { type KeyPlan, planKeys } from "../../../domain/tasks/unique-keys/key-plan.ts";
import type { KeyHolder } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type {
  ClaimedAttempt,
  ClaimStore,
  InsertedTask,
  KeyedClaim,
  RatedClaim,
  TaskInsert,
  WaitingTask,
} from "../../store.ts";
import { isReady } from "./memory-classes.ts";
import type { MemoryDependencies, NewDependent } from "./memory-dependencies.ts";
import type { MemoryTables, OpenRow } from "./memory-tables.ts";

/** A fake of the role that submits and claims, in memory. */
export class MemoryClaims implements ClaimStore {
  readonly #tables: MemoryTables;
  readonly #dependencies: MemoryDependencies;

  constructor(tables: MemoryTables, dependencies: MemoryDependencies) {
    this.#tables = tables;
    this.#dependencies = dependencies;
  }

  async insertTasks(tasks: readonly TaskInsert[], schedulerId?: string): Promise<InsertedTask[]> {
    const { keys } = this.#tables;
    const ids = tasks.map(() => this.#tables.nextTaskId());
    const owners = new Map(
      Array.from(keys).flatMap(([key, id]): [string, KeyHolder][] => {
        const owner = this.#ownerOf(id);
        return owner ? [[key, owner]] : [];
      }),
    );
    const plan = planKeys(tasks, ids, owners);
    const dependents = dependentsOf(tasks, ids, plan);
    this.#dependencies.check(dependents, new Set(ids));
    for (const [key, { id }] of plan.owners) keys.set(key, id);
    for (const [id, insert] of plan.replacements) this.#replace(id, insert);
    const limits = this.#planLimits(plan.inserts);
    const assigned = new Set(
      Array.from(plan.inserts).flatMap(([id, insert]) => (this.#insert(id, insert, schedulerId) ? [id] : [])),
    );
    const waiting = this.#dependencies.link(dependents);
    const ended = [...limits.refused.keys(), ...limits.superseded.map(({ taskId }) => taskId)].flatMap((id) =>
      this.#cancel(id),
    );
    return plan.answers.map(({ id, conflict }) => {
      if (conflict) return { id, duplicate: conflict.outcome === "returned", assigned: false, conflict };
      const outcome = limitOutcome(id, limits, ended);
      return {
        ...{ id, duplicate: false, assigned: assigned.has(id) },
        ...(waiting.has(id) ? { waitsForTasks: true } : {}),
        ...(outcome ? { limits: outcome } : {}),
      };
    });
  }

  #planLimits(inserts: ReadonlyMap<number, TaskInsert>): LimitPlan {
    const keys = Array.from(inserts.values()).flatMap(({ task }) => policyKeys(task.concurrency));
    const open = new Map(
      keys.map(({ key }): [string, OpenOfKey] => {
        const tasks = Array.from(this.#tables.open.values()).flatMap(({ id, classId }) => {
          const has = this.#tables.classOf(classId).concurrency?.find((each) => each.key === key);
          return has ? [{ id, cancelling: this.#tables.cancelRequests.has(id), onLimit: has.onLimit }] : [];
        });
        return [
          key,
          { override: this.#tables.keyState(key).override, tasks: tasks.sort((a, b) => a.id - b.id) },
        ];
      }),
    );
    return planLimits(new Map(Array.from(inserts, ([id, { task }]) => [id, task.concurrency ?? []])), open);
  }

  /** Ends a queued task, and asks an active one to end. */
  #cancel(id: number): EndedWait[] {
    const row = this.#tables.open.get(id);
    if (!row) return [];
    if (row.state !== "queued") {
      this.#tables.cancelRequests.add(id);
      return [];
    }
    this.#tables.end({
      ...row,
      state: "cancelled",
      detail: "cancelled",
      output: undefined,
      failure: undefined,
    });
    return [{ id, classId: row.classId }];
  }

  async claim(
    wanted: readonly { taskId: number; sessionId: number }[],
    schedulerId?: string,
  ): Promise<ClaimedAttempt[]> {
    const now = this.#tables.clock.now();
    return wanted.flatMap(({ taskId, sessionId }) => {
      const row = this.#tables.open.get(taskId);
      if (!row || !isReady(row) || !this.#tables.lives(sessionId, schedulerId)) return [];
      row.state = "assigned";
      row.sessionId = sessionId;
      row.epoch++;
      row.attemptCount++;
      row.assignedAt = now;
      return [{ ...toClaimed(row, sessionId), sinceCreationMs: now - row.createdAt }];
    });
  }

  /** One by one: a task that a key turns back takes nothing of its other keys. */
  async claimKeyed(
    wanted: readonly { taskId: number; sessionId: number }[],
    schedulerId?: string,
    strict = false,
  ): Promise<KeyedClaim> {
    const claimed: ClaimedAttempt[] = [];
    const turnedBack: number[] = [];
    const limits: KeyLimits = new Map();
    const asking: OpenRow[] = [];
    const isFirst = this.#firsts(wanted, strict);
    for (const { taskId, sessionId } of wanted) {
      const row = this.#tables.open.get(taskId);
      if (!row || !isReady(row) || !this.#tables.lives(sessionId, schedulerId)) continue;
      asking.push(row);
      addLimits(limits, this.#tables.classOf(row.classId).concurrency);
      if (this.#tables.admits(row.classId) && isFirst(row))
        for (const attempt of await this.claim([{ taskId, sessionId }], schedulerId))
          claimed.push({ ...attempt, keyed: true });
      else turnedBack.push(taskId);
    }
    return {
      ...{ claimed, turnedBack },
      keys: this.#fullKeys(limits),
      ...(strict ? { orders: this.#ordersOf(asking) } : {}),
    };
  }

  /** Whether a task of a claim goes first for its keys with a strict order, as it was before the claim. */
  #firsts(wanted: readonly { taskId: number }[], strict: boolean): (row: OpenRow) => boolean {
    if (!strict) return () => true;
    const rows = wanted.flatMap(({ taskId }) => this.#tables.open.get(taskId) ?? []);
    const first = new Set(rows.filter((row) => this.#tables.isFirst(row)));
    return (row) => first.has(row);
  }

  /** The orders of the keys of these tasks that have a strict one. */
  #ordersOf(asking: readonly OpenRow[]): OrderState[] {
    const strict = asking.flatMap(({ classId }) => strictKeys(this.#tables.classOf(classId).concurrency));
    return Array.from(new Set(strict.map(({ key }) => key)), (key) => this.#tables.orderState(key));
  }

  #fullKeys(limits: KeyLimits): KeyState[] {
    return Array.from(limits, ([key, least]) => ({ least, state: this.#tables.keyState(key) })).flatMap(
      ({ least, state }) => (state.held >= (state.override ?? least) ? [state] : []),
    );
  }

  /** One by one, as `claimKeyed`. */
  async claimRated(
    wanted: readonly { taskId: number; sessionId: number }[],
    schedulerId?: string,
    strict = false,
  ): Promise<RatedClaim> {
    const { buckets } = this.#tables;
    const claimed: ClaimedAttempt[] = [];
    const turnedBack: number[] = [];
    const rateLimited: number[] = [];
    const limits: KeyLimits = new Map();
    const asking: OpenRow[] = [];
    const isFirst = this.#firsts(wanted, strict);
    const rateKeys = new Set<string>();
    for (const { taskId, sessionId } of wanted) {
      const row = this.#tables.open.get(taskId);
      if (!row || !isReady(row) || !this.#tables.lives(sessionId, schedulerId)) continue;
      asking.push(row);
      const { queue, concurrency = [], rateLimits = [] } = this.#tables.classOf(row.classId);
      const queueKey = queueRateKey(queue);
      addLimits(limits, concurrency);
      if (!this.#tables.admits(row.classId) || !isFirst(row)) turnedBack.push(taskId);
      else {
        for (const key of [...rateLimits.map((limit) => limit.key), queueKey]) rateKeys.add(key);
        if (rateLimits.every(({ key, ...own }) => buckets.hasToken(key, own)) && buckets.hasToken(queueKey))
          for (const attempt of await this.claim([{ taskId, sessionId }], schedulerId)) {
            for (const key of [...rateLimits.map((limit) => limit.key), queueKey]) buckets.take(key);
            claimed.push({ ...attempt, keyed: true });
          }
        else {
          turnedBack.push(taskId);
          rateLimited.push(taskId);
        }
      }
    }
    return {
      ...{ claimed, turnedBack, rateLimited },
      keys: this.#fullKeys(limits),
      buckets: Array.from(rateKeys).flatMap((key) => buckets.states(key)),
      ...(strict ? { orders: this.#ordersOf(asking) } : {}),
    };
  }

  async assignedTo(sessionIds: readonly number[]): Promise<ClaimedAttempt[]> {
    const now = this.#tables.clock.now();
    return Array.from(this.#tables.open.values()).flatMap((row) => {
      if (row.state !== "assigned" || row.sessionId === undefined) return [];
      if (!sessionIds.includes(row.sessionId)) return [];
      return [{ ...toClaimed(row, row.sessionId), ageMs: now - (row.assignedAt ?? now) }];
    });
  }

  async wakeDue(limit: number): Promise<WaitingTask[]> {
    const now = this.#tables.clock.now();
    const due = Array.from(this.#tables.open.values())
      .filter(({ wakeAt }) => wakeAt !== undefined && wakeAt <= now)
      .sort((a, b) => (a.wakeAt ?? 0) - (b.wakeAt ?? 0));
    return due.slice(0, limit).map((row) => {
      row.wakeAt = undefined;
      return { id: row.id, classId: row.classId, priority: row.task.priority };
    });
  }

  async failOverdue(limit: number): Promise<{ id: number; classId: number }[]> {
    const { open, clock } = this.#tables;
    const due = Array.from(open.values())
      .filter(({ state, epoch }) => state === "queued" && epoch === 0)
      .filter(({ startDeadline }) => startDeadline !== undefined && startDeadline < clock.now())
      .sort((a, b) => (a.startDeadline ?? 0) - (b.startDeadline ?? 0));
    return due.slice(0, limit).map((row) => {
      const detail = "DEADLINE_BEFORE_START";
      this.#tables.end({
        ...row,
        state: "failed",
        detail,
        output: undefined,
        failure: {
          failureClass: "timed_out",
          code: detail,
          message: "the task waited longer in the queue than its queue_wait timeout allows",
        },
      });
      return { id: row.id, classId: row.classId };
    });
  }

  /** The task that a key belongs to. */
  #ownerOf(id: number): KeyHolder | undefined {
    const { open, ended, clock, classes } = this.#tables;
    const row = open.get(id) ?? ended.get(id);
    if (!row) return undefined;
    const taskClass = this.#tables.classOf(row.classId);
    const { alone, queue, type, requirements, concurrency, rateLimits, circuit, fairness } = taskClass;
    const wanted = JSON.stringify([queue, type, requirements, concurrency, rateLimits, circuit, fairness]);
    const shared = alone
      ? classes.find(
          (each) =>
            !each.alone &&
            JSON.stringify([
              ...[each.queue, each.type, each.requirements, each.concurrency],
              ...[each.rateLimits, each.circuit, each.fairness],
            ]) === wanted,
        )?.id
      : row.classId;
    const { state, task, createdAt } = row;
    return { id, state, rule: task.options?.unique, ageMs: clock.now() - createdAt, classId: shared ?? 0 };
  }

  /** Replaces what a queued task is. */
  #replace(id: number, { task, classId }: TaskInsert): void {
    const row = this.#tables.open.get(id);
    if (row?.state !== "queued") throw new Error(`task ${id} is not queued`);
    const now = this.#tables.clock.now();
    const queueWaitMs = task.options?.timeouts?.queueWaitMs;
    row.task = row.epoch === 0 ? task : { ...task, options: { ...task.options, replacedEpoch: row.epoch } };
    row.classId = classId;
    // It waits for the same tasks, if it waits for some, and then for its own time.
    const waits = row.wakeAt === Number.POSITIVE_INFINITY;
    if (!waits) row.wakeAt = wakeTime(task, now);
    row.startDeadline = waits || queueWaitMs === undefined ? undefined : (row.wakeAt ?? now) + queueWaitMs;
    row.attemptCount = 0;
    row.outOfMemoryCount = 0;
    row.requeueCounts = undefined;
    row.failure = undefined;
  }

  /** True when it was assigned. */
  #insert(id: number, { task, classId, assignTo }: TaskInsert, schedulerId: string | undefined): boolean {
    const { open, clock } = this.#tables;
    const now = clock.now();
    const wakeAt = wakeTime(task, now);
    const queueWaitMs = task.options?.timeouts?.queueWaitMs;
    const assigned = assignTo !== undefined && this.#tables.lives(assignTo, schedulerId);
    open.set(id, {
      id,
      classId,
      task,
      state: assigned ? "assigned" : "queued",
      epoch: assigned ? 1 : 0,
      attemptCount: assigned ? 1 : 0,
      outOfMemoryCount: 0,
      requeueCounts: undefined,
      sessionId: assigned ? assignTo : undefined,
      wakeAt,
      startDeadline: queueWaitMs === undefined ? undefined : (wakeAt ?? now) + queueWaitMs,
      createdAt: now,
      assignedAt: assigned ? now : undefined,
      acceptedAt: undefined,
      startedAt: undefined,
      phase: undefined,
      progress: undefined,
      failure: undefined,
    });
    return assigned;
  }
}

/** The inserted tasks that are to wait for others. */
function dependentsOf(
  tasks: readonly TaskInsert[],
  ids: readonly number[],
  plan: KeyPlan<TaskInsert>,
): NewDependent[] {
  return tasks.flatMap(({ task }, index): NewDependent[] => {
    const taskId = ids[index];
    if (task.after === undefined || taskId === undefined || plan.answers[index]?.id !== taskId) return [];
    const after = task.after.map((each) => ({
      taskId: "entry" in each ? (plan.answers[each.entry]?.id ?? 0) : each.taskId,
      condition: each.condition,
    }));
    return [{ taskId, task, index, after }];
  });
}

/** A delay of zero and a time in the past mean now. */
function wakeTime({ delayMs, runAtMs }: TaskInsert["task"], now: number): number | undefined {
  if (delayMs !== undefined && delayMs > 0) return now + delayMs;
  return runAtMs !== undefined && runAtMs > now ? runAtMs : undefined;
}

function toClaimed(row: OpenRow, sessionId: number): ClaimedAttempt {
  return {
    taskId: row.id,
    epoch: row.epoch,
    classId: row.classId,
    sessionId,
    attemptCount: row.attemptCount,
    outOfMemoryCount: row.outOfMemoryCount,
    requeueCounts: row.requeueCounts,
    options: row.task.options,
    cancelReason: undefined,
    accepted: false,
    ageMs: 0,
    sinceCreationMs: undefined,
    payload: row.task.payload,
    contentType: row.task.contentType,
    headers: row.task.headers,
  };
}

/** The least limit of each key among tasks. */
type KeyLimits = Map<string, number>;

function addLimits(limits: KeyLimits, concurrency: readonly ConcurrencyKey[] = []): void {
  for (const { key, limit } of concurrency)
    limits.set(key, Math.min(limit, limits.get(key) ?? Number.POSITIVE_INFINITY));
}
