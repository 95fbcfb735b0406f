/** Runs isolated handlers; loads what that takes with the first one. */
import type { Attempt } from "../attempt/attempt.ts";
import type { IsolatedStack } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type { Isolation, IsolationParts } from "./isolation.ts";

/** The isolated handlers of a worker that has some. */
export class IsolatedHandlers {
  readonly #parts: IsolationParts;
  #isolation: Promise<Isolation> | undefined;

  constructor(parts: IsolationParts) {
    this.#parts = parts;
  }

  /** Starts their processes. @throws Error of one sentence when that is not possible. */
  async check(): Promise<void> {
    await (await this.open()).check();
  }

  /** Runs an attempt in a process of its own. */
  async run(attempt: Attempt): Promise<Outcome> {
    return (await this.open()).run(attempt);
  }

  /** Where those that run are. */
  async stacks(): Promise<readonly IsolatedStack[]> {
    return (await (await this.#isolation)?.stacks()) ?? [];
  }

  /** Ends their processes. */
  async close(limitMs: number): Promise<void> {
    await (await this.#isolation)?.close(limitMs);
  }

  /** The processes. */
  open(): Promise<Isolation> {
    this.#isolation ??= import("./isolation.ts").then((module) => new module.Isolation(this.#parts));
    return this.#isolation;
  }
}
