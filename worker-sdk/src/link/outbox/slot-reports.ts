/** What the link reports of attempts whose handlers wait without their slots. */
import { ChurnMap } from "@muster/common/churn-map";
import { encode } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { InFlightAttempt, InFlightAttempts } from "./in-flight.ts";
import { releaseOf } from "./slot-release.ts";

/** Feature of a scheduler that counts freed slots. */
export const SLOT_RELEASE = "slot_release";

/** The latest state of each attempt that this stream has not carried. Hello and heartbeats have it, too. */
export class SlotReports {
  readonly #inFlight: InFlightAttempts;
  readonly #unsent = new ChurnMap<InFlightAttempt, true>();
  #supported = false;

  constructor(inFlight: InFlightAttempts) {
    this.#inFlight = inFlight;
  }

  /** A stream was welcomed: what changed since its Hello is not known there. */
  open(features: readonly string[]): void {
    this.#supported = features.includes(SLOT_RELEASE);
    this.#unsent.clear();
    for (const attempt of this.#inFlight.values())
      if (attempt.slotReported && !attempt.revoked) this.#unsent.set(attempt, true);
  }

  /** The slots of the attempt were freed or taken. */
  put(attempt: InFlightAttempt): void {
    this.#unsent.set(attempt, true);
  }

  forget(attempt: InFlightAttempt): void {
    this.#unsent.delete(attempt);
  }

  /** Writes what the stream has not carried, before results. An attempt whose handler has returned waits for nothing. */
  writeTo(stream: Stream, nowMs: number): void {
    for (const attempt of this.#unsent.keys()) {
      this.#unsent.delete(attempt);
      const { attemptId, slotRelease, result } = attempt;
      if (!this.#supported || (result !== undefined && slotRelease !== undefined)) continue;
      const release = slotRelease && releaseOf(slotRelease, nowMs);
      stream.write(
        encode({ case: "slotReport", value: { attemptId, ...(release && { slotRelease: release }) } }),
      );
    }
  }
}
