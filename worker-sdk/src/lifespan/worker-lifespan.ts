/** Runs the lifespan of a worker. */
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import { type Clock, settledWithin } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";
import type { StartupReporter } from "../run/startup.ts";
import type { Lifespan } from "./lifespan.ts";
import { Teardowns } from "./teardowns.ts";

/** Sets a worker up before its first task, and tears it down after its last one. */
export class WorkerLifespan {
  readonly #setUp: Lifespan<unknown> | undefined;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #teardowns = new Teardowns();
  readonly #abort = new AbortController();
  #opened: Promise<unknown> | undefined;
  #services: unknown;

  constructor(setUp: Lifespan<unknown> | undefined, log: Logger, clock: Clock) {
    this.#setUp = setUp;
    this.#log = log;
    this.#clock = clock;
  }

  /** False without a lifespan: then the other methods do nothing. */
  get given(): boolean {
    return this.#setUp !== undefined;
  }

  /** What the set-up returned. */
  get services(): unknown {
    return this.#services;
  }

  /** Runs the set-up. @throws what it throws, unless that is the reason of its own abort. */
  async open(startup: StartupReporter): Promise<void> {
    const setUp = this.#setUp;
    if (setUp === undefined) return;
    this.#opened = this.#open(setUp, startup);
    try {
      this.#services = await this.#opened;
    } catch (error) {
      const { signal } = this.#abort;
      if (!signal.aborted || error !== signal.reason) throw error;
    }
  }

  async #open(setUp: Lifespan<unknown>, startup: StartupReporter): Promise<unknown> {
    const { defer } = this.#teardowns;
    return this.#teardowns.own(await setUp({ defer, startup, signal: this.#abort.signal }));
  }

  /**
   * Tears the worker down; never throws. A set-up that still runs is aborted and waited for.
   *
   * @param running Resolves when no handler runs any more.
   * @param unreturned Handlers that have not returned.
   */
  async close(
    limitMs: number,
    reason: Error,
    running: { readonly done: () => Promise<void>; readonly count: () => number },
  ): Promise<void> {
    if (!this.given) return;
    const endMs = this.#clock.monotonicMs() + limitMs;
    // Half of the time at most: the other half is for the tear-down itself.
    if (!(await settledWithin(running.done(), limitMs / 2, this.#clock))) {
      const fields = {
        event: "worker.teardown.early",
        running: running.count(),
        waited_ms: Math.round(limitMs / 2),
      };
      this.#log.warn(fields, "handlers have not returned: what they use is torn down now");
    }
    this.#abort.abort(reason);
    const done = this.#tearDown();
    const leftMs = Math.max(0, endMs - this.#clock.monotonicMs());
    if (await settledWithin(done, leftMs, this.#clock)) return;
    const fields = { event: "worker.teardown.late", waited_ms: Math.round(limitMs) };
    this.#log.warn(fields, "the tear-down has not ended in time: the worker ends without it");
  }

  async #tearDown(): Promise<void> {
    // How a set-up ended was reported by its caller.
    await this.#opened?.then(
      () => {},
      () => {},
    );
    await this.#teardowns.run((error) =>
      this.#log.error(
        {
          event: "worker.teardown.failed",
          exception_class: classNameOf(error),
          exception_message: messageOf(error),
          traceback: tracebackOf(error),
        },
        `a step of the tear-down failed: ${messageOf(error)}`,
      ),
    );
  }
}
