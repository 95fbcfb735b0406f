/** Asks workers where their handlers are, at whichever scheduler their streams are. */
import { randomUUID } from "node:crypto";
import type { Clock } from "../../../clock.ts";
import { Refusal } from "../../../domain/errors.ts";
import {
  stackNotAnswered,
  stacksNotSupported,
  stacksRefused,
  workerNotConnected,
} from "../../../domain/workers/stack-refusals.ts";
import type { WorkerRecord } from "../../../domain/workers/worker.ts";
import type { SchedulerStore, SessionStore } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { Registry } from "../registry.ts";
import type { Session } from "../session.ts";

/** Feature of a worker that answers. */
const STACKS = "stacks";

/** Requests under way at one scheduler, its own and those of others. */
const MAX_PENDING = 100;

/** What a worker has answered: an encoded WorkerStack, or why there is none. */
export type StackAnswer = { readonly stack: Uint8Array } | { readonly error: string };

interface Pending {
  readonly sessionId: number;
  readonly answer: (answer: StackAnswer) => void;
}

/** Keeps nothing but the requests that are under way. */
export class StackReader {
  readonly #parts: StackReaderParts;
  readonly #pending = new Map<string, Pending>();

  constructor(parts: StackReaderParts) {
    this.#parts = parts;
  }

  /**
   * Asks a worker. @param attemptId Empty for all. @returns An encoded WorkerStack.
   *
   * @throws Refusal `STACKS_NOT_SUPPORTED`, `WORKER_NOT_CONNECTED`, `STACKS_REFUSED`, `TOO_MANY_STACKS` or `STACK_NOT_ANSWERED`.
   */
  async read(worker: WorkerRecord, attemptId: string, timeoutMs: number): Promise<Uint8Array> {
    const { store, registry, schedulerId } = this.#parts;
    if (!worker.hello.features.includes(STACKS)) throw stacksNotSupported(worker);
    const { sessionId } = worker;
    const session = registry.byId(sessionId);
    let answer: StackAnswer | undefined;
    let holder = schedulerId;
    if (session?.link) answer = await this.#ask(session, attemptId, timeoutMs);
    else {
      const other = (await store.leaseHolders([sessionId])).get(sessionId);
      if (other === undefined || other === schedulerId)
        throw workerNotConnected(worker, this.#heartbeatAge(worker));
      holder = other;
      answer = await this.#within(sessionId, timeoutMs, (requestId) =>
        store.sendCommand(other, {
          sessionId,
          kind: "stack",
          body: {
            request_id: requestId,
            scheduler_id: schedulerId,
            attempt_id: attemptId,
            timeout_ms: String(timeoutMs),
          },
        }),
      );
    }
    if (answer === undefined) {
      const heartbeatAgeMs = this.#heartbeatAge(worker);
      throw stackNotAnswered(worker, { attemptId, timeoutMs, holder, heartbeatAgeMs });
    }
    if ("error" in answer) throw stacksRefused(worker, answer.error);
    return answer.stack;
  }

  /** A worker has answered. What was asked of another one, or is over, is ignored, and not converted. */
  answered({ id }: Pick<Session, "id">, requestId: string, answer: () => StackAnswer): void {
    this.#resolve(id, requestId, answer);
  }

  /** Another scheduler asks for a worker whose stream is here. Never rejects. */
  async answerOther(sessionId: number, body: Readonly<Record<string, string>>): Promise<void> {
    const { request_id = "", scheduler_id = "", attempt_id = "", timeout_ms = "" } = body;
    const { store, registry, log } = this.#parts;
    try {
      const session = registry.byId(sessionId);
      const answer = session?.link
        ? await this.#ask(session, attempt_id, Number(timeout_ms))
        : { error: "its stream has moved to another scheduler or ended; ask again" };
      if (answer === undefined) return;
      const said =
        "error" in answer ? { error: answer.error } : { stack: Buffer.from(answer.stack).toString("base64") };
      await store.sendCommand(scheduler_id, {
        sessionId,
        kind: "stack_answer",
        body: { request_id, ...said },
      });
    } catch (error) {
      // The asking scheduler says that there was no answer.
      log.warn("worker.stack_unanswered", {
        session_id: sessionId,
        scheduler_id,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** Another scheduler has the answer of its worker. */
  otherAnswered(
    sessionId: number,
    { request_id = "", stack, error = "" }: Readonly<Record<string, string>>,
  ): void {
    this.#resolve(sessionId, request_id, () =>
      stack === undefined ? { error } : { stack: Buffer.from(stack, "base64") },
    );
  }

  #resolve(sessionId: number, requestId: string, answer: () => StackAnswer): void {
    const pending = this.#pending.get(requestId);
    if (pending?.sessionId !== sessionId) return;
    this.#pending.delete(requestId);
    pending.answer(answer());
  }

  #ask(session: Session, attemptId: string, timeoutMs: number): Promise<StackAnswer | undefined> {
    return this.#within(session.id, timeoutMs, (requestId) =>
      session.link?.requestStack(requestId, attemptId),
    );
  }

  /** Undefined when there was no answer in time. */
  async #within(
    sessionId: number,
    timeoutMs: number,
    send: (requestId: string) => Promise<void> | void,
  ): Promise<StackAnswer | undefined> {
    if (this.#pending.size >= MAX_PENDING)
      throw new Refusal(
        "exhausted",
        "TOO_MANY_STACKS",
        `${MAX_PENDING} requests for stacks are under way at this scheduler, which is the most; ask again when they are answered`,
      );
    const requestId = randomUUID();
    const answered = Promise.withResolvers<StackAnswer | undefined>();
    this.#pending.set(requestId, { sessionId, answer: answered.resolve });
    const cancel = this.#parts.clock.after(timeoutMs, () => answered.resolve(undefined));
    try {
      await send(requestId);
      return await answered.promise;
    } finally {
      cancel();
      this.#pending.delete(requestId);
    }
  }

  /** Since its last heartbeat arrived, milliseconds: exact where its stream is here, else as the database has it. */
  #heartbeatAge({ sessionId, heartbeatTime }: WorkerRecord): number | undefined {
    const { clock, registry } = this.#parts;
    const session = registry.byId(sessionId);
    if (session?.lastBeat) return clock.monotonic() - session.lastBeatAt;
    return heartbeatTime && Math.max(0, clock.now() - heartbeatTime.getTime());
  }
}

export interface StackReaderParts {
  readonly store: Pick<SessionStore, "leaseHolders"> & Pick<SchedulerStore, "sendCommand">;
  readonly registry: Pick<Registry, "byId">;
  readonly clock: Pick<Clock, "after" | "monotonic" | "now">;
  readonly log: Pick<Logger, "warn">;
  readonly schedulerId: string;
}
