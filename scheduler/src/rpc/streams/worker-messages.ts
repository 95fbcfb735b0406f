/** Handles what a registered worker sends on its stream. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SchedulerMessageSchema, WorkerMessage } from "@muster/protocol";
import type { KeyPauser } from "../../dispatch/admission/key-pauser.ts";
import type { SlotReports } from "../../dispatch/attempts/slot-reports.ts";
import type { WorkerReportHandler } from "../../dispatch/attempts/worker-report-handler.ts";
import type { SizeLimits } from "../../dispatch/limits.ts";
import type { Session } from "../../dispatch/sessions/session.ts";
import type { SessionReportHandler } from "../../dispatch/sessions/session-report-handler.ts";
import type { StackReader } from "../../dispatch/sessions/workers/stack-reader.ts";
import { invalidMessage } from "../../domain/refusals.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { ResultsFrame } from "../codec/results-frame.ts";
import {
  toAttemptKey,
  toEvent,
  toIterations,
  toProgress,
  toRejection,
} from "../convert/tasks/attempts/attempt-report.ts";
import { fromCheckpointAck, toCheckpoint } from "../convert/tasks/attempts/checkpoint.ts";
import { toHandlerReport } from "../convert/tasks/attempts/handler-report.ts";
import { toAskedPause } from "../convert/tasks/attempts/key-pause.ts";
import { toResult } from "../convert/tasks/attempts/result.ts";
import { toSlotRelease } from "../convert/tasks/attempts/slot-release.ts";
import { toReportedSteps } from "../convert/tasks/attempts/step.ts";
import { toLogMessage } from "../convert/tasks/attempts/task-log.ts";
import { toCount } from "../convert/values/numbers.ts";
import { storable } from "../convert/values/text.ts";
import { durationFromMs } from "../convert/values/time.ts";
import { toHeartbeat } from "../convert/workers/heartbeat.ts";
import { toStackAnswer } from "../convert/workers/stack.ts";
import { toFatal, toStartupPhase } from "../convert/workers/startup.ts";

/** The content of a message to a worker. */
export type SchedulerMessageKind = NonNullable<MessageInitShape<typeof SchedulerMessageSchema>["kind"]>;

/** Parts that the messages of a worker reach. */
export interface WorkerMessagesParts {
  readonly sessionReports: SessionReportHandler;
  readonly reportHandler: WorkerReportHandler;
  readonly slotReports: Pick<SlotReports, "handle">;
  readonly stacks: Pick<StackReader, "answered">;
  readonly keyPauser: Pick<KeyPauser, "pause">;
  readonly log: Logger;
  readonly counters: Counters;
  readonly sizes: SizeLimits;
}

/** Gives each message of one worker, converted and checked, to the part that it is for. */
export class WorkerMessages {
  readonly #parts: WorkerMessagesParts;
  readonly #reply: (kind: SchedulerMessageKind) => void;

  /** @param reply Sends a message to the worker, while its stream lasts. */
  constructor(parts: WorkerMessagesParts, reply: (kind: SchedulerMessageKind) => void) {
    this.#parts = parts;
    this.#reply = reply;
  }

  /** @throws Refusal for a message that is not valid. */
  handle(session: Session, { kind }: WorkerMessage | ResultsFrame): void {
    const { sessionReports, reportHandler, slotReports, stacks, sizes, counters } = this.#parts;
    switch (kind.case) {
      case "heartbeat":
        sessionReports.handleHeartbeat(session, toHeartbeat(kind.value));
        this.#reply({ case: "heartbeatAck", value: { sequence: kind.value.sequence } });
        return;
      case "taskAccepted":
        reportHandler.handleAccepted(session, kind.value.attemptIds.map(toAttemptKey));
        return reportHandler.handleStarted(session, kind.value.startedAttemptIds.map(toAttemptKey));
      case "taskRejected": {
        const { attemptId, reason, detail } = kind.value;
        return reportHandler.handleRejected(
          session,
          toAttemptKey(attemptId),
          toRejection(reason),
          storable(detail, 1_024),
        );
      }
      case "taskEvent":
        return reportHandler.handleEvent(session, toEvent(kind.value));
      case "taskEvents":
        // All are checked before the first one counts.
        for (const event of kind.value.events.map(toEvent)) reportHandler.handleEvent(session, event);
        return;
      case "taskProgress": {
        const { attemptId, progress, iterationCount } = kind.value;
        const key = toAttemptKey(attemptId);
        const iterations = toIterations(iterationCount);
        if (iterations !== undefined) reportHandler.handleIterations(session, key, iterations);
        if (progress || iterations === undefined)
          reportHandler.handleProgress(session, key, toProgress(progress));
        return;
      }
      case "taskOutput":
        return reportHandler.handleOutput(
          session,
          toAttemptKey(kind.value.attemptId),
          toCount(kind.value.sequence),
          kind.value.data,
        );
      case "taskLogs":
        return reportHandler.handleLogs(session, toLogMessage(kind.value));
      case "taskResults":
        return reportHandler.handleResults(
          session,
          kind.value.results.map((result) => toResult(result, sizes)),
        );
      case "taskCheckpoint": {
        const checkpoint = toCheckpoint(kind.value);
        if ("error" in checkpoint)
          return this.#reply({ case: "checkpointAck", value: fromCheckpointAck(checkpoint) });
        return reportHandler.handleCheckpoint(session, checkpoint);
      }
      case "stepReport": {
        const { attemptId, steps } = kind.value;
        return reportHandler.handleSteps(session, toAttemptKey(attemptId), toReportedSteps(steps));
      }
      case "handlerReport":
        return reportHandler.handleReport(
          session,
          toAttemptKey(kind.value.attemptId),
          toHandlerReport(kind.value),
        );
      case "slotReport": {
        const { attemptId, slotRelease } = kind.value;
        return slotReports.handle(
          session,
          toAttemptKey(attemptId),
          slotRelease && toSlotRelease(slotRelease),
        );
      }
      case "stackReport":
        return stacks.answered(session, kind.value.requestId, () => toStackAnswer(kind.value));
      case "keyPauseRequest":
        void this.#pauseKey(session, kind.value.requestId, toAskedPause(kind.value));
        return;
      case "startupPhase":
        return this.#follow(session, sessionReports.handleStartupPhase(session, toStartupPhase(kind.value)));
      case "workerFatal":
        return this.#follow(session, sessionReports.handleFatal(session, toFatal(kind.value)));
      case "draining":
        return this.#follow(
          session,
          sessionReports.handleDraining(session, storable(kind.value.reason, 1_024)),
        );
      case "goodbye":
        return this.#follow(
          session,
          sessionReports.handleGoodbye(session, storable(kind.value.reason, 1_024)),
        );
      case "hello":
        throw invalidMessage("hello came twice on one stream; it is the first message only");
      default:
        counters.unknownMessages++;
    }
  }

  async #pauseKey(
    session: Session,
    requestId: bigint,
    asked: ReturnType<typeof toAskedPause>,
  ): Promise<void> {
    const answer = "error" in asked ? asked : await this.#parts.keyPauser.pause(session, asked);
    const value =
      "error" in answer
        ? { requestId, error: answer.error }
        : { requestId, remaining: durationFromMs(Math.max(1, answer.leftMs)) };
    this.#reply({ case: "keyPauseAnswer", value });
  }

  /** Writes that the worker does not wait for. */
  #follow({ workerId }: Session, work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#parts.log.warn("worker.report_not_recorded", { worker_id: workerId, error });
    });
  }
}
