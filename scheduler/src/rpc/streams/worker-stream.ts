/** The stream of a worker. */
import { create } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import {
  type Hello,
  type SchedulerMessage,
  SchedulerMessageSchema,
  type WorkerMessage,
} from "@muster/protocol";
import type {
  CheckpointAck,
  OutgoingAssignment,
  QueueViewEntry,
  ResultAck,
  WorkerLink,
} from "../../dispatch/sessions/link.ts";
import type { Registrar } from "../../dispatch/sessions/registration.ts";
import type { Session } from "../../dispatch/sessions/session.ts";
import type { SessionLiveness } from "../../dispatch/sessions/session-liveness.ts";
import { DatabaseUnavailableError, Refusal } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import { databaseUnavailable, invalidHello } from "../../domain/refusals.ts";
import { quarantineInWords } from "../../domain/workers/quarantine.ts";
import { assignmentsFrame, type Frame, resultAcksFrame } from "../codec/frames.ts";
import type { ResultsFrame } from "../codec/results-frame.ts";
import { fromCheckpointAck } from "../convert/tasks/attempts/checkpoint.ts";
import { durationFromMs } from "../convert/values/time.ts";
import { toRegistration } from "../convert/workers/hello.ts";
import { fromRegistered, type WelcomeFacts } from "../convert/workers/welcome.ts";
import { Malformed } from "../server/bridge.ts";
import { isInternal, toGrpcError } from "../server/errors.ts";
import type { StreamRejector } from "./stream-rejector.ts";
import { type SchedulerMessageKind, WorkerMessages, type WorkerMessagesParts } from "./worker-messages.ts";

/**
 * Messages that wait for a worker to read them; with more it is cut off. Its slots and prefetch bound what
 * carries payloads, so that this is for one that goes on to send and does not read the answers.
 */
const MAX_UNREAD_MESSAGES = 10_000;

/** Largest frame of assignments: half a message, so that its own overhead always fits. */
const MAX_FRAME_SHARE = 0.5;

/** Parts that a worker stream uses. */
export interface WorkerStreamParts extends WorkerMessagesParts, WelcomeFacts {
  readonly registrar: Pick<Registrar, "register">;
  readonly liveness: Pick<SessionLiveness, "streamEnded">;
  readonly rejector: StreamRejector;
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
  readonly #messages: WorkerMessages;
  #acks: ResultAck[] = [];
  #stopHelloTimer: () => void = () => undefined;

  constructor(call: Call, parts: WorkerStreamParts) {
    this.#call = call;
    this.#peer = call.getPeer();
    this.#parts = parts;
    this.#messages = new WorkerMessages(parts, (kind) => this.#send(kind));
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
      if (this.#session) this.#messages.handle(this.#session, message);
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
      this.#send({ case: "welcome", value: fromRegistered(session, decisions, this.#parts) });
      if (session.quarantine) this.quarantined(quarantineInWords(session.quarantine.record));
      this.#call.resume();
      onWork();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Writes that the worker does not wait for. */
  #follow(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#parts.log.warn("worker.report_not_recorded", { worker_id: this.#session?.workerId, error });
    });
  }

  get unreadCount(): number {
    return this.#call.writableLength;
  }

  #flushAcks(): void {
    const acks = this.#acks.splice(0);
    if (acks.length === 0) return;
    this.#write(resultAcksFrame(acks));
  }

  #send(kind: SchedulerMessageKind): void {
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
