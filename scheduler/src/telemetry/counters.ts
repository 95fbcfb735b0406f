/** Totals since the scheduler started. */
export class Counters {
  /** Reports of attempts that were no longer current. */
  staleReports = 0;
  /** Claims that another scheduler, a cancellation or a retry was faster with. */
  acquireConflicts = 0;
  /** Submits that met a taken unique key. */
  duplicates = 0;
  heartbeats = 0;
  heartbeatFailures = 0;
  /** Messages of a kind that this version does not know. */
  unknownMessages = 0;
  submitted = 0;
  succeeded = 0;
  failed = 0;
  cancelled = 0;
  /** Worker streams refused before they were registered, by reason. */
  readonly refused = new Map<string, number>();
  /** Refusals that are no longer listed because too many different ones came. */
  refusalsDropped = 0;
  /** Requeues by reason. */
  readonly requeued = new Map<string, number>();

  countRefusal(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }

  countRequeue(reason: string): void {
    this.requeued.set(reason, (this.requeued.get(reason) ?? 0) + 1);
  }
}
