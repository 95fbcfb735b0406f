/** One stream of a worker: what it sent, and what the case sends. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, type ServerDuplexStream, type status as Status } from "@grpc/grpc-js";
import {
  type AssignmentSchema,
  type CancelAttemptSchema,
  ERROR_DOMAIN,
  ErrorInfoSchema,
  type Heartbeat,
  type Hello,
  type SchedulerMessage,
  SchedulerMessageSchema,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  type TaskEvent,
  type TaskRejected,
  type TaskResult,
  type WelcomeSchema,
  type WorkerMessage,
  WorkerMessageSchema,
} from "@muster/protocol";
import type { Changes } from "./changes.ts";
import { seconds as duration } from "./durations.ts";
import { describeMessage, type Transcript } from "./transcript.ts";

/** Heartbeat interval, lease and grace of `Welcome`, milliseconds: a thirtieth to a tenth of the defaults. */
export const BEAT_MS = 500;
export const LEASE_MS = 3_000;
export const GRACE_MS = 2_000;
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
export const MAX_RESULT_BYTES = 1024 * 1024;

/** Above this a frame is not written out: its JSON takes the processor for longer than a heartbeat interval. */
const LARGE_BYTES = 256 * 1024;

function isLarge(assignments: readonly { readonly payload: Uint8Array }[]): boolean {
  return assignments.some(({ payload }) => payload.byteLength > LARGE_BYTES);
}

/** A frame of the worker. */
export type Frame =
  | { readonly bytes: number; readonly message: WorkerMessage; readonly fault?: undefined }
  | { readonly bytes: number; readonly message?: undefined; readonly fault: string };

/** Values of worker messages by kind. */
type Values = { [M in Exclude<WorkerMessage["kind"], { case: undefined }> as M["case"]]: M["value"] };
export type Kind = keyof Values;
type SchedulerKind = NonNullable<MessageInitShape<typeof SchedulerMessageSchema>["kind"]>;
export type WelcomeFields = MessageInitShape<typeof WelcomeSchema>;

/** A message of the worker: its place in the stream, when it came, and how large its frame was. */
export interface Received<K extends Kind = Kind> {
  readonly index: number;
  readonly atMs: number;
  readonly bytes: number;
  readonly kind: K;
  readonly value: Values[K];
}

interface Parts {
  /** From 1. */
  readonly number: number;
  /** Cuts the connection. */
  readonly cut: () => void;
  /** Answers Hello. */
  readonly answer: (stream: WorkerStream) => void;
  readonly transcript: Transcript;
  readonly changes: Changes;
}

/** One stream. */
export class WorkerStream {
  readonly number: number;
  readonly received: Received[] = [];
  readonly openedAtMs: number;
  /** Since the worker half-closed; undefined before. */
  halfClosedAtMs: number | undefined;
  /** Since the stream ended, on whichever side; undefined before. */
  endedAtMs: number | undefined;
  /** False: heartbeats are read and not acknowledged. */
  ackBeats = true;
  /** False: results are read and not acknowledged. */
  ackResults = true;
  /** When the last heartbeat was acknowledged. */
  ackedAtMs: number | undefined;
  readonly #call: ServerDuplexStream<Frame, SchedulerMessage>;
  readonly #parts: Parts;

  constructor(call: ServerDuplexStream<Frame, SchedulerMessage>, parts: Parts) {
    this.#call = call;
    this.#parts = parts;
    this.number = parts.number;
    this.openedAtMs = parts.changes.nowMs;
    this.#note("a stream begins");
    call.on("data", (frame: Frame) => this.#receive(frame));
    call.on("end", () => {
      // A connection that is cut ends what is read as well.
      if (this.ended) return;
      this.halfClosedAtMs = parts.changes.nowMs;
      this.#note("half-closed by the worker; the scheduler ends it with OK");
      call.end();
      this.#end();
    });
    call.on("cancelled", () => {
      if (!this.ended) this.#note("cancelled or lost");
      this.#end();
    });
    call.on("error", () => this.#end());
  }

  /** True once it has ended, on whichever side. */
  get ended(): boolean {
    return this.endedAtMs !== undefined;
  }

  /** Header `authorization`. */
  get authorization(): string {
    return String(this.#call.metadata.get("authorization")[0] ?? "");
  }

  /** The first message, which a worker must send first. */
  get hello(): Hello | undefined {
    const [first] = this.received;
    return first?.kind === "hello" ? (first as Received<"hello">).value : undefined;
  }

  /** All messages of a kind, in order. */
  all<K extends Kind>(kind: K): Received<K>[] {
    return this.received.filter((each): each is Received<K> => each.kind === kind);
  }

  /** All heartbeats. */
  get heartbeats(): Received<"heartbeat">[] {
    return this.all("heartbeat");
  }

  /** Events of an attempt. */
  events(attemptId: string): TaskEvent[] {
    return this.all("taskEvent").flatMap(({ value }) => (value.attemptId === attemptId ? value : []));
  }

  /** Results of an attempt, with when they came. */
  results(
    attemptId: string,
  ): { readonly index: number; readonly atMs: number; readonly result: TaskResult }[] {
    return this.all("taskResults").flatMap(({ index, atMs, value }) =>
      value.results.flatMap((result) => (result.attemptId === attemptId ? { index, atMs, result } : [])),
    );
  }

  /** Waits for the first message of this kind that matches. */
  next<K extends Kind>(
    kind: K,
    expected: string,
    matches: (value: Values[K]) => boolean = () => true,
    withinMs?: number,
  ): Promise<Received<K>> {
    return this.#until(expected, () => this.all(kind).find(({ value }) => matches(value)), withinMs);
  }

  /** Waits for the acceptance of an attempt. */
  accepted(attemptId: string, withinMs?: number): Promise<Received> {
    const has = (value: Values["taskAccepted"]): boolean => value.attemptIds.includes(attemptId);
    return this.next("taskAccepted", `TaskAccepted of ${attemptId}`, has, withinMs);
  }

  /** Waits for the start of an attempt's handler, as an event or in an acceptance. */
  started(attemptId: string, withinMs?: number): Promise<Received> {
    const look = (): Received | undefined =>
      this.all("taskAccepted").find(({ value }) => value.startedAttemptIds.includes(attemptId)) ??
      this.all("taskEvent").find(
        ({ value }) => value.attemptId === attemptId && value.name === "task.started",
      );
    return this.#until(`the start of ${attemptId}`, look, withinMs);
  }

  /** Waits for the result of an attempt. */
  async result(attemptId: string, withinMs?: number): Promise<TaskResult> {
    const found = await this.#until(`the result of ${attemptId}`, () => this.results(attemptId)[0], withinMs);
    return found.result;
  }

  /** Waits for the rejection of an attempt. */
  async rejection(attemptId: string): Promise<TaskRejected> {
    const isIt = (value: TaskRejected): boolean => value.attemptId === attemptId;
    return (await this.next("taskRejected", `TaskRejected of ${attemptId}`, isIt)).value;
  }

  /** Waits for a heartbeat that comes after now and matches. */
  async beat(
    expected = "a heartbeat",
    matches: (beat: Heartbeat) => boolean = () => true,
    withinMs?: number,
  ): Promise<Heartbeat> {
    const from = this.received.length;
    const look = () => this.heartbeats.find(({ index, value }) => index >= from && matches(value));
    return (await this.#until(expected, look, withinMs)).value;
  }

  /** Waits until so many further heartbeats have come: what the worker sends by itself has then come, too. */
  async nextBeats(count: number): Promise<void> {
    const wanted = this.heartbeats.length + count;
    await this.#until(
      `${count} more heartbeats`,
      () => (this.heartbeats.length >= wanted ? true : undefined),
      undefined,
    );
  }

  /** Waits until the stream has ended. */
  async end(expected: string, withinMs?: number): Promise<number> {
    return this.#until(expected, () => this.endedAtMs, withinMs);
  }

  /** Sends a message. */
  send(kind: SchedulerKind): void {
    this.write(create(SchedulerMessageSchema, { kind }));
  }

  /** Sends a message that the case has built. */
  write(message: SchedulerMessage): void {
    if (this.ended) return;
    const { kind } = message;
    const large = kind.case === "assignments" && isLarge(kind.value.assignments);
    const text = large
      ? "assignments with a large payload"
      : describeMessage(SchedulerMessageSchema, message);
    this.#note(`<- ${text}`, kind.case === "heartbeatAck");
    this.#call.write(message);
  }

  /** Registers the worker; keeps every attempt that it holds unless `fields` say otherwise. */
  welcome(fields: WelcomeFields = {}): void {
    const decisions = (this.hello?.inFlight ?? []).map(({ attemptId }) => ({ attemptId, keep: true }));
    this.send({
      case: "welcome",
      value: {
        schedulerId: "conformance",
        heartbeatInterval: duration(BEAT_MS / 1000),
        lease: duration(LEASE_MS / 1000),
        reconnectGrace: duration(GRACE_MS / 1000),
        acceptDeadline: duration(5),
        maxMessageBytes: BigInt(MAX_MESSAGE_BYTES),
        maxResultBytes: BigInt(MAX_RESULT_BYTES),
        protocolVersion: 1,
        decisions,
        ...fields,
      },
    });
  }

  /** Assigns an attempt with a JSON payload. */
  assign(
    attemptId: string,
    taskType: string,
    payload: unknown = null,
    fields: MessageInitShape<typeof AssignmentSchema> = {},
  ): void {
    const assignment = {
      ...{ attemptId, taskType, queue: "default", attemptNumber: 1, maxAttemptCount: 4 },
      taskId: attemptId.split(".")[0] ?? attemptId,
      payload: Buffer.from(JSON.stringify(payload)),
      contentType: "application/json",
      ...fields,
    };
    this.send({ case: "assignments", value: { assignments: [assignment] } });
  }

  /** Acknowledges the result of an attempt. */
  ack(attemptId: string): void {
    this.send({ case: "resultAcks", value: { acks: [{ attemptId }] } });
  }

  /** Asks the handler of an attempt to stop. */
  cancel(attemptId: string, fields: MessageInitShape<typeof CancelAttemptSchema> = {}): void {
    this.send({
      case: "cancelAttempt",
      value: { attemptId, reason: "asked by the case", grace: duration(5), ...fields },
    });
  }

  /** Takes an attempt from the worker. */
  revoke(attemptId: string): void {
    this.send({ case: "revokeAttempt", value: { attemptId, reason: "asked by the case" } });
  }

  /** Ends the stream with a status; with a reason it carries `google.rpc.ErrorInfo`. */
  fail(code: Status, reason: string, message: string): void {
    this.#note(`<- ends with status ${code} ${reason} "${message}"`);
    const metadata = new Metadata();
    if (reason !== "") {
      const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain: ERROR_DOMAIN, reason }));
      const status = create(StatusSchema, { code, message, details: [info] });
      metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(toBinary(StatusSchema, status)));
    }
    this.#call.emit("error", { code, details: message, metadata });
    this.#end();
  }

  /** Cuts the connection below the stream, as a network does. */
  cut(): void {
    this.#note("<- the connection is cut");
    this.#parts.cut();
    this.#end();
  }

  /** Reads nothing more: the windows of HTTP/2 fill. */
  stopReading(): void {
    this.#note("<- the scheduler stops reading");
    this.#call.pause();
  }

  /** Reads again. */
  readAgain(): void {
    this.#note("<- the scheduler reads again");
    this.#call.resume();
  }

  #receive({ bytes, message, fault }: Frame): void {
    if (message === undefined || message.kind.case === undefined) {
      this.#note(`-> ${bytes} bytes that are no known message: ${fault ?? "the kind is unknown"}`);
      return;
    }
    const { case: kind, value } = message.kind;
    const index = this.received.length;
    this.received.push({ index, atMs: this.#parts.changes.nowMs, bytes, kind, value });
    const text =
      bytes > LARGE_BYTES ? `${kind} of ${bytes} bytes` : describeMessage(WorkerMessageSchema, message);
    this.#note(`-> ${text}`, kind === "heartbeat");
    if (kind === "hello" && index === 0) this.#parts.answer(this);
    if (kind === "heartbeat" && this.ackBeats) {
      this.ackedAtMs = this.#parts.changes.nowMs;
      this.send({ case: "heartbeatAck", value: { sequence: (value as Heartbeat).sequence } });
    }
    if (kind === "taskResults" && this.ackResults)
      for (const { attemptId } of (value as Values["taskResults"]).results) this.ack(attemptId);
    this.#parts.changes.notify();
  }

  #until<T>(expected: string, look: () => T | undefined, withinMs: number | undefined): Promise<T> {
    const where = `${expected} on stream ${this.number}`;
    return this.#parts.changes.until(where, look, {
      ...(withinMs === undefined ? {} : { withinMs }),
      came: () => (this.ended ? `stream ${this.number} has ended` : "it did not come"),
    });
  }

  #end(): void {
    this.endedAtMs ??= this.#parts.changes.nowMs;
    this.#parts.changes.notify();
  }

  #note(text: string, beat = false): void {
    this.#parts.transcript.add(`stream ${this.number} ${text}`, beat);
  }
}
