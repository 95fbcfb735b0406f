/** The calls in progress, for the stop of the server. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";

/** A call under way. */
export interface OpenCall {
  /** Its name, without the service. */
  readonly method: string;
  /** Ends it with INTERNAL; does nothing when it has ended. */
  fail(): void;
}

/**
 * Knows of everything that runs on whose behalf it runs, so that a fault of one call ends this call and not the
 * process, which holds a fleet.
 */
export class Calls {
  readonly #storage = new AsyncLocalStorage<OpenCall>();
  readonly #log: Logger;
  readonly #counters: Counters;

  constructor(log: Logger, counters: Counters) {
    this.#log = log;
    this.#counters = counters;
  }

  /** Does it on behalf of a call; what it throws is reported and ends the call. */
  run(call: OpenCall, work: () => void): void {
    try {
      this.#storage.run(call, work);
    } catch (error) {
      this.#fault(call, error);
    }
  }

  /** A fault of ours in a call: logged and counted. The caller is answered by whoever reports it. */
  report(method: string, error: unknown): void {
    this.#counters.internalErrors.add(method);
    this.#log.error("rpc.failed", { method, error });
  }

  /**
   * Takes an exception or a rejection that nothing caught, when it was thrown on behalf of a call.
   *
   * @returns False for one of the scheduler's own work.
   */
  takeFault(error: unknown): boolean {
    const call = this.#storage.getStore();
    if (!call) return false;
    this.#fault(call, error);
    return true;
  }

  #fault(call: OpenCall, error: unknown): void {
    this.report(call.method, error);
    try {
      call.fail();
    } catch (further) {
      this.#log.error("rpc.failed", { method: call.method, error: further });
    }
  }
}
