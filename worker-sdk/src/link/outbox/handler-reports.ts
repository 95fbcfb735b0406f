/** What handlers measured and noted, on its way to the scheduler. */
import { ChurnMap } from "@muster/common/churn-map";
import { encodeFacts } from "@muster/protocol";
import { encode } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { ToLink } from "../messages.ts";
import type { InFlightAttempts } from "./in-flight.ts";

/** Feature of a scheduler that keeps them. */
const HANDLER_REPORTS = "handler_reports";

type Report = Extract<ToLink, { kind: "handlerReport" }>;

/**
 * The latest report of each attempt, until its result is acknowledged. A stream carries it once, before the attempt's result; a
 * new stream carries it again. A scheduler without the feature keeps none.
 */
export class HandlerReportQueue {
  readonly #inFlight: InFlightAttempts;
  readonly #reports = new Map<string, Report>();
  /** Attempts whose latest report this stream has not carried. */
  readonly #unsent = new ChurnMap<string, true>();
  #supported = false;

  constructor(inFlight: InFlightAttempts) {
    this.#inFlight = inFlight;
  }

  /** A stream was welcomed by a scheduler with these features. */
  open(features: readonly string[]): void {
    this.#supported = features.includes(HANDLER_REPORTS);
    this.#unsent.clear();
    for (const attemptId of this.#reports.keys()) this.#unsent.set(attemptId, true);
  }

  /** Keeps a report in place of the attempt's earlier one, which it includes. */
  put(report: Report): void {
    this.#reports.set(report.attemptId, report);
    this.#unsent.set(report.attemptId, true);
  }

  /** The attempt no longer belongs to this worker, or its result is acknowledged. */
  forget(attemptId: string): void {
    this.#reports.delete(attemptId);
    this.#unsent.delete(attemptId);
  }

  /** Writes what the stream has not carried. */
  writeTo(stream: Stream): void {
    if (!this.#supported) return;
    for (const attemptId of this.#unsent.keys()) {
      this.#unsent.delete(attemptId);
      const report = this.#reports.get(attemptId);
      if (report === undefined || this.#inFlight.get(attemptId)?.revoked !== false) continue;
      const { metrics, facts } = report;
      stream.write(
        encode({ case: "handlerReport", value: { attemptId, metrics, facts: encodeFacts(facts) } }),
      );
    }
  }
}
