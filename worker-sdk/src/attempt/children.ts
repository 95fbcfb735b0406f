/** Submits tasks for the handlers of a worker, as children of their tasks. */
import type { Client, ClientOptions } from "../client/client.ts";
import type { TaskHandle } from "../client/task-handle.ts";
import type { ContractParts } from "../contract/task-contract.ts";
import type { ChildOptions } from "./child-options.ts";

/** The attempt that submits a child. */
export interface Parent {
  readonly taskId: string;
  /** Aborts when its handler has to stop. */
  readonly signal: AbortSignal;
}

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
    this.#client ??= import("../client/client.ts").then((module) => new module.Client(this.#options));
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
