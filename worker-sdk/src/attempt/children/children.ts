/** Submits tasks for the handlers of a worker, as children of their tasks. */
import type { Client } from "../../client/client.ts";
import type { ClientOptions } from "../../client/client-options.ts";
import type { TaskHandle } from "../../client/follow/task-handle.ts";
import type { ContractParts } from "../../contract/task-contract.ts";
import type { ChildOptions } from "./child-options.ts";
import { placementOf } from "./child-placement.ts";
import type { Parent, StartedChild } from "./parent.ts";

/** One client for all handlers, made for the first child: most workers submit none. */
export class Children {
  readonly #options: ClientOptions;
  #client: Promise<Client> | undefined;
  #closed = false;

  /** @param options Address, token, TLS and payloads of the worker: what it submits is encoded as its workers expect. */
  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /**
   * @throws TypeError when the name is empty, or another unique key is given.
   * @throws as `Client.submit` does, the reason of the parent's signal among them.
   */
  async submit(
    parent: Parent,
    task: string | ContractParts,
    payload: unknown,
    options: ChildOptions = {},
  ): Promise<TaskHandle<unknown>> {
    const { name, signal, ...others } = options;
    const asked = {
      ...others,
      parent: parent.taskId,
      signal: signal === undefined ? parent.signal : AbortSignal.any([parent.signal, signal]),
      ...(name === undefined ? {} : { unique: keyOf(parent, name, options) }),
    };
    parent.signal.throwIfAborted();
    const client = await this.#open();
    return client.submit(task as string, payload, asked);
  }

  /**
   * Submits a child whose parent is about to wait for it, or finds that of an earlier attempt.
   *
   * @throws as `submit` does.
   */
  async start(
    parent: Parent,
    task: string | ContractParts,
    payload: unknown,
    options: ChildOptions,
  ): Promise<StartedChild> {
    parent.signal.throwIfAborted();
    const client = await this.#open();
    const placement = await placementOf(parent.queue, task, options, () => {
      parent.place ??= client.get(parent.taskId, { signal: parent.signal }).catch((error: unknown) => {
        // The next child asks again.
        delete parent.place;
        throw error;
      });
      return parent.place;
    });
    const handle = await this.submit(parent, task, payload, { ...placement, ...options });
    return {
      id: handle.id,
      succeeded: handle.conflict?.holderState === "succeeded",
      result: (signal) => handle.result({ signal }),
    };
  }

  /** Closes the connection. What handlers that have not returned submit later is refused. */
  close(): void {
    this.#closed = true;
    this.#client?.then(
      (client) => client.close(),
      () => {
        // It was never made: the handler that asked for it got the error.
      },
    );
  }

  /** The client is loaded with the first child: it is 100 modules, and the link has its own connection. */
  async #open(): Promise<Client> {
    if (this.#closed) throw new Error("ctx.submit() was called after the worker had ended.");
    this.#client ??= import("../../client/client.ts").then((module) => new module.Client(this.#options));
    return this.#client;
  }
}

function keyOf({ taskId }: Parent, name: string, { unique, uniqueKey }: ChildOptions): { key: string } {
  if (unique !== undefined || uniqueKey !== undefined)
    throw new TypeError("ctx.submit(): name excludes unique and uniqueKey; give one of them.");
  if (typeof name !== "string" || name === "")
    throw new TypeError(`ctx.submit(): name is ${JSON.stringify(name)}; give a text that is not empty.`);
  return { key: `${taskId}/${name}` };
}
