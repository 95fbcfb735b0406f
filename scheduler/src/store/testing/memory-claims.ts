/** The fake of the role that submits and claims. */
import type { ClaimedAttempt, ClaimStore, InsertedTask, TaskInsert, WaitingTask } from "../store.ts";
import { isReady } from "./memory-classes.ts";
import type { MemoryTables, OpenRow } from "./memory-tables.ts";

/** A fake of the role that submits and claims, in memory. */
export class MemoryClaims implements ClaimStore {
  readonly #tables: MemoryTables;

  constructor(tables: MemoryTables) {
    this.#tables = tables;
  }

  async insertTasks(tasks: readonly TaskInsert[], schedulerId?: string): Promise<InsertedTask[]> {
    return tasks.map((insert) => this.#insert(insert, schedulerId));
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
    const { open, ended, clock } = this.#tables;
    const due = Array.from(open.values())
      .filter(({ state, epoch }) => state === "queued" && epoch === 0)
      .filter(({ startDeadline }) => startDeadline !== undefined && startDeadline < clock.now())
      .sort((a, b) => (a.startDeadline ?? 0) - (b.startDeadline ?? 0));
    return due.slice(0, limit).map((row) => {
      const detail = "DEADLINE_BEFORE_START";
      open.delete(row.id);
      ended.set(row.id, {
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

  #insert({ task, classId, assignTo }: TaskInsert, schedulerId: string | undefined): InsertedTask {
    const { open, keys, clock } = this.#tables;
    const { queue } = this.#tables.classOf(classId);
    const id = this.#tables.nextTaskId();
    if (task.uniqueKey !== undefined) {
      const key = `${queue}\n${task.uniqueKey}`;
      const holder = keys.get(key);
      if (holder !== undefined) return { id: holder, duplicate: true, assigned: false };
      keys.set(key, id);
    }
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
    return { id, duplicate: false, assigned };
  }
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
