/** Handles what the scheduler sends on a stream after its Welcome, and the decisions of the Welcome itself. */
import type { AttemptDecision, ResultAck } from "@muster/protocol";
import { msFromDuration } from "../../duration.ts";
import type { Incoming } from "../codec/assignments-frame.ts";
import type { Counters } from "../health/counters.ts";
import type { HeartbeatSender } from "../health/heartbeat.ts";
import type { FromLink } from "../messages.ts";
import type { AttemptReports } from "../outbox/attempt-reports.ts";
import type { InFlightAttempts } from "../outbox/in-flight.ts";
import type { KeyPauseRequests } from "../outbox/key-pauses.ts";
import type { LogOutbox } from "../outbox/log-outbox.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { StackRequests } from "../stacks/stack-requests.ts";
import { controlMessageFor } from "./control-messages.ts";
import type { FatalSender } from "./fatal-sender.ts";
import type { Shutdown } from "./shutdown.ts";

export interface SchedulerMessagesParts {
  readonly attempts: AttemptReports;
  readonly inFlight: InFlightAttempts;
  readonly heartbeats: HeartbeatSender;
  readonly counters: Counters;
  readonly shutdown: Shutdown;
  readonly keyPauses: Pick<KeyPauseRequests, "answered">;
  readonly outbox: Pick<Outbox, "checkpointAnswered">;
  readonly logs: Pick<LogOutbox, "acknowledged">;
  readonly fatal: Pick<FatalSender, "resultsAcknowledged">;
  readonly stacks: Pick<StackRequests, "asked">;
  readonly emit: (message: FromLink) => void;
}

export class SchedulerMessages {
  readonly #parts: SchedulerMessagesParts;

  constructor(parts: SchedulerMessagesParts) {
    this.#parts = parts;
  }

  /** Revokes the attempts that the scheduler did not keep at a reconnect, and cancels those cancelled meanwhile. */
  decided(decisions: readonly AttemptDecision[]): void {
    const { attempts, inFlight, emit } = this.#parts;
    for (const { attemptId, keep, reason, cancelled } of decisions) {
      if (!keep) attempts.revoke(attemptId, reason || "not kept at reconnect");
      else if (cancelled && inFlight.get(attemptId)?.result === undefined) {
        const message = { attemptId, reason: "cancelled while disconnected", graceMs: undefined };
        emit({ kind: "cancel", ...message, timedOut: false });
      }
    }
  }

  receive({ kind }: Incoming): void {
    const { attempts, inFlight, heartbeats, counters, emit } = this.#parts;
    switch (kind.case) {
      case "heartbeatAck":
        heartbeats.answered();
        return;
      case "assignments":
        attempts.assignments(kind.value.assignments);
        return;
      case "cancelAttempt": {
        const { attemptId, reason, grace, timedOut } = kind.value;
        if (inFlight.get(attemptId) === undefined) return;
        emit({ kind: "cancel", attemptId, reason, graceMs: msFromDuration(grace), timedOut });
        return;
      }
      case "revokeAttempt":
        attempts.revoke(kind.value.attemptId, kind.value.reason);
        return;
      case "checkpointAck":
        this.#parts.outbox.checkpointAnswered(kind.value);
        return;
      case "stackRequest":
        this.#parts.stacks.asked(kind.value);
        return;
      case "keyPauseAnswer":
        this.#parts.keyPauses.answered(kind.value);
        return;
      case "taskLogsAck":
        this.#parts.logs.acknowledged(Number(kind.value.batchNumber));
        this.#parts.shutdown.endWhenAcknowledged();
        return;
      case "resultAcks":
        this.#acknowledged(kind.value.acks);
        return;
      default: {
        const controlMessage = controlMessageFor(kind);
        if (controlMessage !== undefined) emit(controlMessage);
        // A message of a newer scheduler, or a second Welcome.
        else counters.add("unknown_messages");
      }
    }
  }

  #acknowledged(acks: readonly ResultAck[]): void {
    const { attempts, inFlight, counters, shutdown, fatal, emit } = this.#parts;
    const notified: string[] = [];
    for (const { attemptId, stale, invalid, detail } of acks) {
      const notify = inFlight.get(attemptId)?.notify === true;
      attempts.forget(attemptId);
      if (!stale && !invalid) {
        if (notify) notified.push(attemptId);
        continue;
      }
      counters.add("results_refused");
      emit({ kind: "refused", attemptId, stale, detail });
    }
    if (notified.length > 0) emit({ kind: "acknowledged", attemptIds: notified });
    shutdown.endWhenAcknowledged();
    fatal.resultsAcknowledged();
  }
}
