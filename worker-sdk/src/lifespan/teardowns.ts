/** The steps of a tear-down, in reverse order of their set-up. */
import { readThrownPromise } from "../attempt/failure/thrown-promise.ts";
import type { Teardown } from "./lifespan.ts";

/** Collects steps and runs them once. A step that throws does not keep the others from running. */
export class Teardowns {
  readonly #steps: Teardown[] = [];
  #run: Promise<void> | undefined;

  /** Adds a step. @throws TypeError when it is no function or the tear-down has begun. */
  readonly defer = (teardown: Teardown): void => {
    if (typeof teardown !== "function")
      throw new TypeError(`defer() takes a function, not ${teardown === null ? "null" : typeof teardown}.`);
    if (this.#run !== undefined) throw new TypeError("defer() was called after the tear-down had begun.");
    this.#steps.push(teardown);
  };

  /** Adds the disposal of what a set-up returned, where it has one; returns the value. */
  own<T>(value: T): T {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) return value;
    const dispose: unknown = Reflect.get(value, Symbol.asyncDispose) ?? Reflect.get(value, Symbol.dispose);
    if (typeof dispose === "function") this.defer(() => Reflect.apply(dispose, value, []));
    return value;
  }

  /**
   * Runs the steps, the last one first. A second call waits for the first.
   *
   * @param failed Called with what a step threw, before the next one.
   */
  run(failed: (error: unknown) => void): Promise<void> {
    this.#run ??= this.#runAll(failed);
    return this.#run;
  }

  async #runAll(failed: (error: unknown) => void): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (thrown) {
        failed((await readThrownPromise(thrown)).error);
      }
    }
  }
}
