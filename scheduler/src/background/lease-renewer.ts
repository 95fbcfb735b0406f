import type { Dispatch } from "../dispatch/dispatch.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** Renews the leases of the workers that sent a heartbeat since the last run. */
export class LeaseRenewer {
  readonly #parts: LeaseRenewerParts;

  constructor(parts: LeaseRenewerParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { liveness, expiryGuard, log, onRenewed } = this.#parts;
    const { starvedMs, clockSetMs } = expiryGuard.noteRenewal(await liveness.renewLeases());
    if (starvedMs !== undefined) log.warn("scheduler.starved", { gap_ms: Math.round(starvedMs) });
    if (clockSetMs !== undefined) {
      log.warn("database.clock_set", { by_ms: Math.round(clockSetMs) });
      if (clockSetMs < 0) await liveness.shortenLeases();
    }
    onRenewed();
  }
}

export interface LeaseRenewerParts {
  readonly liveness: Pick<Dispatch["liveness"], "renewLeases" | "shortenLeases">;
  readonly expiryGuard: Pick<Dispatch["expiryGuard"], "noteRenewal">;
  readonly log: Pick<Logger, "warn">;
  /** Called after each renewal: leases expire as of it, so the reaper can run now. */
  readonly onRenewed: () => void;
}
