/** Gathers the attempts of a type and calls its batch handler. */
import { AsyncResource } from "node:async_hooks";
import { types } from "node:util";
import type { AttemptHost } from "../attempt/attempt-host.ts";
import type { TaskContext } from "../attempt/context.ts";
import type { Deadline } from "../attempt/deadlines.ts";
import { NonRetryableError } from "../errors.ts";
import type { RunTrace } from "../tracing/run-trace.ts";
import type { AnyBatchHandler, CompiledBatch } from "./batch-options.ts";

/** The phase of an attempt that has waited for its batch longer than this: until then it is not worth two events. */
export const BATCH_WAIT = "batch_wait";
const SHOWN_AFTER_MS = 1000;

/** Longest key. */
const MAX_KEY_LENGTH = 1024;

/** What the batches of a type use of the worker. */
export type BatchHost = Pick<AttemptHost, "deadlines"> & { readonly link: Pick<AttemptHost["link"], "send"> };

/** What a batch uses of an attempt. The context of a handler is its attempt. */
interface BatchedAttempt extends TaskContext<never, never, never> {
  readonly id: string;
  /** Its spans; undefined without an OpenTelemetry SDK. */
  readonly trace: Pick<RunTrace, "event"> | undefined;
}

interface Member {
  readonly attempt: BatchedAttempt;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
  /** Ends the phase `batch_wait`; unset while that has not begun. */
  endWait: (() => void) | undefined;
}

/** Attempts that wait for one call. */
interface Gathering {
  readonly key: string;
  readonly members: Member[];
  /** It waits no longer for further attempts, only for its turn. */
  due: boolean;
  wait: Deadline | undefined;
  show: Deadline | undefined;
  shown: boolean;
}

/**
 * The batches of one type. `join` is the handler of each attempt: slots, leases, cancellation, results and spans are those of
 * an attempt without a batch.
 */
export class Batches {
  readonly #type: string;
  readonly #options: CompiledBatch;
  readonly #handler: AnyBatchHandler;
  /** Every call starts in this context, not in that of the attempt that happened to fill the batch. */
  readonly #outside = new AsyncResource("MusterBatch");
  /** In the order of their first attempts. */
  readonly #gatherings: Gathering[] = [];
  #host: BatchHost | undefined;
  #calls = 0;
  #draining = false;

  constructor(type: string, options: CompiledBatch, handler: AnyBatchHandler) {
    this.#type = type;
    this.#options = options;
    this.#handler = handler;
  }

  /** The worker starts; or another run of it without a scheduler does, after the one before has drained. */
  open(host: BatchHost): void {
    this.#host = host;
    this.#draining = false;
  }

  /** No further attempts will come: nothing waits for them. */
  drain(): void {
    this.#draining = true;
    for (const gathering of this.#gatherings) gathering.due = true;
    this.#callDue();
  }

  /** Attempts that wait for their call. */
  get waitingCount(): number {
    return this.#gatherings.reduce((sum, { members }) => sum + members.length, 0);
  }

  /** Runs an attempt in a batch: its outcome is the entry of the handler's array. */
  readonly join = (ctx: TaskContext<never, never, never>): Promise<unknown> => {
    const attempt = ctx as BatchedAttempt;
    return new Promise((resolve, reject) => {
      const { signal } = attempt;
      signal.throwIfAborted();
      const gathering = this.#gatheringFor(this.#keyOf(attempt));
      const onAbort = (): void => this.#leave(gathering, member, signal.reason);
      const member: Member = { attempt, resolve, reject, onAbort, endWait: undefined };
      signal.addEventListener("abort", onAbort, { once: true });
      gathering.members.push(member);
      if (gathering.shown) this.#showWait(member);
      if (gathering.members.length >= this.#options.size) gathering.due = true;
      this.#callDue();
    });
  };

  #keyOf(attempt: BatchedAttempt): string {
    if (this.#options.retryAlone && attempt.attempt.number > 1) return `\0${attempt.id}`;
    const key = this.#options.key?.(attempt) ?? "";
    if (typeof key === "string" && key.length <= MAX_KEY_LENGTH) return key;
    const what = typeof key === "string" ? `${key.length} characters` : `a ${typeof key}`;
    throw new NonRetryableError(
      `batch.key of ${this.#type} returned ${what}; a key is a text of at most ${MAX_KEY_LENGTH} characters.`,
      { code: "BATCH_KEY_INVALID" },
    );
  }

  #gatheringFor(key: string): Gathering {
    const open = this.#gatherings.find(
      (each) => each.key === key && each.members.length < this.#options.size,
    );
    if (open !== undefined) return open;
    const { waitMs } = this.#options;
    const alone = key.startsWith("\0");
    const gathering: Gathering = {
      key,
      members: [],
      due: this.#draining || alone || waitMs === 0,
      wait: undefined,
      show: undefined,
      shown: false,
    };
    const deadlines = this.#host?.deadlines;
    if (!gathering.due)
      gathering.wait = deadlines?.add(waitMs, () => {
        gathering.due = true;
        this.#callDue();
      });
    gathering.show = deadlines?.add(SHOWN_AFTER_MS, () => {
      gathering.shown = true;
      for (const member of gathering.members) this.#showWait(member);
    });
    this.#gatherings.push(gathering);
    return gathering;
  }

  #showWait(member: Member): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    member.endWait = resolve;
    void member.attempt.phase(BATCH_WAIT, () => promise, {
      context: { batch_size: String(this.#options.size) },
      warnAfterS: 0,
    });
  }

  /** An attempt was asked to stop before its call: the others go on without it. */
  #leave(gathering: Gathering, member: Member, reason: unknown): void {
    const index = gathering.members.indexOf(member);
    if (index < 0) return;
    gathering.members.splice(index, 1);
    member.endWait?.();
    if (gathering.members.length === 0) this.#remove(gathering);
    member.reject(reason);
  }

  #remove(gathering: Gathering): void {
    this.#host?.deadlines.remove(gathering.wait);
    this.#host?.deadlines.remove(gathering.show);
    const index = this.#gatherings.indexOf(gathering);
    if (index >= 0) this.#gatherings.splice(index, 1);
  }

  #callDue(): void {
    while (this.#calls < this.#options.parallel) {
      const gathering = this.#gatherings.find(({ due }) => due);
      if (gathering === undefined) return;
      this.#remove(gathering);
      this.#calls += 1;
      const { members } = gathering;
      this.#outside.runInAsyncScope(() => void this.#call(members));
    }
  }

  async #call(members: readonly Member[]): Promise<void> {
    const size = members.length;
    for (const { attempt, onAbort, endWait } of members) {
      attempt.signal.removeEventListener("abort", onAbort);
      endWait?.();
      attempt.trace?.event("batch_started", { size });
    }
    this.#host?.link.send({ kind: "batch", type: this.#type, size });
    try {
      const outcomes: unknown = await this.#handler(members.map(({ attempt }) => attempt));
      if (!Array.isArray(outcomes) || outcomes.length !== size) throw this.#mismatch(outcomes, size);
      for (const [index, { resolve, reject }] of members.entries()) {
        const outcome: unknown = outcomes[index];
        if (types.isNativeError(outcome) || outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      }
    } catch (error) {
      for (const { reject } of members) reject(error);
    } finally {
      this.#calls -= 1;
      this.#callDue();
    }
  }

  #mismatch(outcomes: unknown, size: number): NonRetryableError {
    const [count, kind] = [Array.isArray(outcomes) && outcomes.length, typeof outcomes];
    const what =
      count === false ? (kind === "undefined" ? "nothing" : `no array (${kind})`) : `${count} outcomes`;
    return new NonRetryableError(
      `The batch handler of ${this.#type} returned ${what} for ${size} attempts; return an array with one entry for each.`,
      { code: "BATCH_OUTCOMES_INVALID" },
    );
  }
}
