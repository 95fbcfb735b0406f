/** The stream of a worker. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import {
  type Hello,
  PROTOCOL_VERSION,
  type SchedulerMessage,
  SchedulerMessageSchema,
  type WelcomeSchema,
  type WorkerMessage,
} from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { KeyPauser } from "../../dispatch/admission/key-pauser.ts";
import type { SlotReports } from "../../dispatch/attempts/slot-reports.ts";
import type { WorkerReportHandler } from "../../dispatch/attempts/worker-report-handler.ts";
import type { LeaseSettings, SizeLimits } from "../../dispatch/limits.ts";
import type {
  CheckpointAck,
  OutgoingAssignment,
  QueueViewEntry,
  ResultAck,
  WorkerLink,
} from "../../dispatch/sessions/link.ts";
import type { AttemptDecision } from "../../dispatch/sessions/reconcile.ts";
import type { Registrar } from "../../dispatch/sessions/registration.ts";
import type { Session } from "../../dispatch/sessions/session.ts";
import type { SessionLiveness } from "../../dispatch/sessions/session-liveness.ts";
import type { SessionReportHandler } from "../../dispatch/sessions/session-report-handler.ts";
import type { StackReader } from "../../dispatch/sessions/workers/stack-reader.ts";
import { DatabaseUnavailableError, Refusal } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import { databaseUnavailable, invalidHello, invalidMessage } from "../../domain/refusals.ts";
import type { WatchSettings } from "../../domain/tasks/attempts/watchdog.ts";
import { quarantineInWords } from "../../domain/workers/quarantine.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { assignmentsFrame, type Frame, resultAcksFrame } from "../codec/frames.ts";
import type { ResultsFrame } from "../codec/results-frame.ts";
import {
  toAttemptKey,
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
import { storable, storableEntries } from "../convert/values/text.ts";
import { durationFromMs, durations, timestampFromMs } from "../convert/values/time.ts";
import { toHeartbeat } from "../convert/workers/heartbeat.ts";
import { toRegistration } from "../convert/workers/hello.ts";
import { toStackAnswer } from "../convert/workers/stack.ts";
import { toFatal, toStartupPhase } from "../convert/workers/startup.ts";
import { Malformed } from "../server/bridge.ts";
import { isInternal, toGrpcError } from "../server/errors.ts";
import type { StreamRejector } from "./stream-rejector.ts";

/**
 * Messages that wait for a worker to read them; with more it is cut off. Its slots and prefetch bound what
 * carries payloads, so that this is for one that goes on to send and does not read the answers.
 */
const MAX_UNREAD_MESSAGES = 10_000;

/** Features beyond the protocol's first version, as Welcome lists them. */
const FEATURES = [
  ...["brief_starts", "key_pauses", "checkpoints", "steps", "handler_reports", "adaptive_limits"],
  "slot_release",
];
const TASK_LOGS = "task_logs";

/** Largest frame of assignments: half a message, so that its own overhead always fits. */
const MAX_FRAME_SHARE = 0.5;

/** Parts that a worker stream uses. */
export interface WorkerStreamParts {
  readonly registrar: Pick<Registrar, "register">;
  readonly liveness: Pick<SessionLiveness, "streamEnded">;
  readonly sessionReports: SessionReportHandler;
  readonly rejector: StreamRejector;
  readonly reportHandler: WorkerReportHandler;
  readonly slotReports: Pick<SlotReports, "handle">;
  readonly stacks: Pick<StackReader, "answered">;
  readonly keyPauser: Pick<KeyPauser, "pause">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  /** Lines of handlers are kept. */
  readonly takesLogs: boolean;
  readonly leases: LeaseSettings;
  readonly watch: WatchSettings;
  readonly sizes: SizeLimits;
  readonly schedulerId: string;
  /** Time allowed for the first message (`Hello`), milliseconds. */
  readonly helloTimeoutMs: number;
  readonly onWork: () => void;
}

/** What arrives on a worker's stream. */
export type Incoming = WorkerMessage | ResultsFrame | Malformed;

type Call = ServerDuplexStream<Incoming, SchedulerMessage | Frame>;

/** Serves one worker stream from hello to its end. */
export function serveWorkerStream(call: Call, parts: WorkerStreamParts): void {
  new WorkerStream(call, parts).start();
}

class WorkerStream implements WorkerLink {
  readonly #call: Call;
  readonly #parts: WorkerStreamParts;
  #session: Session | undefined;
  #hello: Hello | undefined;
  /** Asked for at the start: a stream that was cut has none. */
  readonly #peer: string;
  #over = false;
  #acks: ResultAck[] = [];
  #stopHelloTimer: () => void = () => undefined;

  constructor(call: Call, parts: WorkerStreamParts) {
    this.#call = call;
    this.#peer = call.getPeer();
    this.#parts = parts;
  }

  start(): void {
    const { clock, helloTimeoutMs } = this.#parts;
    this.#stopHelloTimer = clock.after(helloTimeoutMs, () => {
      this.close(
        new Refusal(
          "deadline",
          "HELLO_TIMEOUT",
          `no Hello arrived within ${helloTimeoutMs} ms of the stream's start`,
        ),
      );
    });
    this.#call.on("data", (message: Incoming) => this.#receive(message));
    this.#call.on("end", () => {
      this.#ended("the worker closed the stream");
      this.#call.end();
    });
    this.#call.on("cancelled", () => this.#ended("the connection was cut"));
    this.#call.on("error", (error) => this.#ended(error.message));
    this.#call.on("close", () => this.#ended("the connection was cut"));
  }

  assign(assignments: readonly OutgoingAssignment[]): void {
    const limit = this.#parts.sizes.maxMessageBytes * MAX_FRAME_SHARE;
    let start = 0;
    let bytes = 0;
    for (const [index, { payload, checkpoint }] of assignments.entries()) {
      const size = payload.byteLength + (checkpoint?.value.byteLength ?? 0) + 1_024;
      if (index > start && bytes + size > limit) {
        this.#write(assignmentsFrame(assignments.slice(start, index)));
        start = index;
        bytes = 0;
      }
      bytes += size;
    }
    if (start < assignments.length) this.#write(assignmentsFrame(assignments.slice(start)));
  }

  cancel(key: AttemptKey, reason: string, graceMs: number, timedOut: boolean): void {
    this.#send({
      case: "cancelAttempt",
      value: { attemptId: formatAttemptId(key), reason, grace: durationFromMs(graceMs), timedOut },
    });
  }

  revoke(key: AttemptKey, reason: string): void {
    this.#send({ case: "revokeAttempt", value: { attemptId: formatAttemptId(key), reason } });
  }

  ackResults(acks: readonly ResultAck[]): void {
    // Acknowledgements of one commit arrive one by one; they leave in one frame.
    if (this.#acks.length === 0) setImmediate(() => this.#flushAcks());
    this.#acks.push(...acks);
  }

  ackCheckpoint(ack: CheckpointAck): void {
    this.#send({ case: "checkpointAck", value: fromCheckpointAck(ack) });
  }

  ackLogs(batchNumber: number): void {
    this.#send({ case: "taskLogsAck", value: { batchNumber: BigInt(batchNumber) } });
  }

  drain(reason: string, deadlineMs: number | undefined): void {
    const timeout = deadlineMs === undefined ? {} : { timeout: durationFromMs(deadlineMs) };
    this.#send({ case: "drain", value: { reason, ...timeout } });
  }

  pause(reason: string): void {
    this.#send({ case: "pause", value: { reason } });
  }

  resume(reason: string): void {
    this.#send({ case: "resume", value: { reason } });
  }

  quarantined(reason: string): void {
    // Before the Welcome it is not registered; a notice follows that.
    if (this.#session) this.#send({ case: "quarantine", value: { active: true, reason } });
  }

  quarantineEnded(reason: string): void {
    if (this.#session) this.#send({ case: "quarantine", value: { active: false, reason } });
  }

  queueView(entries: readonly QueueViewEntry[]): void {
    this.#send({
      case: "queueView",
      value: {
        entries: entries.map(({ queue, type, ready, removedBy, detail }) => ({
          queue,
          taskType: type,
          readyCount: BigInt(ready),
          removedBy,
          detail,
        })),
      },
    });
  }

  prepare(resource: string, waitingTasks: number): void {
    this.#send({ case: "prepareResource", value: { resource, waitingTaskCount: BigInt(waitingTasks) } });
  }

  releaseResource(resource: string, reason: string): void {
    this.#send({ case: "releaseResource", value: { resource, reason } });
  }

  requestStack(requestId: string, attemptId: string): void {
    this.#send({ case: "stackRequest", value: { requestId, attemptId } });
  }

  close(refusal: Refusal): void {
    if (this.#over) return;
    if (!this.#session) this.#parts.rejector.record(refusal, this.#peer, this.#hello);
    this.#flushAcks();
    // Those may have been one too many for a worker that does not read.
    if (this.#over) return;
    this.#ended(refusal.message);
    this.#call.emit("error", toGrpcError(refusal));
  }

  #receive(message: Incoming): void {
    if (this.#over) return;
    try {
      if (message instanceof Malformed) throw message.refusal();
      if (this.#session) this.#handle(this.#session, message);
      else this.#greet(message);
    } catch (error) {
      this.#fail(error);
    }
  }

  #greet({ kind }: WorkerMessage | ResultsFrame): void {
    this.#stopHelloTimer();
    if (kind.case !== "hello") {
      throw invalidHello(`the first message must be hello, not ${kind.case ?? "empty"}`);
    }
    // What follows waits until the registration is committed.
    this.#call.pause();
    this.#hello = kind.value;
    void this.#register(kind.value);
  }

  async #register(hello: Hello): Promise<void> {
    const { registrar, liveness, rejector, onWork } = this.#parts;
    try {
      const registration = toRegistration(hello);
      const { session, decisions } = await registrar.register(registration, this);
      if (this.#over) {
        await liveness.streamEnded(session, this, "the connection was cut during the registration");
        return;
      }
      this.#session = session;
      this.#hello = undefined;
      rejector.admitted(session.workerId);
      this.#send({ case: "welcome", value: this.#welcome(session, decisions) });
      if (session.quarantine) this.quarantined(quarantineInWords(session.quarantine.record));
      this.#call.resume();
      onWork();
    } catch (error) {
      this.#fail(error);
    }
  }

  #handle(session: Session, { kind }: WorkerMessage | ResultsFrame): void {
    const { sessionReports, reportHandler, sizes, counters } = this.#parts;
    switch (kind.case) {
      case "heartbeat":
        sessionReports.handleHeartbeat(session, toHeartbeat(kind.value));
        this.#send({ case: "heartbeatAck", value: { sequence: kind.value.sequence } });
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
      case "taskEvent": {
        const { attemptId, sequence, name, attributes } = kind.value;
        return reportHandler.handleEvent(session, {
          key: toAttemptKey(attemptId),
          sequence: toCount(sequence),
          name: storable(name, 200),
          attributes: storableEntries(attributes, 64, 4_096),
        });
      }
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
        if ("error" in checkpoint) return this.ackCheckpoint(checkpoint);
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
        const { slotReports } = this.#parts;
        return slotReports.handle(
          session,
          toAttemptKey(attemptId),
          slotRelease && toSlotRelease(slotRelease),
        );
      }
      case "stackReport":
        return this.#parts.stacks.answered(session, kind.value.requestId, () => toStackAnswer(kind.value));
      case "keyPauseRequest":
        void this.#pauseKey(session, kind.value.requestId, toAskedPause(kind.value));
        return;
      case "startupPhase":
        return this.#follow(sessionReports.handleStartupPhase(session, toStartupPhase(kind.value)));
      case "workerFatal":
        return this.#follow(sessionReports.handleFatal(session, toFatal(kind.value)));
      case "draining":
        return this.#follow(sessionReports.handleDraining(session, storable(kind.value.reason, 1_024)));
      case "goodbye":
        return this.#follow(sessionReports.handleGoodbye(session, storable(kind.value.reason, 1_024)));
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
    this.#send({ case: "keyPauseAnswer", value });
  }

  /** Writes that the worker does not wait for. */
  #follow(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#parts.log.warn("worker.report_not_recorded", { worker_id: this.#session?.workerId, error });
    });
  }

  #welcome(
    { operatorPause }: Session,
    decisions: readonly AttemptDecision[],
  ): MessageInitShape<typeof WelcomeSchema> {
    const { clock, leases, sizes, schedulerId, watch } = this.#parts;
    return {
      schedulerId,
      schedulerTime: timestampFromMs(clock.now()),
      heartbeatInterval: durationFromMs(leases.heartbeatMs),
      lease: durationFromMs(leases.leaseMs),
      reconnectGrace: durationFromMs(leases.graceMs),
      acceptDeadline: durationFromMs(leases.acceptDeadlineMs),
      phaseWarnings: durations(watch.phasesMs),
      decisions: decisions.map(({ key, keep, reason, cancelled }) => ({
        attemptId: formatAttemptId(key),
        keep,
        reason,
        cancelled,
      })),
      maxMessageBytes: BigInt(sizes.maxMessageBytes),
      maxResultBytes: BigInt(sizes.maxResultBytes),
      protocolVersion: PROTOCOL_VERSION,
      features: this.#parts.takesLogs ? [...FEATURES, TASK_LOGS] : [...FEATURES],
      ...(operatorPause ? { pause: { reason: operatorPause.reason } } : {}),
    };
  }

  get unreadCount(): number {
    return this.#call.writableLength;
  }

  #flushAcks(): void {
    const acks = this.#acks.splice(0);
    if (acks.length === 0) return;
    this.#write(resultAcksFrame(acks));
  }

  #send(kind: NonNullable<MessageInitShape<typeof SchedulerMessageSchema>["kind"]>): void {
    if (!this.#over) this.#write(create(SchedulerMessageSchema, { kind }));
  }

  #write(message: SchedulerMessage | Frame): void {
    if (this.#over) return;
    // The stream is in object mode: its length counts messages.
    const unread = this.unreadCount;
    if (unread > MAX_UNREAD_MESSAGES) {
      this.close(
        new Refusal(
          "exhausted",
          "SLOW_WORKER",
          `${unread} messages wait for the worker to read them, at most ${MAX_UNREAD_MESSAGES} may; ` +
            "see why its process does not read its stream",
        ),
      );
      return;
    }
    this.#call.write(message);
  }

  #fail(error: unknown): void {
    if (isInternal(error)) {
      this.#parts.counters.internalErrors.add("WorkerStream");
      this.#parts.log.error("worker.stream_failed", { error });
    }
    if (error instanceof Refusal) this.close(error);
    else if (error instanceof DatabaseUnavailableError) this.close(databaseUnavailable(error));
    else {
      this.#ended("internal error");
      this.#call.emit("error", toGrpcError(error));
    }
  }

  #ended(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopHelloTimer();
    if (!this.#session) return;
    this.#follow(this.#parts.liveness.streamEnded(this.#session, this, reason));
  }
}
