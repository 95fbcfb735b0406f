/** Terminates sessions whose lease has expired. */
import { span } from "../../domain/explain/reason.ts";
import type { ExpiredLeases, ObservedSession, Store } from "../../store/store.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { MetricWriter } from "../attempts/writers/metric-writer.ts";
import type { Launches } from "../launches/launches.ts";
import type { LeaseSettings } from "../limits.ts";
import type { Mechanisms } from "../mechanisms/mechanisms.ts";
import type { Expiry, LeaseExpiryGuard } from "./lease-expiry-guard.ts";
import type { SessionTerminator } from "./session-terminator.ts";
import { decideTermination } from "./termination-reasons.ts";

/** Sessions terminated in one transaction. */
const REAP_BATCH = 100;

/**
 * Terminates sessions, of any scheduler, whose lease and grace are over, and requeues their attempts; then launches
 * whose supervisor has stopped reporting.
 */
export class LeaseReaper {
  readonly #parts: LeaseReaperParts;

  constructor(parts: LeaseReaperParts) {
    this.#parts = parts;
  }

  /** Does nothing while the guard lets no lease expire. @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    await this.#reapSessions();
    await this.#parts.launches.giveUp(() => {
      const expiry = this.#parts.expiryGuard.expiry();
      return expiry?.ownOnly ? undefined : expiry?.asOf;
    });
  }

  async #reapSessions(): Promise<void> {
    const { eventWriter, metricWriter, mechanisms, expiryGuard } = this.#parts;
    const mode = mechanisms.mode("recovery");
    if (mode === "off" || !expiryGuard.expiry()) return;
    // The events of a lost session's attempts come before their requeue.
    await eventWriter.flush();
    await metricWriter.flush();
    // The flush may have taken long enough that no lease may expire any more.
    const expiry = expiryGuard.expiry();
    if (!expiry) return;
    if (mode === "observe") await this.#observe(expiry);
    else await this.#terminate(expiry);
  }

  async #terminate(expiry: Expiry): Promise<void> {
    const { store, retryPolicies, terminator } = this.#parts;
    const decide = decideTermination(retryPolicies, "lost");
    const expired = this.#expired(expiry);
    for (;;) {
      const reaped = await store.reapSessions(expired, REAP_BATCH, decide);
      for (const session of reaped) terminator.recordTermination(session, "lost");
      if (reaped.length < REAP_BATCH) return;
    }
  }

  /** The store returns each expired lease once, to one of the schedulers. */
  async #observe(expiry: Expiry): Promise<void> {
    const { store } = this.#parts;
    const expired = this.#expired(expiry);
    for (;;) {
      const seen = await store.observeExpired(expired, REAP_BATCH);
      for (const session of seen) this.#recordObserved(session);
      if (seen.length < REAP_BATCH) return;
    }
  }

  #expired({ asOf, ownOnly }: Expiry): ExpiredLeases {
    const { leases, schedulerId } = this.#parts;
    return { asOf, graceMs: leases.graceMs, heldBy: ownOnly ? schedulerId : undefined };
  }

  #recordObserved({ sessionId, workerId, silentMs, held }: ObservedSession): void {
    const { mechanisms } = this.#parts;
    const reason = `${workerId} has not answered for ${span(silentMs)}, and its lease and grace are over`;
    for (const attempt of held)
      mechanisms.observed(
        { mechanism: "recovery", would: "requeue", reason },
        { attempt, workerId, sessionId },
      );
  }
}

export interface LeaseReaperParts {
  readonly store: Pick<Store, "observeExpired" | "reapSessions">;
  readonly mechanisms: Pick<Mechanisms, "mode" | "observed">;
  readonly leases: Pick<LeaseSettings, "graceMs">;
  readonly schedulerId: string;
  readonly eventWriter: Pick<EventWriter, "flush">;
  readonly metricWriter: Pick<MetricWriter, "flush">;
  readonly terminator: Pick<SessionTerminator, "recordTermination">;
  readonly launches: Pick<Launches, "giveUp">;
  readonly expiryGuard: Pick<LeaseExpiryGuard, "expiry">;
  readonly retryPolicies: Pick<RetryPolicies, "decide">;
}
