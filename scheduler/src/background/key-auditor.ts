/** Compares the counts of concurrency keys with their tasks. */
import { circuitOfLock } from "../domain/tasks/limits/circuit.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import type { Counters } from "../telemetry/metrics/counters.ts";

/** Time between two runs, milliseconds. It reads the open tasks, as the monitor does. */
export const KEY_AUDIT_MS = 300_000;

/** Keys that are corrected in a run; the others in the next. */
const MAX_CORRECTED = 100;

/** The lead is held for this many runs. */
const LEAD_RUNS = 3;

/**
 * Every statement that changes whether a task is active counts its keys: a difference is a bug, or a hand in the
 * database. It is logged as an error, and corrected when a second count, while the key is locked, finds it too. One
 * scheduler does it for all.
 */
export class KeyAuditor {
  readonly #parts: KeyAuditorParts;

  constructor(parts: KeyAuditorParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, schedulerId, counters, log } = this.#parts;
    if (!(await store.lead("concurrency-keys", schedulerId, KEY_AUDIT_MS * LEAD_RUNS))) return;
    for (const { key } of await store.keyDifferences(MAX_CORRECTED)) {
      const corrected = await store.correctKey(key);
      if (!corrected) continue;
      counters.keyCountsCorrected++;
      const circuit = circuitOfLock(key);
      log.error("concurrency_key.count_corrected", {
        ...(circuit === undefined ? { key } : { circuit }),
        counted: corrected.held,
        tasks: corrected.tasks,
      });
    }
  }
}

export interface KeyAuditorParts {
  readonly store: Pick<Store, "correctKey" | "keyDifferences" | "lead">;
  readonly schedulerId: string;
  readonly counters: Pick<Counters, "keyCountsCorrected">;
  readonly log: Pick<Logger, "error">;
}
