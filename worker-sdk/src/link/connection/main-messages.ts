/** Handles what the main thread sends to the link. */
import { durationFromMs } from "../../duration.ts";
import type { Counters } from "../health/counters.ts";
import type { HeartbeatSender } from "../health/heartbeat.ts";
import type { WorkerStatus } from "../health/worker-status.ts";
import type { StartupPhaseMessage, ToLink } from "../messages.ts";
import type { AttemptReports } from "../outbox/attempt-reports.ts";
import type { KeyPauseRequests } from "../outbox/key-pauses.ts";
import type { LogOutbox } from "../outbox/log-outbox.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { PauseReports } from "../pressure/pause-reports.ts";
import type { StackRequests } from "../stacks/stack-requests.ts";
import type { FatalSender } from "./fatal-sender.ts";
import type { Shutdown } from "./shutdown.ts";

/** Parts that the messages of the main thread reach. */
export interface MainMessagesParts {
  readonly attempts: AttemptReports;
  readonly counters: Counters;
  readonly heartbeats: Pick<HeartbeatSender, "now" | "soon" | "stop">;
  readonly status: WorkerStatus;
  readonly outbox: Pick<Outbox, "control" | "flush">;
  readonly logs: Pick<LogOutbox, "add" | "flush">;
  readonly keyPauses: Pick<KeyPauseRequests, "ask">;
  readonly pauses: Pick<PauseReports, "note" | "probed">;
  readonly stacks: Pick<StackRequests, "isolated">;
  readonly fatal: Pick<FatalSender, "send">;
  readonly shutdown: Pick<Shutdown, "begin">;
  readonly startupPhase: (phase: StartupPhaseMessage) => void;
}

/** Gives each message of the main thread to the part that it is for. */
export class MainMessages {
  readonly #parts: MainMessagesParts;
  #logsScheduled = false;

  constructor(parts: MainMessagesParts) {
    this.#parts = parts;
  }

  receive(message: ToLink): void {
    const { attempts, counters, heartbeats, status, outbox, pauses } = this.#parts;
    switch (message.kind) {
      case "startupPhase":
        this.#parts.startupPhase(message.phase);
        return;
      case "accept":
        attempts.accept(message.attemptIds);
        return;
      case "started":
        attempts.started(message);
        return;
      case "succeeded":
        attempts.succeeded(message);
        return;
      case "reject":
        attempts.reject(message.attemptId, message.reason, message.detail);
        return;
      case "event":
        attempts.event(message);
        return;
      case "phaseStarted":
        attempts.phases.started(message);
        return;
      case "phaseExtended":
        attempts.phases.extended(message);
        return;
      case "phaseEnded":
        attempts.phases.ended(message);
        return;
      case "progress":
        attempts.progress(message);
        return;
      case "checkpoint":
        attempts.checkpoint(message);
        return;
      case "limit":
        status.limits.set(message.type, message.limit);
        counters.limitChanges.add(message.type);
        // Before what main releases because of it.
        heartbeats.now();
        return;
      case "expect":
        attempts.phases.expect(message);
        return;
      case "iterations":
        attempts.iterations(message);
        return;
      case "output":
        attempts.output(message);
        return;
      case "logs": {
        const { attemptId, lines, endSequence, dropped } = message;
        this.#parts.logs.add(attemptId, lines, endSequence, dropped);
        this.#flushLogsSoon();
        return;
      }
      case "step":
        attempts.step(message);
        return;
      case "handlerReport":
        attempts.handlerReport(message);
        return;
      case "slot":
        attempts.slot(message);
        return;
      case "cancelling":
        attempts.cancelling(message.attemptId);
        return;
      case "batch":
        counters.batches.add(message.type);
        counters.batchMembers.add(message.type, message.size);
        return;
      case "result":
        attempts.result(message);
        return;
      case "pauseKey":
        this.#parts.keyPauses.ask(message);
        return;
      case "forget":
        attempts.returned(message.attemptId);
        return;
      case "resources":
        status.resources = message.resources;
        heartbeats.soon();
        return;
      case "resourceStates":
        status.resourceStates = message.states;
        heartbeats.soon();
        return;
      case "paused":
        pauses.note(message.by, message.reason);
        return;
      case "probed":
        pauses.probed(message.reason);
        return;
      case "probeFailed":
        counters.add("probe_failures");
        return;
      case "draining":
        attempts.draining = true;
        outbox.control({
          case: "draining",
          value: { reason: message.reason, timeout: durationFromMs(message.deadlineMs) },
        });
        return;
      case "isolatedStacks":
        this.#parts.stacks.isolated(message.processes);
        return;
      case "fatal":
        heartbeats.stop();
        outbox.flush();
        this.#parts.fatal.send(message.fatal);
        return;
      case "finish":
        attempts.draining = true;
        this.#parts.shutdown.begin(message.reason, message.flushMs);
        return;
      default:
        message satisfies never;
    }
  }

  /** After the results and events of the same turn. */
  #flushLogsSoon(): void {
    if (this.#logsScheduled) return;
    this.#logsScheduled = true;
    setImmediate(() => {
      this.#logsScheduled = false;
      this.#parts.outbox.flush();
      this.#parts.logs.flush();
    });
  }
}
