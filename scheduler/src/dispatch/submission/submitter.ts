/** Inserts submitted tasks in batches. */
import { Batcher } from "@muster/common/batcher";
import type { Clock } from "../../clock.ts";
import { ClassesGoneError, DatabaseUnavailableError } from "../../domain/errors.ts";
import { batchRefused, predecessorsNotFound, uniqueKeysHeld } from "../../domain/refusals.ts";
import { BatchRefusedError } from "../../domain/tasks/batch.ts";
import {
  type SubmittedAfter,
  UnknownPredecessorsError,
} from "../../domain/tasks/dependencies/dependencies.ts";
import { dependsOnOthers, type EndedWait, type LimitOutcome } from "../../domain/tasks/limits/limit-plan.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import { type KeyConflict, UniqueKeyHeldError } from "../../domain/tasks/unique-keys/key-plan.ts";
import type { ClaimStore, InsertedTask, TaskInsert } from "../../store/store.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { AssignmentSender } from "../claiming/assignment-sender.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { IndeterminateStatements } from "../claiming/indeterminate-statements.ts";
import type { Peers } from "../claiming/peers.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Session } from "../sessions/session.ts";
import type { QueueLimits } from "./queue-limits.ts";
import type { SubmitLog } from "./submit-log.ts";

/** Most payload in one insert: what Postgres takes in well below the statement timeout. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** Charged for a task besides its payload, so that 2,000 small tasks fill a batch. */
const TASK_WEIGHT = 4_096;

/** A call that was refused apart from the others of its batch. */
class RefusedCall {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

interface Call {
  readonly tasks: readonly { readonly task: NewTask; readonly classId: number }[];
  readonly bytes: number;
}

/**
 * Accepts tasks: calls that arrive together are inserted in one statement. A task for which a worker is free is inserted
 * as already assigned to it, which saves the claim and its notification.
 */
export class Submitter {
  readonly #store: Pick<ClaimStore, "insertTasks">;
  readonly #schedulerId: string;
  readonly #limits: Pick<QueueLimits, "admit" | "none">;
  readonly #classes: ClassIndex;
  readonly #dispatcher: Dispatcher;
  readonly #sender: AssignmentSender;
  readonly #indeterminate: IndeterminateStatements;
  readonly #peers: Peers;
  readonly #counters: Counters;
  readonly #log: Pick<SubmitLog, "noteBatch">;
  readonly #clock: Clock;
  readonly #onScheduled: (delayMs: number) => void;
  readonly #onEndedWait: (ended: EndedWait) => void;
  readonly #batcher: Batcher<Call, InsertedTask[] | RefusedCall>;
  /** Calls that tasks of the store decide: by unique keys, concurrency keys that end or order tasks, dependencies. Their transaction is longer, and delays no others. */
  readonly #keyed: Batcher<Call, InsertedTask[] | RefusedCall>;

  /**
   * @param parts.onScheduled Called with the wait of every task that may not start at once.
   * @param parts.onEndedWait Called with every task that a concurrency key ended while it waited.
   */
  constructor(parts: {
    store: Pick<ClaimStore, "insertTasks">;
    schedulerId: string;
    limits: Pick<QueueLimits, "admit" | "none">;
    classes: ClassIndex;
    dispatcher: Dispatcher;
    sender: AssignmentSender;
    indeterminate: IndeterminateStatements;
    peers: Peers;
    counters: Counters;
    log: Pick<SubmitLog, "noteBatch">;
    clock: Clock;
    onScheduled: (delayMs: number) => void;
    onEndedWait: (ended: EndedWait) => void;
  }) {
    this.#store = parts.store;
    this.#schedulerId = parts.schedulerId;
    this.#limits = parts.limits;
    this.#classes = parts.classes;
    this.#dispatcher = parts.dispatcher;
    this.#sender = parts.sender;
    this.#indeterminate = parts.indeterminate;
    this.#peers = parts.peers;
    this.#counters = parts.counters;
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#onScheduled = parts.onScheduled;
    this.#onEndedWait = parts.onEndedWait;
    const batcher = () =>
      new Batcher<Call, InsertedTask[] | RefusedCall>((calls) => this.#flush(calls), {
        maxWeight: MAX_BATCH_BYTES,
        weigh: (call) => call.bytes,
      });
    this.#batcher = batcher();
    this.#keyed = batcher();
  }

  /**
   * Accepts valid tasks, all or none.
   *
   * @throws DatabaseUnavailableError
   * @throws Refusal `UNIQUE_KEY_HELD`, `QUEUE_FULL`, `PREDECESSOR_NOT_FOUND`, `BATCH_CLOSED`, `BATCH_NOT_FOUND`
   */
  async submit(tasks: readonly NewTask[]): Promise<InsertedTask[]> {
    if (this.#limits.none) return this.#submit(tasks);
    const settled = await this.#limits.admit(tasks);
    try {
      return await this.#submit(tasks);
    } finally {
      settled();
    }
  }

  /**
   * Accepts valid tasks by a statement of the caller's, in a transaction that does more than to insert them.
   *
   * @param insert Inserts them, or some: undefined stands for a task that it did not insert.
   * @throws DatabaseUnavailableError
   * @throws Refusal `QUEUE_FULL`
   */
  async submitWithin<R>(
    tasks: readonly NewTask[],
    insert: (
      inserts: readonly TaskInsert[],
    ) => Promise<{ readonly result: R; readonly inserted: readonly (InsertedTask | undefined)[] }>,
  ): Promise<R> {
    const settled = this.#limits.none ? undefined : await this.#limits.admit(tasks);
    try {
      for (;;) {
        const classes = await this.#classes.resolveAll(tasks);
        const inserts = tasks.map((task, index) => ({
          ...{ task, classId: classes[index]?.id ?? 0, assignTo: undefined },
        }));
        try {
          const { result, inserted } = await insert(inserts);
          this.#spread(
            inserts.map((each) => ({ insert: each, session: undefined })),
            inserted,
          );
          return result;
        } catch (error) {
          if (!(error instanceof ClassesGoneError)) throw error;
          this.#forget(error);
        }
      }
    } finally {
      settled?.();
    }
  }

  /** Resolves when every accepted call has been answered. */
  async idle(): Promise<void> {
    await Promise.all([this.#batcher.idle(), this.#keyed.idle()]);
  }

  async #submit(tasks: readonly NewTask[]): Promise<InsertedTask[]> {
    const classes = await this.#classes.resolveAll(tasks);
    let bytes = 0;
    const classed = classes.map((taskClass, index) => {
      const task = tasks[index] as NewTask;
      bytes += task.payload.byteLength + TASK_WEIGHT;
      return { task, classId: taskClass.id };
    });
    const answer = await (tasks.some(dependsOnOthers) ? this.#keyed : this.#batcher).add({
      tasks: classed,
      bytes,
    });
    if (answer instanceof RefusedCall) throw answer.error;
    return answer;
  }

  async #flush(calls: readonly Call[]): Promise<(InsertedTask[] | RefusedCall)[]> {
    const plan = together(calls).map((classed) => this.#assignIfFree(classed));
    let inserted: InsertedTask[];
    try {
      inserted = await this.#indeterminate.watch(
        this.#store.insertTasks(
          plan.map(({ insert }) => insert),
          this.#schedulerId,
        ),
      );
    } catch (error) {
      this.#giveBack(plan, error);
      if (error instanceof ClassesGoneError) return this.#flush(await this.#resolvedAgain(calls, error));
      if (error instanceof UniqueKeyHeldError) return this.#withoutRefused(calls, error.conflicts);
      if (error instanceof UnknownPredecessorsError && calls.length === 1)
        throw predecessorsNotFound(error.unknown);
      if (error instanceof BatchRefusedError && calls.length === 1) throw batchRefused(error);
      if (error instanceof DatabaseUnavailableError || calls.length === 1) throw error;
      // One call's tasks may be what Postgres refuses: they must not take the others down.
      return this.#oneByOne(calls);
    }
    this.#spread(plan, inserted);
    let start = 0;
    return calls.map((call) => {
      const own = inserted.slice(start, start + call.tasks.length);
      start += call.tasks.length;
      return own;
    });
  }

  /** Classes with keys that were not used for long may be deleted: they are resolved again. */
  async #resolvedAgain(calls: readonly Call[], error: ClassesGoneError): Promise<Call[]> {
    const gone = this.#forget(error);
    return Promise.all(
      calls.map(async ({ tasks, bytes }) => {
        if (!tasks.some(({ classId }) => gone.has(classId))) return { tasks, bytes };
        const classes = await this.#classes.resolveAll(tasks.map(({ task }) => task));
        return {
          tasks: tasks.map(({ task, classId }, index) => ({ task, classId: classes[index]?.id ?? classId })),
          bytes,
        };
      }),
    );
  }

  #forget({ classIds }: ClassesGoneError): ReadonlySet<number> {
    const gone = new Set(classIds);
    this.#classes.forget(gone);
    this.#counters.classes.forget(classIds);
    return gone;
  }

  /** Refuses the calls whose keys are held, and inserts the others. */
  async #withoutRefused(
    calls: readonly Call[],
    conflicts: readonly KeyConflict[],
  ): Promise<(InsertedTask[] | RefusedCall)[]> {
    const answers = new Map<Call, InsertedTask[] | RefusedCall>();
    const [others, again]: [Call[], Call[]] = [[], []];
    let start = 0;
    for (const call of calls) {
      const first = start;
      start += call.tasks.length;
      const isOwn = (index: number) => index >= first && index < start;
      const inCall = (index: number) => index - first;
      const own = conflicts
        .filter(({ index }) => isOwn(index))
        .map((each) => ({ ...each, index: inCall(each.index) }));
      const refused = own.flatMap(({ holderIndex, ...conflict }) => {
        if (holderIndex === undefined) return { ...conflict, holderIndex };
        return isOwn(holderIndex) ? { ...conflict, holderIndex: inCall(holderIndex) } : [];
      });
      if (refused.length > 0) {
        this.#counters.keyConflicts.refused += refused.length;
        answers.set(call, new RefusedCall(uniqueKeysHeld(refused)));
      } else (own.length === 0 ? others : again).push(call);
    }
    // The holder of a key may be of another call: it has its id, or is refused itself, when that call is answered.
    for (const part of [others, again]) {
      if (part.length === 0) continue;
      const answered = await this.#flush(part);
      part.forEach((call, index) => {
        answers.set(call, answered[index] ?? []);
      });
    }
    return calls.map((call) => answers.get(call) ?? []);
  }

  async #oneByOne(calls: readonly Call[]): Promise<(InsertedTask[] | RefusedCall)[]> {
    const answers: (InsertedTask[] | RefusedCall)[] = [];
    for (const call of calls) {
      try {
        answers.push(...(await this.#flush([call])));
      } catch (error) {
        answers.push(new RefusedCall(error));
      }
    }
    return answers;
  }

  #assignIfFree({ task, classId }: { task: NewTask; classId: number }): Planned {
    // A key may turn out to be taken, and a task with a time or a dependency must wait: none can be assigned in advance.
    const { uniqueKey, delayMs, runAtMs, after, batchId } = task;
    const direct =
      uniqueKey === undefined &&
      delayMs === undefined &&
      runAtMs === undefined &&
      after === undefined &&
      batchId === undefined;
    const session = direct ? this.#dispatcher.reserveForNew(classId) : undefined;
    return { insert: { task, classId, assignTo: session?.id }, session };
  }

  #giveBack(plan: readonly Planned[], error: unknown): void {
    const touched = new Set<Session>();
    for (const { insert, session } of plan) {
      session?.unreserve(insert.task);
      if (session) touched.add(session);
    }
    if (error instanceof DatabaseUnavailableError && error.outcomeUnknown) {
      this.#indeterminate.add(touched);
      this.#dispatcher.lookAgain(plan.map(({ insert }) => insert.classId));
    }
  }

  /** Concurrency keys ended tasks, or asked them to. */
  #noteLimits({ reached, cancelled, ended }: LimitOutcome): void {
    if (reached) this.#counters.keyPolicyCancels.newest++;
    this.#counters.keyPolicyCancels.running += cancelled.length;
    for (const each of ended) this.#onEndedWait(each);
  }

  #spread(plan: readonly Planned[], inserted: readonly (InsertedTask | undefined)[]): void {
    const direct: Parameters<AssignmentSender["sendAssignments"]>[0][number][] = [];
    const waitingClasses = new Set<number>();
    plan.forEach(({ insert, session }, index) => {
      const { task, classId } = insert;
      const row = inserted[index];
      if (!row) return;
      if (row.conflict) this.#counters.keyConflicts[row.conflict.outcome]++;
      else this.#counters.submitted++;
      if (row.duplicate) {
        this.#counters.duplicates++;
        return;
      }
      if (row.limits) this.#noteLimits(row.limits);
      if (row.limits?.reached) return;
      if (session && !row.assigned) session.unreserve(task);
      if (session && row.assigned) {
        direct.push({ session, attempt: directAttempt(row.id, classId, session, task) });
      } else if (row.waitsForTasks) {
        this.#counters.dependents.held++;
      } else if (task.delayMs !== undefined || task.runAtMs !== undefined) {
        this.#onScheduled(task.delayMs ?? Math.max(0, (task.runAtMs ?? 0) - this.#clock.now()));
      } else {
        waitingClasses.add(classId);
        this.#classes.windows.enqueue({ id: row.id, classId, priority: task.priority });
      }
    });
    this.#noteBatch(plan, inserted);
    this.#sender.sendAssignments(direct);
    if (waitingClasses.size === 0) return;
    this.#dispatcher.pump();
    this.#peers.hintWork([...waitingClasses]);
  }

  /** The log names the first new task of a batch. */
  #noteBatch(plan: readonly Planned[], inserted: readonly (InsertedTask | undefined)[]): void {
    const index = inserted.findIndex((row) => row && !row.duplicate);
    const [row, planned] = [inserted[index], plan[index]];
    if (!row || !planned) return;
    const { type, queue } = planned.insert.task;
    this.#log.noteBatch({ taskId: row.id, type, queue });
  }
}

/** The tasks of all calls. A task that names another one by its position in its call gets the position among all. */
function together(calls: readonly Call[]): Call["tasks"] {
  const tasks: Call["tasks"][number][] = [];
  for (const call of calls) {
    const start = tasks.length;
    for (const classed of call.tasks) {
      const { task, classId } = classed;
      if (start === 0 || task.after === undefined) tasks.push(classed);
      else {
        const shift = (each: SubmittedAfter) =>
          "entry" in each ? { ...each, entry: each.entry + start } : each;
        tasks.push({ task: { ...task, after: task.after.map(shift) }, classId });
      }
    }
  }
  return tasks;
}

interface Planned {
  readonly insert: TaskInsert;
  readonly session: Session | undefined;
}

function directAttempt(taskId: number, classId: number, session: Session, task: NewTask) {
  return {
    taskId,
    epoch: 1,
    classId,
    sessionId: session.id,
    attemptCount: 1,
    outOfMemoryCount: 0,
    requeueCounts: undefined,
    options: task.options,
    cancelReason: undefined,
    accepted: false,
    ageMs: 0,
    payload: task.payload,
    contentType: task.contentType,
    headers: task.headers,
    sinceCreationMs: 0,
  };
}
