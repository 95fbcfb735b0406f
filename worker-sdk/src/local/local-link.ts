/** Takes the place of the connection: receives what attempts report, and answers as a scheduler does. */
import type { AttemptHost } from "../attempt/attempt-host.ts";
import type { Deadlines } from "../attempt/deadlines.ts";
import type { Clock } from "../clock.ts";
import type { FromLink, ResourceStateMessage, ToLink } from "../link/messages.ts";
import { OpenPhases } from "../link/outbox/open-phases.ts";
import type { LocalRun } from "./local-run.ts";

/** Kinds of answers. */
type Answer = "acknowledged" | "checkpointAnswered" | "keyPauseAnswered";

/** What the answers need. */
export interface LocalLinkParts {
  readonly clock: Clock;
  readonly deadlines: () => Deadlines;
  /** Answers the worker. */
  readonly answer: (message: Extract<FromLink, { kind: Answer }>) => void;
}

interface Followed {
  readonly run: LocalRun;
  expects: boolean;
  phases: OpenPhases | undefined;
  /** Its handler waits without its slots. */
  waits: boolean;
}

/** The other side of a worker that has no connection. */
export class LocalLink {
  readonly #parts: LocalLinkParts;
  readonly #runs = new Map<string, Followed>();
  /** Resources that are being loaded, or could not be loaded. */
  resourceStates: readonly ResourceStateMessage[] = [];

  constructor(parts: LocalLinkParts) {
    this.#parts = parts;
  }

  /** Passes what is reported of an attempt to its run. */
  follow(run: LocalRun): void {
    this.#runs.set(run.id, { run, expects: false, waits: false, phases: undefined });
  }

  /** What a worker's parts send to. */
  readonly link: AttemptHost["link"] = {
    send: (message) => this.#receive(message),
    sendStarted: (attemptId) => this.#runs.get(attemptId)?.run.called(),
    sendSuccess: (attemptId, output, contentType, runMs) =>
      this.#end(attemptId, (run) => run.succeeded(output, contentType, runMs)),
    flush: () => {},
  };

  #receive(message: ToLink): void {
    switch (message.kind) {
      case "result":
        this.#end(message.attemptId, (run) => run.receive(message));
        if (message.notify) this.#parts.answer({ kind: "acknowledged", attemptIds: [message.attemptId] });
        return;
      case "forget":
      case "reject":
        this.#end(message.attemptId, (run) => run.receive(message));
        return;
      case "phaseStarted":
        this.#phaseStarted(message);
        return;
      case "phaseExtended":
        this.#runs.get(message.attemptId)?.phases?.extended(message);
        return;
      case "phaseEnded":
        this.#runs.get(message.attemptId)?.phases?.ended(message.number, message.how);
        this.#endExpectation(message.attemptId);
        return;
      case "progress":
        this.#runs.get(message.attemptId)?.phases?.progress();
        this.#endExpectation(message.attemptId);
        this.#runs.get(message.attemptId)?.run.receive(message);
        return;
      case "expect":
        this.#expect(message);
        return;
      case "event":
      case "output":
      case "cancelling":
      case "handlerReport":
        this.#runs.get(message.attemptId)?.run.receive(message);
        return;
      case "iterations":
      case "step":
        this.#endExpectation(message.attemptId);
        this.#runs.get(message.attemptId)?.run.receive(message);
        return;
      case "slot":
        this.#slotChanged(message);
        return;
      case "checkpoint":
        this.#endExpectation(message.attemptId);
        this.#checkpointed(message);
        return;
      case "pauseKey":
        this.#keyPaused(message);
        return;
      case "resourceStates":
        this.resourceStates = message.states;
        return;
      // Of the worker and its connection, said by other calls, or also in the log.
      case "accept":
      case "batch":
      case "draining":
      case "fatal":
      case "finish":
      case "isolatedStacks":
      case "logs":
      case "limit":
      case "paused":
      case "probeFailed":
      case "probed":
      case "resources":
      case "started":
      case "startupPhase":
      case "succeeded":
        return;
      default:
        message satisfies never;
    }
  }

  #phaseStarted(message: Extract<ToLink, { kind: "phaseStarted" }>): void {
    const followed = this.#runs.get(message.attemptId);
    if (followed === undefined) return;
    this.#endExpectation(message.attemptId);
    const { clock, deadlines } = this.#parts;
    followed.phases ??= new OpenPhases(clock, deadlines(), {
      event: (phase, change, attributes) =>
        followed.run.receive({
          kind: "event",
          attemptId: message.attemptId,
          name: `task.${phase}.${change}`,
          elapsedMs: 0,
          attributes,
        }),
    });
    followed.phases.started(message);
    if (followed.waits) followed.phases.suspend();
  }

  #slotChanged(message: Extract<ToLink, { kind: "slot" }>): void {
    const followed = this.#runs.get(message.attemptId);
    if (followed === undefined) return;
    followed.waits = message.release !== undefined;
    if (followed.waits) followed.phases?.suspend();
    else followed.phases?.resume();
    followed.run.receive(message);
  }

  #expect(message: Extract<ToLink, { kind: "expect" }>): void {
    const followed = this.#runs.get(message.attemptId);
    if (followed === undefined) return;
    followed.expects = true;
    followed.phases?.expect(message.sinceMs + message.quietForMs);
    followed.run.receive(message);
  }

  #endExpectation(attemptId: string): void {
    const followed = this.#runs.get(attemptId);
    if (!followed?.expects) return;
    followed.expects = false;
    followed.phases?.endExpectation();
  }

  #checkpointed(message: Extract<ToLink, { kind: "checkpoint" }>): void {
    const { attemptId, sequence } = message;
    this.#runs.get(attemptId)?.run.receive(message);
    queueMicrotask(() => this.#parts.answer({ kind: "checkpointAnswered", attemptId, sequence, error: "" }));
  }

  #keyPaused({ attemptId, key, untilMs, reason, requestId }: Extract<ToLink, { kind: "pauseKey" }>): void {
    const leftMs = untilMs - this.#parts.clock.monotonicMs();
    this.#runs.get(attemptId)?.run.paused({ key, forS: leftMs / 1000, reason });
    // A scheduler answers when the handler has returned to the loop.
    queueMicrotask(() => this.#parts.answer({ kind: "keyPauseAnswered", requestId, leftMs, error: "" }));
  }

  #end(attemptId: string, report: (run: LocalRun) => void): void {
    const followed = this.#runs.get(attemptId);
    this.#runs.delete(attemptId);
    followed?.phases?.cancel();
    if (followed !== undefined) report(followed.run);
  }
}
