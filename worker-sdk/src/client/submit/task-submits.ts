/** Submits tasks: which submits share a call, which wait for room, which payloads are encoded. */
import { Code } from "@connectrpc/connect";
import { whileFull } from "@muster/common/while-full";
import type { SubmittedTask, TaskSpec } from "@muster/protocol";
import { sleep, systemClock } from "../../clock.ts";
import { checkSeconds } from "../../options/option-checks.ts";
import { isTracing } from "../../tracing/provider.ts";
import { type CallLimits, limited, MAX_TIMEOUT_S } from "../connection/call-limits.ts";
import type { SubmitCallOptions } from "../connection/call-options.ts";
import { noAnswer } from "../connection/unreachable.ts";
import { MusterError } from "../errors.ts";
import type { ClientPayloads } from "./client-payloads.ts";
import { SubmitQueue } from "./submit-queue.ts";
import type { Submitter } from "./submitter.ts";

export interface TaskSubmitsParts {
  readonly submitter: Submitter;
  /** Undefined without the option `payloads`. */
  readonly payloads: ClientPayloads | undefined;
  /** Addresses in use, for errors. */
  readonly addresses: readonly string[];
}

/** The submits of a client. */
export class TaskSubmits {
  readonly #parts: TaskSubmitsParts;
  readonly #queue = new SubmitQueue((tasks, timeoutMs) =>
    this.#submit(tasks, { timeoutMs, signal: undefined }),
  );

  constructor(parts: TaskSubmitsParts) {
    this.#parts = parts;
  }

  /** Submits a task with a call that others may share. */
  async one(spec: TaskSpec, limits: CallLimits, room: SubmitCallOptions): Promise<SubmittedTask> {
    const { payloads } = this.#parts;
    const submit = () =>
      withRoom(
        // Under a tracer every submit is a span and a call of its own.
        async () => (isTracing() ? (await this.#submit([spec], limits))[0] : this.#queued(spec, limits)),
        room,
      );
    const submitted = payloads
      ? (await payloads.submit([spec], limits.signal, async () => [await submit()]))[0]
      : await submit();
    if (submitted === undefined)
      throw new MusterError(`SubmitTasks: no answer for ${spec.taskType}.`, { code: Code.Internal });
    return submitted;
  }

  /** Submits tasks in one transaction. */
  async many(
    specs: TaskSpec[],
    limits: CallLimits,
    room: SubmitCallOptions,
  ): Promise<readonly SubmittedTask[]> {
    const { payloads } = this.#parts;
    const submit = () => withRoom(() => this.#submit(specs, limits), room);
    return payloads ? await payloads.submit(specs, limits.signal, submit) : await submit();
  }

  /** Submits with a call that other submits may share; timeout and signal stay its own. */
  async #queued(spec: TaskSpec, limits: CallLimits): Promise<SubmittedTask> {
    const givenUp = { yes: limits.signal?.aborted === true };
    const submitted = this.#queue.submit(spec, limits.timeoutMs, givenUp);
    const late = () => noAnswer("SubmitTasks", this.#parts.addresses.join(", "), limits.timeoutMs);
    try {
      return await limited(limits, submitted, late);
    } catch (error) {
      givenUp.yes = true;
      throw error;
    }
  }

  async #submit(tasks: TaskSpec[], limits: CallLimits): Promise<readonly SubmittedTask[]> {
    const submitted = await this.#parts.submitter.submit(tasks, limits);
    if (submitted.length !== tasks.length) {
      throw new MusterError(`SubmitTasks: ${submitted.length} answers for ${tasks.length} tasks.`, {
        code: Code.Internal,
      });
    }
    return submitted;
  }
}

/** `submit`, repeated while the queue is full and its caller waits for room. */
function withRoom<T>(submit: () => Promise<T>, { roomTimeoutS, signal }: SubmitCallOptions): Promise<T> {
  checkSeconds("submit", "roomTimeoutS", roomTimeoutS, MAX_TIMEOUT_S);
  return whileFull(submit, (roomTimeoutS ?? 0) * 1_000, {
    monotonicMs: systemClock.monotonicMs,
    sleep: (ms) => sleep(ms, signal),
  });
}
