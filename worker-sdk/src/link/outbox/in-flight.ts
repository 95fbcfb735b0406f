/** The attempts that the worker holds. */
import { create } from "@bufbuild/protobuf";
import { ChurnMap } from "@muster/common/churn-map";
import type { RunningAttempt } from "@muster/protocol";
import { RunningAttemptSchema } from "@muster/protocol";
import type { QuietExpectation } from "../../attempt/phases/expectation.ts";
import { durationFromMs } from "../../duration.ts";
import type { SlotReleaseMessage } from "../messages.ts";
import type { OpenPhases } from "./open-phases.ts";
import { releaseOf } from "./slot-release.ts";

/** Most events that are kept; beyond it sent ones are dropped first, then new ones are dropped and counted. */
export const MAX_EVENTS = 10_000;

/** A lifecycle signal of an attempt. */
export interface LoggedEvent {
  readonly sequence: number;
  readonly name: string;
  readonly elapsedMs: number;
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

/** Events of an attempt, in order, and how many of them this stream has carried. */
interface EventLog {
  readonly kept: LoggedEvent[];
  sent: number;
  /** Number of the last event, dropped ones included. */
  sequence: number;
}

/** A success without warnings or phases: the most frequent outcome, kept without encoding. */
export interface PlainSuccess {
  readonly output: string | Uint8Array;
  readonly contentType: string;
  readonly runMs: number;
  readonly peakRssBytes: number;
}

/** An outcome that waits for its acknowledgement: a plain success, or an encoded TaskResult. */
export type UnacknowledgedResult = PlainSuccess | Uint8Array;

/** An attempt from its receipt until its result is acknowledged. */
export interface InFlightAttempt {
  readonly attemptId: string;
  /** Main has accepted it. */
  accepted: boolean;
  /** Its handler was called. */
  started: boolean;
  /** Created with the first phase: most attempts have none. */
  phases: OpenPhases | undefined;
  /** When it was received, on the monotonic clock. */
  readonly receivedMs: number;
  /** When its handler was called; until then when it was received. */
  runSinceMs: number;
  progress: number | undefined;
  progressAtMs: number | undefined;
  /** The handler has said that it will be silent, and has shown nothing since. */
  expectation: QuietExpectation | undefined;
  /** Iterations that its task has begun, of which this attempt has reported some; 0 for none. */
  iterations: number;
  cancelling: boolean;
  /** Its handler waits without its slots. */
  slotRelease: SlotReleaseMessage | undefined;
  /** It was without its slots once: a new stream has to be given its state. */
  slotReported: boolean;
  /** It no longer belongs to this worker, and its handler has not returned: only heartbeats list it. */
  revoked: boolean;
  peakRssBytes: number;
  result: UnacknowledgedResult | undefined;
  /** Main has to be notified when the result is acknowledged. */
  notify: boolean;
  resultAtMs: number;
  readonly events: EventLog;
}

/** The attempts in flight: heartbeats and Hello list them, and a new stream sends their messages again. */
export class InFlightAttempts {
  readonly #attempts = new ChurnMap<string, InFlightAttempt>();
  #eventCount = 0;
  #pendingResults = 0;

  /** Attempts in flight. */
  get size(): number {
    return this.#attempts.size;
  }

  /** Results that are not acknowledged. */
  get pendingResults(): number {
    return this.#pendingResults;
  }

  /** Attempts whose handler runs; one that waits without its slots does not. */
  get runningCount(): number {
    let count = 0;
    for (const { started, result, slotRelease } of this.#attempts.values())
      if (started && result === undefined && (slotRelease === undefined || slotRelease.returning)) count += 1;
    return count;
  }

  get(attemptId: string): InFlightAttempt | undefined {
    return this.#attempts.get(attemptId);
  }

  values(): IterableIterator<InFlightAttempt> {
    return this.#attempts.values();
  }

  /** Adds an attempt. */
  add(attemptId: string, nowMs: number): InFlightAttempt {
    const attempt: InFlightAttempt = {
      attemptId,
      accepted: false,
      started: false,
      phases: undefined,
      receivedMs: nowMs,
      runSinceMs: nowMs,
      progress: undefined,
      progressAtMs: undefined,
      expectation: undefined,
      iterations: 0,
      cancelling: false,
      slotRelease: undefined,
      slotReported: false,
      revoked: false,
      peakRssBytes: 0,
      result: undefined,
      notify: false,
      resultAtMs: nowMs,
      events: { kept: [], sent: 0, sequence: 0 },
    };
    this.#attempts.set(attemptId, attempt);
    return attempt;
  }

  /** Keeps its result until `remove`. */
  setResult(attempt: InFlightAttempt, result: UnacknowledgedResult, nowMs: number): void {
    if (attempt.result === undefined) this.#pendingResults += 1;
    attempt.result = result;
    attempt.resultAtMs = nowMs;
  }

  /** Removes an attempt; true when it was in flight. */
  remove(attemptId: string): boolean {
    const attempt = this.#attempts.get(attemptId);
    if (attempt === undefined) return false;
    if (attempt.result !== undefined) this.#pendingResults -= 1;
    attempt.phases?.cancel();
    this.#eventCount -= attempt.events.kept.length;
    return this.#attempts.delete(attemptId);
  }

  /** Keeps an event of an attempt; false when there is no room and it was dropped. */
  addEvent(
    attempt: InFlightAttempt,
    name: string,
    elapsedMs: number,
    attributes: Readonly<Record<string, string>> | undefined,
  ): boolean {
    if (this.#eventCount >= MAX_EVENTS) this.#dropSentEvents();
    attempt.events.sequence += 1;
    if (this.#eventCount >= MAX_EVENTS) return false;
    attempt.events.kept.push({ sequence: attempt.events.sequence, name, elapsedMs, attributes });
    this.#eventCount += 1;
    return true;
  }

  /** A new stream has carried nothing yet. */
  startStream(): void {
    for (const attempt of this.#attempts.values()) attempt.events.sent = 0;
  }

  /** Describes each attempt, for Hello and heartbeats. */
  describe(nowMs: number): RunningAttempt[] {
    return Array.from(this.#attempts.values(), (attempt) => describe(attempt, nowMs));
  }

  #dropSentEvents(): void {
    for (const { events } of this.#attempts.values()) {
      this.#eventCount -= events.sent;
      events.kept.splice(0, events.sent);
      events.sent = 0;
    }
  }
}

function describe(attempt: InFlightAttempt, nowMs: number): RunningAttempt {
  const age = (sinceMs: number) => durationFromMs(Math.max(0, nowMs - sinceMs));
  const current = attempt.phases?.current;
  const pending = attempt.result !== undefined;
  return create(RunningAttemptSchema, {
    attemptId: attempt.attemptId,
    phase: current?.name ?? "",
    phaseAge: age(current?.sinceMs ?? attempt.runSinceMs),
    ...(current?.warnAfterMs === undefined ? {} : { warnAfter: durationFromMs(current.warnAfterMs) }),
    ...(current?.timeoutMs === undefined ? {} : { phaseTimeout: durationFromMs(current.timeoutMs) }),
    ...(attempt.phases === undefined ? {} : { stuckPhases: stuckPhases(attempt.phases, nowMs) }),
    ...(attempt.progress === undefined ? {} : { progress: attempt.progress }),
    ...(attempt.progressAtMs === undefined ? {} : { progressAge: age(attempt.progressAtMs) }),
    resultPending: pending,
    ...(pending ? { resultAge: age(attempt.resultAtMs) } : {}),
    ...(attempt.expectation === undefined || pending
      ? {}
      : { expectation: expected(attempt.expectation, nowMs) }),
    cancelling: attempt.cancelling && !pending,
    revoked: attempt.revoked,
    ...(attempt.slotRelease === undefined || pending
      ? {}
      : { slotRelease: releaseOf(attempt.slotRelease, nowMs) }),
  });
}

function expected({ sinceMs, quietForMs, reason }: QuietExpectation, nowMs: number) {
  return { quietFor: durationFromMs(quietForMs), age: durationFromMs(Math.max(0, nowMs - sinceMs)), reason };
}

function stuckPhases(phases: OpenPhases, nowMs: number) {
  return phases.stuck(nowMs).map(({ phase, ageMs, stillMs, warnAfterMs, warnings }) => ({
    phase,
    age: durationFromMs(ageMs),
    stallAge: durationFromMs(stillMs),
    warnAfter: durationFromMs(warnAfterMs),
    warningCount: warnings,
  }));
}
