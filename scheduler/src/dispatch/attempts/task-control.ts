/** Carries out what operators ask for tasks, wherever their attempts are, and what other schedulers ask of workers here. */
import type { Clock } from "../../clock.ts";
import {
  notEditable,
  retryDependencyFailed,
  retryHeld,
  retryKeyHeld,
  retryWaitsForTasks,
  stepNotFailed,
} from "../../domain/refusals.ts";
import type { FieldChange, TaskEdit } from "../../domain/tasks/edit.ts";
import type { Command, RetryWish, SchedulerStore, SessionStore, TaskStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Admission } from "../admission/admission.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { Peers } from "../claiming/peers.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Waits } from "../matching/wait-times.ts";
import type { ResourceRequester } from "../resources/resource-requester.ts";
import type { Registry } from "../sessions/registry.ts";
import type { StackReader } from "../sessions/workers/stack-reader.ts";
import { type AttemptCommand, AttemptCommands, toAttemptCommand } from "./attempt-commands.ts";
import type { Revocations } from "./revocations.ts";
import type { WorkerReportHandler } from "./worker-report-handler.ts";
import type { AttemptTraces } from "./writers/attempt-traces.ts";

/** Cancels, retries, holds and releases tasks, wherever they are, and drains workers. */
export class TaskControl {
  readonly #parts: TaskControlParts;
  readonly #cancellations: AttemptCommands;

  constructor(parts: TaskControlParts) {
    this.#parts = parts;
    this.#cancellations = new AttemptCommands(parts.clock, (command) => this.#cancel(command));
  }

  /** Ends a queued task, or asks the worker of an active one to stop; undefined when there is none. */
  async cancel(taskId: number, reason: string): Promise<"cancelled" | "asked" | "ended" | undefined> {
    const { store, signals, reportHandler, classes } = this.#parts;
    const result = await store.cancelTask(taskId, reason);
    if (result?.outcome === "cancelled") {
      await classes.load([result.classId]);
      this.cancelledInQueue({ id: taskId, classId: result.classId });
    }
    if (
      result?.outcome === "asked" &&
      !reportHandler.requestCancel(result.sessionId, result.attempt, reason)
    ) {
      await this.#command(result.sessionId, "cancel", {
        task_id: String(taskId),
        epoch: String(result.attempt.epoch),
        reason,
      });
    }
    signals.changed(taskId);
    return result?.outcome;
  }

  /** A task was cancelled while it waited. */
  cancelledInQueue({ id, classId }: { readonly id: number; readonly classId: number }): void {
    const { admission, counters, dispatcher, signals, traces } = this.#parts;
    dispatcher.waitsEnded([classId]);
    admission.endWaits([id], "cancelled_in_queue");
    counters.finished(classId, "cancelled");
    traces.endedInQueue([id]);
    signals.changed(id);
  }

  /**
   * Queues an ended task, or one that waits for its time, to run now or when the tasks that it waits for have ended;
   * undefined when there is none.
   *
   * @throws Refusal `STEP_NOT_FAILED` when the step that alone is to run again has not failed, `UNIQUE_KEY_HELD` when another task holds its unique key, `DEPENDENCY_FAILED` when a task whose
   *   success it waits for has ended otherwise, `TASK_NOT_RETRYABLE` when it waits for tasks, `TASK_HELD` when it is held.
   */
  async retry(taskId: number, wish: RetryWish = {}): Promise<"queued" | "active" | undefined> {
    const { store, dispatcher, peers, signals, counters } = this.#parts;
    const result = await store.retryTask(taskId, wish);
    if (result?.outcome === "key_held") {
      counters.keyConflicts.refused++;
      throw retryKeyHeld(taskId, result);
    }
    if (result?.outcome === "dependency_failed") throw retryDependencyFailed(taskId, result);
    if (result?.outcome === "waits_for_tasks") throw retryWaitsForTasks(taskId);
    if (result?.outcome === "held") throw retryHeld(taskId);
    if (result?.outcome === "step_not_failed") throw stepNotFailed(taskId, wish.step ?? "", result.state);
    if (result?.outcome === "queued") {
      dispatcher.lookAgain([result.task.classId]);
      peers.hintWork([result.task.classId]);
      signals.changed(taskId);
    }
    return result?.outcome;
  }

  /**
   * Changes a task that has not ended; undefined when there is none.
   *
   * @returns What changed; nothing when the task was so before.
   * @throws Refusal `TASK_ALREADY_ENDED` or `TASK_NOT_EDITABLE`
   */
  async edit(taskId: number, edit: TaskEdit, reason: string): Promise<readonly FieldChange[] | undefined> {
    const { store, admission, classes, counters, dispatcher, peers, signals, waits, onScheduled } =
      this.#parts;
    const result = await store.editTask(taskId, edit, reason);
    if (result === undefined) return undefined;
    if (result.outcome === "unchanged") return [];
    if (result.outcome === "refused") throw notEditable(taskId, result.why);
    const { task, classBefore, attempt, startsIn } = result;
    counters.edits++;
    if (!attempt) {
      const classIds = [...new Set([classBefore, task.classId])];
      await classes.load(classIds);
      if (classIds.length > 1) admission.endWaits([taskId], "changed_in_queue");
      dispatcher.reorder(classIds);
      if (classIds.length > 1) dispatcher.waitsEnded([classBefore]);
      peers.hintOrder(classIds);
    }
    if (startsIn === 0) {
      waits.woken(taskId);
      dispatcher.enqueue(task);
      peers.hintWork([task.classId]);
    } else if (startsIn !== undefined) {
      dispatcher.waitsEnded([task.classId]);
      onScheduled(startsIn);
    }
    signals.changed(taskId);
    return result.changes;
  }

  /** Keeps a queued task from starting until it is released; undefined when there is none. */
  async hold(taskId: number, reason: string): Promise<"held" | "active" | "ended" | undefined> {
    const { store, admission, classes, counters, dispatcher, signals } = this.#parts;
    const result = await store.holdTask(taskId, reason);
    if (result?.outcome === "held_before") return "held";
    if (result?.outcome === "held") {
      counters.holds.held++;
      await classes.load([result.classId]);
      // It is not ready any more. A claim of it that is under way finds that by itself.
      admission.endWaits([taskId], "held_in_queue");
      dispatcher.waitsEnded([result.classId]);
      signals.changed(taskId);
    }
    return result?.outcome;
  }

  /** Ends the hold of a task; undefined when there is none. */
  async release(taskId: number, reason: string): Promise<"released" | "not_held" | "ended" | undefined> {
    const { store, counters, dispatcher, peers, signals, waits, onScheduled } = this.#parts;
    const result = await store.releaseTask(taskId, reason);
    if (result?.outcome !== "released") return result?.outcome;
    const { task, waitsForTasks, waitMs } = result;
    counters.holds.released++;
    if (waitMs !== undefined) onScheduled(waitMs);
    else if (!waitsForTasks) {
      waits.woken(taskId);
      dispatcher.enqueue(task);
      peers.hintWork([task.classId]);
    }
    signals.changed(taskId);
    return "released";
  }

  /** Asks a worker to finish what it holds and end. */
  async drain(sessionId: number, reason: string, deadlineMs: number | undefined): Promise<void> {
    const session = this.#parts.registry.byId(sessionId);
    if (session?.link) {
      session.orderDrain();
      session.link.drain(reason, deadlineMs);
      return;
    }
    const deadline = deadlineMs === undefined ? {} : { deadline_ms: String(deadlineMs) };
    await this.#command(sessionId, "drain", { reason, ...deadline });
  }

  /** Carries out what other schedulers ask of workers whose streams are here. */
  async runCommands(schedulerId: string, superseded: (sessionId: number) => void): Promise<void> {
    const commands = await this.#parts.store.takeCommands(schedulerId);
    this.retryCommands();
    for (const command of commands) this.#run(command, superseded);
  }

  /** Tries the commands again that came before the attempts that they are for. */
  retryCommands(): void {
    this.#parts.revocations.tryAgain();
    this.#cancellations.tryAgain();
  }

  /** False while the session does not have the attempt, or a later one of the task. */
  #cancel({ sessionId, key, reason }: AttemptCommand): boolean {
    const { reportHandler, registry } = this.#parts;
    if (reportHandler.requestCancel(sessionId, key, reason)) return true;
    const session = registry.byId(sessionId);
    const epoch = session?.attempts.get(key.taskId)?.epoch;
    return session === undefined || (epoch !== undefined && epoch >= key.epoch);
  }

  #run({ sessionId, kind, body }: Command, superseded: (sessionId: number) => void): void {
    const { registry, resources, revocations, stacks, log } = this.#parts;
    switch (kind) {
      case "cancel":
        this.#cancellations.run(toAttemptCommand({ sessionId, body }));
        return;
      case "drain": {
        const deadlineMs = body.deadline_ms === undefined ? undefined : Number(body.deadline_ms);
        const session = registry.byId(sessionId);
        session?.orderDrain();
        session?.link?.drain(body.reason ?? "", deadlineMs);
        return;
      }
      case "revoke":
        revocations.carryOut({ sessionId, body });
        return;
      case "prepare":
        resources.requestResource(sessionId, body.resource ?? "", Number(body.waiting ?? "0"));
        return;
      case "stack":
        void stacks.answerOther(sessionId, body);
        return;
      case "stack_answer":
        stacks.otherAnswered(sessionId, body);
        return;
      case "supersede":
        superseded(sessionId);
        return;
      default:
        // From a scheduler of a later version, during a rolling upgrade.
        log.warn("command.unknown", { session_id: sessionId, kind: kind satisfies never });
    }
  }

  async #command(
    sessionId: number,
    kind: "cancel" | "drain",
    body: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { store } = this.#parts;
    const holder = (await store.leaseHolders([sessionId])).get(sessionId);
    // A worker without a lease is about to be given up, and what was asked is kept with the task.
    if (holder !== undefined) await store.sendCommand(holder, { sessionId, kind, body });
  }
}

/** What the control works with. */
export interface TaskControlParts {
  readonly store: Pick<TaskStore, "cancelTask" | "editTask" | "holdTask" | "releaseTask" | "retryTask"> &
    Pick<SessionStore, "leaseHolders"> &
    Pick<SchedulerStore, "sendCommand" | "takeCommands">;
  readonly admission: Pick<Admission, "endWaits">;
  readonly classes: ClassIndex;
  readonly registry: Registry;
  readonly reportHandler: WorkerReportHandler;
  readonly dispatcher: Dispatcher;
  readonly peers: Peers;
  readonly signals: TaskSignals;
  readonly counters: Counters;
  readonly resources: ResourceRequester;
  readonly revocations: Pick<Revocations, "carryOut" | "tryAgain">;
  readonly stacks: Pick<StackReader, "answerOther" | "otherAnswered">;
  readonly traces: AttemptTraces;
  readonly waits: Pick<Waits, "woken">;
  /** Called with the wait of a task that may not start at once, milliseconds. */
  readonly onScheduled: (delayMs: number) => void;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
}
