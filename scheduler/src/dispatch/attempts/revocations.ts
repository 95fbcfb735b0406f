/** Takes tasks from their workers on request, wherever the stream of the worker is. */
import type { Clock } from "../../clock.ts";
import { type AttemptKey, formatAttemptId, formatTaskId } from "../../domain/ids.ts";
import { notRevocable, taskEnded } from "../../domain/refusals.ts";
import type { Command, TaskStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Admission } from "../admission/admission.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { Registry } from "../sessions/registry.ts";
import { type AttemptCommand, AttemptCommands, toAttemptCommand } from "./attempt-commands.ts";
import type { ResultCommitter } from "./result-committer.ts";
import type { RetryPolicies } from "./retry-policies.ts";
import type { AttemptTraces } from "./writers/attempt-traces.ts";
import type { EventWriter } from "./writers/event-writer.ts";

/** An attempt that was taken from its worker. */
export interface Revoked {
  readonly key: AttemptKey;
  readonly workerId: string;
}

/**
 * The store ends the attempt first, so the task is free whether its worker, or the scheduler that holds the stream, answers or
 * not. Then the session lets go of it: its slot stays occupied until the worker no longer lists it.
 */
export class Revocations {
  readonly #parts: RevocationsParts;
  readonly #commands: AttemptCommands;

  constructor(parts: RevocationsParts) {
    this.#parts = parts;
    this.#commands = new AttemptCommands(parts.clock, (command) => this.#takeBack(command));
  }

  /**
   * Takes a task from its worker; undefined when there is no such task.
   *
   * @param delayMs Least wait before its next attempt, milliseconds.
   * @throws Refusal `TASK_NOT_REVOCABLE` or `TASK_ALREADY_ENDED`
   */
  async revoke(taskId: number, reason: string, delayMs: number): Promise<Revoked | undefined> {
    const { store, committer, eventWriter, log, registry, retryPolicies, signals, traces } = this.#parts;
    const { schedulerId } = this.#parts;
    // What the attempt did is recorded before its end.
    await eventWriter.flush();
    const result = await store.revokeTask(taskId, { reason, schedulerId }, (attempt) =>
      retryPolicies.decide(attempt, { kind: "released", reason: "revoked", delayMs }),
    );
    if (result === undefined) return undefined;
    if (result.outcome === "waits") throw notRevocable(formatTaskId(taskId));
    if (result.outcome === "ended") throw taskEnded(formatTaskId(taskId));
    const { attempt, decision, workerId } = result;
    const { epoch, sessionId } = attempt;
    const key = { taskId, epoch };
    log.info("task.revoked", { worker_id: workerId, attempt_id: formatAttemptId(key), reason });
    const held = registry.byId(sessionId)?.attempts.get(taskId);
    committer.afterCommit(attempt, decision, sessionId, workerId);
    this.#commands.run({ sessionId, key, reason });
    traces.ended(attempt, held?.epoch === epoch ? held.assigned : undefined, undefined);
    signals.changed(taskId);
    return { key, workerId };
  }

  /** Another scheduler has taken a task from a worker whose stream is here. */
  carryOut(command: Pick<Command, "body" | "sessionId">): void {
    this.#commands.run(toAttemptCommand(command));
  }

  /** Tries again what came before its attempt. */
  tryAgain(): void {
    this.#commands.tryAgain();
  }

  /** False while the session has no such attempt, or is not here. */
  #takeBack({ sessionId, key, reason }: AttemptCommand): boolean {
    const { admission, clock, registry } = this.#parts;
    const session = registry.byId(sessionId);
    const attempt = session?.attempts.get(key.taskId);
    if (session === undefined || attempt === undefined || attempt.epoch < key.epoch) return false;
    const now = clock.monotonic();
    const lingering = { key, since: now, reason: "an operator revoked it" };
    if (attempt.epoch > key.epoch) {
      session.linger({ ...lingering, type: "", cost: undefined });
    } else if (attempt.isOpen) {
      const { type, cost } = attempt;
      session.release(attempt, now);
      admission.release(attempt, "stale");
      session.linger({ ...lingering, type, cost });
    } else {
      // Its end is being written, and the store finds that it is no longer current.
      return true;
    }
    session.link?.revoke(key, reason);
    return true;
  }
}

export interface RevocationsParts {
  readonly store: Pick<TaskStore, "revokeTask">;
  readonly admission: Pick<Admission, "release">;
  readonly committer: Pick<ResultCommitter, "afterCommit">;
  readonly eventWriter: Pick<EventWriter, "flush">;
  readonly registry: Pick<Registry, "byId">;
  readonly retryPolicies: Pick<RetryPolicies, "decide">;
  readonly signals: Pick<TaskSignals, "changed">;
  readonly traces: Pick<AttemptTraces, "ended">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  readonly schedulerId: string;
}
