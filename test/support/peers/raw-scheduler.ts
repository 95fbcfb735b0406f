/** A scheduler of which a test decides every message. */
import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, DurationSchema } from "@bufbuild/protobuf/wkt";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { Metadata, Server, ServerCredentials, status as Status } from "@grpc/grpc-js";
import type { AssignmentSchema, SchedulerMessage, Welcome, WorkerMessage } from "@muster/protocol";
import {
  ERROR_DOMAIN,
  ErrorInfoSchema,
  grpcServiceDefinition,
  SchedulerMessageSchema,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  WorkerService,
} from "@muster/protocol";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { WAIT_MS } from "../waits.ts";

/** Values of worker messages by kind. */
type Values = {
  [M in Exclude<WorkerMessage["kind"], { case: undefined }> as M["case"]]: M["value"];
};
type Kind = keyof Values;
type SchedulerKind = NonNullable<MessageInitShape<typeof SchedulerMessageSchema>["kind"]>;

/** Fields of Welcome that a test may set. */
export type WelcomeFields = Partial<Omit<Welcome, "$typeName" | "$unknown">>;

/** What a scripted scheduler does by itself. */
export interface RawSchedulerOptions {
  /** 0 picks a free port. */
  readonly port?: number;
  readonly heartbeatMs?: number;
  /** Further fields of Welcome. */
  readonly welcome?: WelcomeFields;
  /** False: the test sends Welcome itself. */
  readonly autoWelcome?: boolean;
  readonly autoAckBeats?: boolean;
  readonly autoAckResults?: boolean;
  /** Ends every stream with this status at its Hello. */
  readonly refuse?: { readonly code: Status; readonly reason: string; readonly message: string };
}

/** A scheduler whose every word the test decides, on a real socket. */
export class RawScheduler {
  readonly options: RawSchedulerOptions;
  readonly streams: RawStream[] = [];
  readonly #server = new Server();
  readonly #waiters: (() => void)[] = [];
  #port = 0;

  private constructor(options: RawSchedulerOptions) {
    this.options = options;
    const { workerStream } = grpcServiceDefinition(WorkerService);
    assert.ok(workerStream);
    this.#server.addService(
      { workerStream },
      {
        workerStream: (call: ServerDuplexStream<WorkerMessage, SchedulerMessage>) => {
          this.streams.push(new RawStream(call, options));
          for (const wake of this.#waiters.splice(0)) wake();
        },
      },
    );
  }

  static async start(options: RawSchedulerOptions = {}): Promise<RawScheduler> {
    const scheduler = new RawScheduler(options);
    scheduler.#port = await new Promise((resolve, reject) => {
      scheduler.#server.bindAsync(
        `127.0.0.1:${options.port ?? 0}`,
        ServerCredentials.createInsecure(),
        (error, port) => (error === null ? resolve(port) : reject(error)),
      );
    });
    cleanUpLater(scheduler, () => scheduler.stop());
    return scheduler;
  }

  get port(): number {
    return this.#port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The n-th stream that any worker opened, from 0; waits for it. */
  async stream(index = 0): Promise<RawStream> {
    for (;;) {
      const stream = this.streams[index];
      if (stream !== undefined) return stream;
      await limited(new Promise<void>((resolve) => this.#waiters.push(resolve)), `stream number ${index}`);
    }
  }

  /** Ends every connection without a word. */
  stop(): void {
    cleanedUp(this);
    this.#server.forceShutdown();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** One stream of a worker. */
export class RawStream {
  /** Everything that came, in order. */
  readonly received: WorkerMessage["kind"][] = [];
  /** Resolves when the worker has ended or dropped its side. */
  readonly closed: Promise<void>;
  readonly #call: ServerDuplexStream<WorkerMessage, SchedulerMessage>;
  readonly #options: RawSchedulerOptions;
  #waiters: (() => void)[] = [];
  ackBeats: boolean;
  ackResults: boolean;

  constructor(call: ServerDuplexStream<WorkerMessage, SchedulerMessage>, options: RawSchedulerOptions) {
    this.#call = call;
    this.#options = options;
    this.ackBeats = options.autoAckBeats ?? true;
    this.ackResults = options.autoAckResults ?? true;
    call.on("data", (message: WorkerMessage) => this.#receive(message.kind));
    this.closed = new Promise((resolve) => {
      call.on("end", () => {
        call.end();
        resolve();
      });
      call.on("cancelled", () => resolve());
      call.on("error", () => resolve());
    });
  }

  /** Bearer token that the worker sent, with its scheme. */
  get authorization(): string {
    return String(this.#call.metadata.get("authorization")[0] ?? "");
  }

  /** The first message of this kind that matches, waiting for it when it has not come yet. */
  async next<K extends Kind>(
    kind: K,
    matches: (value: Values[K]) => boolean = () => true,
  ): Promise<Values[K]> {
    for (let seen = 0; ; ) {
      for (; seen < this.received.length; seen += 1) {
        const message = this.received[seen];
        const value = message === undefined ? undefined : valueIf(message, kind);
        if (value !== undefined && matches(value)) return value;
      }
      await limited(
        new Promise<void>((resolve) => this.#waiters.push(resolve)),
        `${kind} (came: ${this.kinds().join(", ")})`,
      );
    }
  }

  /** Every message of this kind so far. */
  all<K extends Kind>(kind: K): Values[K][] {
    return this.received.flatMap((message) => valueIf(message, kind) ?? []);
  }

  /** Kinds in the order in which they came, without heartbeats. */
  kinds(): string[] {
    return this.received.map((kind) => kind.case ?? "unknown").filter((name) => name !== "heartbeat");
  }

  send(kind: SchedulerKind): void {
    this.#call.write(create(SchedulerMessageSchema, { kind }));
  }

  welcome(fields: WelcomeFields = {}): void {
    const millis = this.#options.heartbeatMs ?? 200;
    this.send({
      case: "welcome",
      value: {
        schedulerId: "raw",
        heartbeatInterval: create(DurationSchema, { nanos: millis * 1e6 }),
        maxMessageBytes: 4n * 1024n * 1024n,
        maxResultBytes: 1024n * 1024n,
        protocolVersion: 1,
        ...this.#options.welcome,
        ...fields,
      },
    });
  }

  /** Gives out one attempt; JSON payload. */
  assign(
    attemptId: string,
    type: string,
    payload: unknown = null,
    fields: MessageInitShape<typeof AssignmentSchema> = {},
  ): void {
    const assignment = {
      attemptId,
      taskId: attemptId.split(".")[0] ?? attemptId,
      taskType: type,
      queue: "default",
      attemptNumber: 1,
      maxAttemptCount: 4,
      payload: Buffer.from(JSON.stringify(payload)),
      ...fields,
    };
    this.send({ case: "assignments", value: { assignments: [assignment] } });
  }

  /** Acknowledges a result. */
  ack(attemptId: string, fields: { stale?: boolean } = {}): void {
    this.send({ case: "resultAcks", value: { acks: [{ attemptId, ...fields }] } });
  }

  /** Ends the stream with a status that carries a reason. */
  fail(code: Status, reason: string, message: string): void {
    const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain: ERROR_DOMAIN, reason }));
    const details = toBinary(StatusSchema, create(StatusSchema, { code, message, details: [info] }));
    const metadata = new Metadata();
    metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(details));
    this.#call.emit("error", { code, details: message, metadata });
  }

  /** Cuts the stream as a scheduler that dies would. */
  cut(): void {
    this.fail(Status.UNAVAILABLE, "", "cut by the test");
  }

  #receive(kind: WorkerMessage["kind"]): void {
    this.received.push(kind);
    if (kind.case === "hello") {
      const { refuse, autoWelcome } = this.#options;
      if (refuse !== undefined) this.fail(refuse.code, refuse.reason, refuse.message);
      else if (autoWelcome !== false) this.welcome();
    }
    if (kind.case === "heartbeat" && this.ackBeats) {
      this.send({ case: "heartbeatAck", value: { sequence: kind.value.sequence } });
    }
    if (kind.case === "taskResults" && this.ackResults) {
      const acks = kind.value.results.map(({ attemptId }) => ({ attemptId }));
      this.send({ case: "resultAcks", value: { acks } });
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function valueIf<K extends Kind>(message: WorkerMessage["kind"], kind: K): Values[K] | undefined {
  return message.case === kind ? (message.value as Values[K]) : undefined;
}

function limited<T>(promise: Promise<T>, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`waited ${WAIT_MS / 1000} s in vain for ${what}`)),
      WAIT_MS,
    );
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
