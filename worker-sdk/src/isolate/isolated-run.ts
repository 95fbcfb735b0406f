/** One attempt in a process of its own, as the worker sees it. */
import { type Facts, mergeFacts } from "@muster/common/facts";
import type { Attempt, ElsewhereAttempt } from "../attempt/attempt.ts";
import type { AttemptHost } from "../attempt/attempt-host.ts";
import type { Deadline } from "../attempt/deadlines.ts";
import { outcomeOfStop, outcomeOfThrow } from "../attempt/execute.ts";
import type { StopRequest } from "../attempt/stop.ts";
import { systemClock } from "../clock.ts";
import { TimedOutError } from "../errors.ts";
import type { ToLink } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type { FailureClassification } from "../options/task-types/failure-classification.ts";
import { type ChildEnd, endError } from "./child-end.ts";
import type { ChildHandle, ChildListener } from "./child-handle.ts";
import type { AttemptRequest, FromChild } from "./messages.ts";
import { remoteError } from "./remote-errors.ts";

/** Grace where neither the option nor the request to stop says one. */
const DEFAULT_GRACE_MS = 5_000;

/** What a run uses of its worker. */
export interface IsolatedRunParts {
  readonly host: Pick<AttemptHost, "clock" | "deadlines" | "keyPauses" | "link">;
  readonly classify: ((error: unknown) => FailureClassification | undefined) | undefined;
  readonly settings: Pick<AttemptRequest, "maxResultBytes" | "phaseWarningsMs">;
  /** Whether the stack of a handler that did not stop is read. */
  readonly stacks: boolean;
}

/** Passes reports of the process to the worker's connection, and requests and answers to the process. */
export class IsolatedRun implements ElsewhereAttempt, ChildListener {
  readonly #attempt: Attempt;
  readonly #child: ChildHandle;
  readonly #parts: IsolatedRunParts;
  readonly #outcome = Promise.withResolvers<Outcome>();
  /** Hard limits of open phases, by number: the process cannot keep them while its loop is blocked. */
  readonly #limits = new Map<number, Deadline>();
  readonly #open = new Map<number, Extract<ToLink, { kind: "phaseStarted" }>>();
  /** Ends the span of an open phase, by number. */
  readonly #spans = new Map<number, PromiseWithResolvers<void>>();
  #timings: Attempt["timings"] = [];
  /** What the handler has noted, for the failure of a process that has ended. */
  #facts: Facts = {};
  #cancelKill: (() => void) | undefined;
  /** Where a handler was that did not stop, the innermost frame first. */
  #frames: readonly string[] | undefined;
  #over = false;

  constructor(attempt: Attempt, child: ChildHandle, parts: IsolatedRunParts) {
    this.#attempt = attempt;
    this.#child = child;
    this.#parts = parts;
  }

  get timings(): Attempt["timings"] {
    return this.#timings;
  }

  /** Runs the attempt in the process, which is ready. Never rejects. */
  async run(): Promise<Outcome> {
    const { assignment, signal, trace } = this.#attempt;
    const child = this.#child;
    child.listener = this;
    this.#attempt.elsewhere = this;
    child.send({
      kind: "attempt",
      // The worker keeps the time: the process may be blocked.
      assignment: { ...assignment, runTimeoutMs: undefined },
      ...this.#parts.settings,
      traceparent: trace?.traceparent ?? assignment.headers.traceparent,
    });
    const stop = (): void => this.#stop();
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    try {
      const returned = await Promise.race([this.#outcome.promise, child.ended]);
      if (!("kind" in returned)) return this.#withFacts(this.#endedBy(returned));
      await child.outputRead();
      // It may have returned before it read the request to stop.
      return returned.kind === "succeeded"
        ? (outcomeOfStop(this.#attempt) ?? returned)
        : this.#explained(returned);
    } finally {
      signal.removeEventListener("abort", stop);
      this.#over = true;
      this.#cancelKill?.();
      for (const limit of this.#limits.values()) this.#parts.host.deadlines.remove(limit);
      for (const span of this.#spans.values()) span.resolve();
    }
  }

  message(message: FromChild): void {
    const attempt = this.#attempt;
    switch (message.kind) {
      case "report":
        // A call that an earlier handler has left behind is of no attempt.
        if (!attempt.closed && Object(message.message).attemptId === attempt.id)
          this.#report(message.message);
        return;
      case "line":
        attempt.lines?.writeText(message.level, message.text);
        return;
      case "log":
        attempt.ownLog[message.level](message.fields, message.message);
        return;
      case "openScratch":
        attempt.scratch().then(
          (path) => this.#child.send({ kind: "scratch", path }),
          (error) => this.#child.send({ kind: "noScratch", error: remoteError(error) }),
        );
        return;
      case "outcome":
        if (message.attemptId !== attempt.id) return;
        this.#timings = message.phases;
        this.#outcome.resolve(message.outcome);
        return;
      // Of the process itself.
      case "found":
      case "ready":
      case "unusable":
      case "uncaught":
        return;
      default:
        message satisfies never;
    }
  }

  line(line: string, from: "stdout" | "stderr"): void {
    if (from === "stdout") this.#attempt.log.info({ stream: from }, line);
    else this.#attempt.log.warn({ stream: from }, line);
  }

  checkpointAnswered(answer: Parameters<ElsewhereAttempt["checkpointAnswered"]>[0]): void {
    this.#child.send({ kind: "answered", answer });
  }

  #report(message: ToLink): void {
    const { link } = this.#parts.host;
    switch (message.kind) {
      case "event":
        this.#attempt.event(message.name, message.attributes);
        return;
      case "phaseStarted":
        this.#phaseStarted(message);
        link.send(message);
        return;
      case "phaseExtended":
        this.#phaseExtended(message);
        link.send(message);
        return;
      case "phaseEnded":
        this.#phaseEnded(message.number);
        link.send(message);
        return;
      case "pauseKey":
        this.#pauseKey(message);
        return;
      case "handlerReport":
        this.#facts = message.facts;
        link.send(message);
        return;
      case "checkpoint":
      case "expect":
      case "iterations":
      case "output":
      case "progress":
      case "step":
        link.send(message);
        return;
      // Of a worker and its runner, which the process is not.
      case "accept":
      case "batch":
      case "cancelling":
      case "draining":
      case "fatal":
      case "finish":
      case "isolatedStacks":
      case "forget":
      case "limit":
      case "logs":
      case "paused":
      case "probeFailed":
      case "probed":
      case "reject":
      case "resourceStates":
      case "resources":
      case "slot":
      case "result":
      case "started":
      case "startupPhase":
      case "succeeded":
        return;
      default:
        message satisfies never;
    }
  }

  #phaseStarted(message: Extract<ToLink, { kind: "phaseStarted" }>): void {
    const { trace, assignment } = this.#attempt;
    const { number, phase, context, timeoutMs = assignment.phaseTimeoutsMs[phase] } = message;
    if (trace !== undefined) {
      const open = Promise.withResolvers<void>();
      this.#spans.set(number, open);
      void trace.phase(phase, context, () => open.promise);
    }
    this.#open.set(number, message);
    this.#limit(message, timeoutMs);
  }

  /** Its handler has given it another hard limit. */
  #phaseExtended({ number, timeoutMs }: Extract<ToLink, { kind: "phaseExtended" }>): void {
    const phase = this.#open.get(number);
    if (phase !== undefined && timeoutMs !== undefined) this.#limit(phase, timeoutMs);
  }

  /** @param limitMs From the start of the phase; 0 and undefined mean none. */
  #limit(
    { number, phase, sinceMs }: Extract<ToLink, { kind: "phaseStarted" }>,
    limitMs: number | undefined,
  ): void {
    const { deadlines } = this.#parts.host;
    deadlines.remove(this.#limits.get(number));
    this.#limits.delete(number);
    if (!limitMs) return;
    const timedOut = (): void =>
      this.#attempt.abort({
        kind: "timedOut",
        reason: new TimedOutError(`Phase ${phase} ran longer than ${limitMs / 1000} s.`),
      });
    const leftMs = sinceMs + limitMs - systemClock.monotonicMs();
    this.#limits.set(number, deadlines.add(Math.max(0, leftMs), timedOut));
  }

  #phaseEnded(number: number): void {
    this.#parts.host.deadlines.remove(this.#limits.get(number));
    this.#limits.delete(number);
    this.#open.delete(number);
    this.#spans.get(number)?.resolve();
    this.#spans.delete(number);
  }

  /** Numbers of requests are the process's own. */
  #pauseKey({ attemptId, key, untilMs, reason, requestId }: Extract<ToLink, { kind: "pauseKey" }>): void {
    const { keyPauses, clock } = this.#parts.host;
    const leftMs = untilMs - clock.monotonicMs();
    const answer = (left: number | undefined, error: string): void =>
      this.#child.send({
        kind: "answered",
        answer: { kind: "keyPauseAnswered", requestId, leftMs: left, error },
      });
    // It was checked there, and little time has passed.
    keyPauses.ask(attemptId, key, Math.max(leftMs, 1) / 1000, reason).then(
      () => answer(untilMs - clock.monotonicMs(), ""),
      (error: Error) => answer(undefined, error.message),
    );
  }

  #stop(): void {
    const { stop } = this.#attempt;
    if (stop === undefined) return;
    this.#child.send({ kind: "stop", stop: stop.kind, message: stop.reason.message });
    const graceMs = this.#child.settings.killGraceMs ?? stop.graceMs ?? DEFAULT_GRACE_MS;
    this.#cancelKill ??= systemClock.after(graceMs, () => void this.#kill(graceMs));
  }

  async #kill(graceMs: number): Promise<void> {
    // The kill waits for it: some 70 ms, 1.5 s at most.
    const frames = this.#parts.stacks ? await this.#child.stack() : undefined;
    // It has returned meanwhile, and its process may run another attempt.
    if (this.#over) return;
    this.#frames = frames;
    const why = `it did not stop within ${graceMs / 1000} s`;
    const at = frames?.[0];
    this.#attempt.log.warn(
      { event: "task.isolate.killed", pid: this.#child.pid, ...(frames && { stack: frames.join("\n") }) },
      `the handler's process is killed: ${why}${at === undefined ? "" : `; it is at ${at}`}`,
    );
    this.#child.kill(why);
  }

  #withFacts(outcome: Outcome): Outcome {
    if (outcome.kind !== "failed" || Object.keys(this.#facts).length === 0) return outcome;
    return { ...outcome, facts: mergeFacts(outcome.facts ?? {}, this.#facts) };
  }

  #endedBy(end: ChildEnd): Outcome {
    const { stop } = this.#attempt;
    if (end.uncaught !== undefined && stop === undefined) {
      const message = `An uncaught error ended the handler's process: ${end.uncaught.message}`;
      return { kind: "failed", ...end.uncaught, message };
    }
    const outcome = outcomeOfThrow(this.#attempt, endError(end), this.#parts.classify);
    return stop === undefined ? outcome : this.#killedOutcome(outcome, stop, end);
  }

  /** Says that the process was killed, which the reason to stop does not. */
  #killedOutcome(outcome: Outcome, { kind }: StopRequest, { killed }: ChildEnd): Outcome {
    if (outcome.kind !== "failed" || kind === "exceeded" || killed === undefined) return outcome;
    return {
      ...outcome,
      message: `${outcome.message} The handler's process was killed: ${killed}.`,
      traceback: this.#frames
        ? ["The handler was at:", ...this.#frames].join("\n    at ")
        : outcome.traceback,
    };
  }

  /** A limit that the worker keeps is its reason, whatever the handler has thrown. */
  #explained(outcome: Outcome): Outcome {
    return this.#attempt.stop?.kind === "exceeded" ? (outcomeOfStop(this.#attempt) ?? outcome) : outcome;
  }
}
