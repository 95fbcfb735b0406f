/** Runs children of a task and waits for their results, without the slots of the task. */
import { createHash } from "node:crypto";
import type { ContractParts } from "../../contract/task-contract.ts";
import type { AttemptHost } from "../attempt-host.ts";
import { isBytes, jsonTextOf } from "../json-form.ts";
import type { SlotWait, WaitingAttempt } from "../slots/slot-releases.ts";
import type { ChildOptions } from "./child-options.ts";
import type { Parent } from "./parent.ts";

/** Characters of a type in the name of a child: a key has at most 512 bytes. */
const MAX_TYPE = 128;

/** The attempt whose handler runs children. */
export interface RunningParent extends WaitingAttempt {
  readonly assignment: WaitingAttempt["assignment"] & { readonly taskId: string; readonly queue: string };
  readonly closed: boolean;
}

/** The waits of one attempt; made at the first one. */
export class ChildRuns {
  readonly #attempt: RunningParent;
  readonly #host: Pick<AttemptHost, "children" | "slots">;
  readonly #parent: Parent;
  /** Calls so far that were alike, by type and input. */
  readonly #calls = new Map<string, number>();
  readonly #over = new AbortController();

  constructor(attempt: RunningParent, host: Pick<AttemptHost, "children" | "slots">) {
    this.#attempt = attempt;
    this.#host = host;
    const { taskId, queue } = attempt.assignment;
    this.#parent = { taskId, queue, signal: attempt.signal };
  }

  /** Submits a child, or finds that of an earlier attempt, and waits for its result. */
  async run(task: string | ContractParts, payload: unknown, options: ChildOptions = {}): Promise<unknown> {
    const { children } = this.#host;
    if (children === undefined) throw new Error("ctx.run() needs a scheduler, and this run has none.");
    const named = { ...options, ...this.#nameOf(task, payload, options) };
    const child = await children.start(this.#parent, task, payload, named);
    const signals = [this.#attempt.signal, this.#over.signal, ...(options.signal ? [options.signal] : [])];
    const result = () => child.result(AbortSignal.any(signals));
    if (child.succeeded) return result();
    return this.wait({ taskId: child.id, reason: "" }, result);
  }

  /** Waits without the slots of the attempt. */
  async wait<T>(wait: SlotWait, until: () => Promise<T>): Promise<T> {
    const end = this.begin(wait);
    let value: T;
    try {
      value = await until();
    } catch (error) {
      await end();
      throw error;
    }
    await end();
    this.#attempt.signal.throwIfAborted();
    return value;
  }

  /** Frees the slots; the function that is returned takes them again. */
  begin(wait: SlotWait): () => Promise<void> {
    const { slots } = this.#host;
    slots.begin(this.#attempt, wait);
    return async () => {
      await slots.end(this.#attempt, wait);
      // A wait that a handler has left behind does not end: its rejection would count as an error of the process.
      if (this.#attempt.closed) await new Promise<never>(() => {});
    };
  }

  /** The handler has returned: ends the waits that it left behind. */
  close(): void {
    this.#over.abort(new Error("the attempt has ended"));
  }

  /**
   * Equal calls of two attempts get one name, in whatever order they come: an attempt that resumes where the last one ended does
   * not get the child of another input.
   */
  #nameOf(task: string | ContractParts, payload: unknown, options: ChildOptions): { name?: string } {
    const { name, unique, uniqueKey } = options;
    if (name !== undefined || unique !== undefined || uniqueKey !== undefined) return {};
    const type = typeof task === "string" ? task : task.type;
    const digest = createHash("sha256")
      .update(isBytes(payload) ? payload : jsonTextOf(type, payload))
      .digest("base64url");
    const call = `${type.slice(0, MAX_TYPE)}/${digest}`;
    const number = (this.#calls.get(call) ?? 0) + 1;
    this.#calls.set(call, number);
    return { name: number === 1 ? call : `${call}/${number}` };
  }
}
