/** Runs random steps on stores and keeps their answers, which are compared with the contents of the database. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Store } from "@muster/scheduler";
import type { Outcome } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import type {
  ClaimedAttempt,
  CommitRequest,
  GoneSession,
  WaitingTask,
} from "../../scheduler/src/store/store.ts";
import type { TestDatabase } from "../support/database/postgres.ts";
import type { Random } from "../support/random.ts";
import {
  commitRequest,
  decideLost,
  expireLease,
  failed,
  LONG_MS,
  newTask,
  SUCCEEDED,
  sessionOpen,
} from "./fixture.ts";

interface ModelSession {
  readonly id: number;
  readonly uuid: string;
  readonly workerId: string;
  readonly store: Store;
}

interface ModelTask {
  /** Assignments that were handed out, by epoch. */
  readonly handedOut: Map<number, number>;
  /** Ends of attempts that the store said it applied, by epoch. */
  readonly applied: Map<number, string[]>;
}

const OPERATIONS = {
  submit: 5,
  claim: 10,
  touch: 6,
  commit: 12,
  commitStale: 4,
  cancel: 2,
  retry: 3,
  wake: 3,
  open: 1,
  reconnect: 2,
  disconnect: 1,
  end: 1,
  reap: 2,
} as const;

/** More attempts than a task has in a run. */
const OUT_OF_REACH = 1_000;

/** The answers that the clients of a store got, to be compared with its contents. */
export class StoreModel {
  readonly tasks = new Map<number, ModelTask>();
  readonly counts = new Map<string, number>();
  readonly #db: TestDatabase;
  readonly #stores: readonly Store[];
  readonly #classIds: readonly number[];
  /** Those of them whose tasks have concurrency keys. */
  readonly #keyed: ReadonlySet<number>;
  readonly #accepted = new Set<number>();
  readonly #sessions: ModelSession[] = [];
  /** Attempts as clients know them, current or not: reports of old ones keep coming. */
  readonly #known: ClaimedAttempt[] = [];

  constructor(
    db: TestDatabase,
    stores: readonly Store[],
    classIds: readonly number[],
    keyed: readonly number[] = [],
  ) {
    this.#db = db;
    this.#stores = stores;
    this.#classIds = classIds;
    this.#keyed = new Set(keyed);
  }

  /** One random operation of a client. */
  async step(random: Random): Promise<void> {
    const operation = random.weighted(OPERATIONS);
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1);
    const store = random.pick(this.#stores);
    assert.ok(store);
    await this.#operations[operation](random, store);
  }

  /** Ends everything that is open, as healthy workers would. */
  async drain(): Promise<void> {
    const [store] = this.#stores;
    assert.ok(store);
    await this.#db.query("update session_lease set lease_until = now() - interval '1 hour'");
    this.#gone(
      await store.reapSessions(
        { asOf: await store.databaseTime(), graceMs: 0, heldBy: undefined },
        10_000,
        decideLost,
      ),
    );
    const sessionId = (await this.#open(store)).id;
    for (;;) {
      await this.#db.query("update task set wake_time = null");
      const waiting = await store.waitingTasks(this.#classIds, 100);
      if (waiting.length === 0) return;
      const claimed = await this.#claim(store, waiting, sessionId);
      for (const attempt of claimed) this.#handOut(attempt.taskId, attempt.epoch);
      await this.#commit(store, claimed, () => SUCCEEDED);
    }
  }

  readonly #operations: Readonly<
    Record<keyof typeof OPERATIONS, (random: Random, store: Store) => Promise<void>>
  > = {
    submit: async (random, store) => {
      const inserts = Array.from({ length: random.int(1, 6) }, () => {
        const keyed = random.chance(0.3);
        const delayed = random.chance(0.2);
        const classId = random.pick(this.#classIds) ?? 0;
        const waits = keyed || delayed || this.#keyed.has(classId);
        return {
          classId,
          assignTo: !waits && random.chance(0.4) ? random.pick(this.#sessions)?.id : undefined,
          task: newTask({
            priority: random.int(-1, 1),
            uniqueKey: keyed ? `key ${random.int(1, 30)}` : undefined,
            delayMs: delayed ? random.int(1, 50) : undefined,
            options: {
              retry: { maxRetries: 2, maxOutOfMemory: 1, backoff: { kind: "fixed", delaysMs: [0, 5] } },
            },
          }),
        };
      });
      const inserted = await store.insertTasks(inserts);
      inserted.forEach(({ id, duplicate, assigned }, n) => {
        if (duplicate) {
          assert.ok(inserts[n]?.task.uniqueKey !== undefined, "only a key makes a duplicate");
          return;
        }
        assert.ok(!this.#accepted.has(id), `task ${id} was accepted twice`);
        this.#accepted.add(id);
        this.#task(id);
        if (assigned) this.#handOut(id, 1);
      });
    },
    claim: async (random, store) => {
      const session = random.pick(this.#sessions);
      if (!session) return;
      const waiting = await store.waitingTasks(this.#classIds, random.int(1, 8));
      const wanted = waiting.filter(() => random.chance(0.8));
      const claimed = await this.#claim(store, wanted, session.id);
      for (const attempt of claimed) this.#handOut(attempt.taskId, attempt.epoch);
      this.#known.push(...claimed);
    },
    touch: async (random, store) => {
      const touches = this.#some(random).map(({ taskId, epoch }) => ({
        key: { taskId, epoch },
        acceptAgeMs: random.chance(0.7) ? 1 : undefined,
        startAgeMs: undefined,
        phase: random.pick(["", "model_load", "inference"]),
        phaseAgeMs: 0,
        progress: random.chance(0.5) ? { fraction: random.next(), message: "on it" } : undefined,
      }));
      const byTask = new Map(touches.map((touch) => [touch.key.taskId, touch]));
      if (byTask.size > 0) await store.touch([...byTask.values()]);
    },
    commit: async (random, store) => {
      const batch = new Map(this.#some(random).map((attempt) => [attempt.taskId, attempt]));
      await this.#commit(store, [...batch.values()], () => randomOutcome(random));
    },
    commitStale: async (random, store) => {
      const attempt = random.pick(this.#known);
      if (!attempt) return;
      // Never a number that a claim reaches meanwhile: the decision counts this attempt's retries, not that one's.
      const epoch = random.chance(0.5) ? attempt.epoch + OUT_OF_REACH : Math.max(0, attempt.epoch - 1);
      const [result] = await store.commitResults([
        commitRequest({ ...attempt, epoch }, randomOutcome(random)),
      ]);
      assert.equal(result?.applied, false, `attempt ${epoch} of task ${attempt.taskId} is not current`);
    },
    cancel: async (random, store) => {
      const id = random.pick([...this.tasks.keys()]);
      if (id !== undefined) assert.ok(await store.cancelTask(id, "model"), `task ${id} is known`);
    },
    retry: async (random, store) => {
      const id = random.pick([...this.tasks.keys()]);
      if (id !== undefined) await store.retryTask(id);
    },
    wake: async (_random, store) => {
      await store.wakeDue(20);
      await store.failOverdue(20);
    },
    open: async (_random, store) => {
      await this.#open(store);
    },
    reconnect: async (random, store) => {
      const session = random.pick(this.#sessions);
      if (!session) return;
      const [opened] = await store.openSessions([sessionOpen(session.workerId, session.uuid)], "m", LONG_MS);
      assert.equal(opened?.sessionId, session.id);
    },
    disconnect: async (random, store) => {
      const session = random.pick(this.#sessions);
      if (session) await store.disconnect(session.id, "m");
    },
    end: async (random, store) => {
      const session = random.pick(this.#sessions);
      if (!session) return;
      const end = { sessionId: session.id, reason: "finished", fatal: undefined };
      this.#gone(
        await store.endSessions(
          [end],
          (row) => commitRequest(row, { kind: "released", reason: "finished" }).decision,
        ),
      );
    },
    reap: async (random, store) => {
      const session = random.pick(this.#sessions);
      if (session && random.chance(0.7)) await expireLease(this.#db, session.id, 60_000);
      this.#gone(
        await store.reapSessions(
          { asOf: await store.databaseTime(), graceMs: 10_000, heldBy: undefined },
          random.int(1, 5),
          decideLost,
        ),
      );
    },
  };

  async #open(store: Store): Promise<ModelSession> {
    const [uuid, workerId] = [randomUUID(), `m-${randomUUID().slice(0, 8)}`];
    const [opened] = await store.openSessions([sessionOpen(workerId, uuid)], "m", LONG_MS);
    assert.ok(opened);
    const session = { id: opened.sessionId, uuid, workerId, store };
    this.#sessions.push(session);
    return session;
  }

  async #claim(
    store: Store,
    waiting: readonly WaitingTask[],
    sessionId: number,
  ): Promise<readonly ClaimedAttempt[]> {
    const wanted = (keyed: boolean) =>
      waiting.flatMap(({ id, classId }) =>
        this.#keyed.has(classId) === keyed ? [{ taskId: id, sessionId }] : [],
      );
    const { claimed } = await store.claimKeyed(wanted(true));
    return [...claimed, ...(await store.claim(wanted(false)))];
  }

  #some(random: Random): ClaimedAttempt[] {
    const newest = this.#known.slice(-60);
    return Array.from({ length: random.int(1, 5) }, () => random.pick(newest)).filter(
      (attempt): attempt is ClaimedAttempt => attempt !== undefined,
    );
  }

  async #commit(store: Store, attempts: readonly ClaimedAttempt[], outcome: () => Outcome): Promise<void> {
    if (attempts.length === 0) return;
    const requests = attempts.map((attempt) => commitRequest(attempt, outcome()));
    const results = await store.commitResults(requests);
    results.forEach(({ applied }, n) => {
      const request = requests[n];
      if (!applied || !request) return;
      this.#apply(request.key.taskId, request.key.epoch, stateAfter(request));
    });
  }

  #gone(sessions: readonly GoneSession[]): void {
    for (const { endedAttempts } of sessions) {
      for (const { row, decision } of endedAttempts) {
        this.#apply(row.taskId, row.epoch, stateAfter({ decision }));
      }
    }
  }

  #handOut(taskId: number, epoch: number): void {
    const { handedOut } = this.#task(taskId);
    handedOut.set(epoch, (handedOut.get(epoch) ?? 0) + 1);
  }

  #apply(taskId: number, epoch: number, state: string): void {
    const { applied } = this.#task(taskId);
    applied.set(epoch, [...(applied.get(epoch) ?? []), state]);
  }

  /** A claim or a cancellation may be answered before the submit that made the task. */
  #task(taskId: number): ModelTask {
    const task = this.tasks.get(taskId) ?? { handedOut: new Map(), applied: new Map() };
    this.tasks.set(taskId, task);
    return task;
  }
}

function stateAfter({ decision }: Pick<CommitRequest, "decision">): string {
  return decision.kind === "finish" ? decision.state : "queued";
}

function randomOutcome(random: Random): Outcome {
  switch (random.weighted({ succeeded: 4, retryable: 4, final: 1, memory: 1, released: 2, cancelled: 1 })) {
    case "succeeded":
      return SUCCEEDED;
    case "retryable":
      return failed();
    case "final":
      return failed("non_retryable");
    case "memory":
      return failed("out_of_memory");
    case "released":
      return { kind: "released", reason: "drain" };
    case "cancelled":
      return { kind: "cancelled", message: "" };
  }
}
