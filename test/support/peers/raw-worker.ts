/** A worker of which a test decides every message. */
import { randomUUID } from "node:crypto";
import { create, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type StatusObject,
  type status,
} from "@grpc/grpc-js";
import {
  type Assignment,
  ErrorInfoSchema,
  grpcMethodDefinition,
  type HelloSchema,
  PROTOCOL_VERSION,
  type SchedulerMessage,
  SchedulerMessageSchema,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  type WorkerMessage,
  WorkerMessageSchema,
  WorkerService,
} from "@muster/protocol";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { WAIT_MS } from "../waits.ts";

type WorkerKind = NonNullable<MessageInitShape<typeof WorkerMessageSchema>["kind"]>;
/** Values of the scheduler's messages by kind. */
type Values = {
  [M in Exclude<SchedulerMessage["kind"], { case: undefined }> as M["case"]]: M["value"];
};
type Kind = keyof Values;
/** Fields of Hello, without those that only messages have. */
type HelloFields = Omit<Exclude<MessageInitShape<typeof HelloSchema>, Message>, "$typeName">;

/** How a stream ended. */
export interface StreamEnd {
  readonly code: status;
  readonly details: string;
  /** Reason of `google.rpc.ErrorInfo`, or empty. */
  readonly reason: string;
}

export interface RawWorkerOptions {
  readonly workerId?: string;
  readonly sessionId?: string;
  readonly slots?: number;
  readonly token?: string;
  readonly hello?: HelloFields;
  /** False: the test answers assignments itself. */
  readonly autoAccept?: boolean;
  /** False: the test sends heartbeats itself. */
  readonly beat?: boolean;
  /** Bytes that the scheduler may send before the worker reads; HTTP/2's default is 65,535. */
  readonly windowBytes?: number;
}

/** A worker's side of the stream of which a test decides every byte. */
export class RawWorker {
  /** Everything that came, in order. */
  readonly received: SchedulerMessage[] = [];
  readonly sessionId: string;
  readonly workerId: string;
  /** Resolves when the stream is over. */
  readonly ended: Promise<StreamEnd>;
  readonly #options: RawWorkerOptions;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #watchers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #sequence = 0n;
  #over = false;

  /** Opens a stream and sends nothing yet. @param address `host:port`. */
  constructor(address: string, options: RawWorkerOptions = {}) {
    this.#options = options;
    this.sessionId = options.sessionId ?? randomUUID();
    this.workerId = options.workerId ?? `raw-${this.sessionId.slice(0, 8)}`;
    this.#client = new Client(address, credentials.createInsecure(), {
      // A connection of its own: closing this worker must not touch another's.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_send_message_length": -1,
      ...(options.windowBytes === undefined ? {} : { "grpc-node.flow_control_window": options.windowBytes }),
    });
    const metadata = new Metadata();
    if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
    const { path } = grpcMethodDefinition(WorkerService.method.workerStream);
    this.#call = this.#client.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      metadata,
    );
    this.#call.on("data", (bytes: Buffer) => this.#take(fromBinary(SchedulerMessageSchema, bytes)));
    // The status event has the same.
    this.#call.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      this.#call.on("status", (end: StatusObject) => {
        this.#over = true;
        clearInterval(this.#timer);
        this.#tell();
        resolve({ code: end.code, details: end.details, reason: reasonOf(end.metadata) });
      });
    });
    open.add(this);
    cleanUpLater(this, () => this.cut());
  }

  /** Opens a stream, sends Hello and returns when the Welcome has come. */
  static async connect(address: string, options: RawWorkerOptions = {}): Promise<RawWorker> {
    const worker = new RawWorker(address, options);
    worker.hello();
    const { heartbeatInterval } = await worker.next("welcome");
    if (options.beat ?? true) {
      const everyMs =
        Number(heartbeatInterval?.seconds ?? 0n) * 1_000 + (heartbeatInterval?.nanos ?? 0) / 1e6;
      worker.#timer = setInterval(() => worker.beat(), everyMs);
    }
    return worker;
  }

  hello(fields: HelloFields = {}): void {
    this.send({
      case: "hello",
      value: {
        protocolVersion: PROTOCOL_VERSION,
        workerId: this.workerId,
        sessionId: this.sessionId,
        sdkName: "raw",
        taskTypes: [{ taskType: "echo" }],
        slotCount: this.#options.slots ?? 1,
        ready: true,
        ...this.#options.hello,
        ...fields,
      },
    });
  }

  send(kind: WorkerKind): void {
    this.sendBytes(toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind })));
  }

  /** Sends any bytes as one gRPC message. */
  sendBytes(bytes: Uint8Array): void {
    if (!this.#over) this.#call.write(Buffer.from(bytes));
  }

  beat(): bigint {
    this.#sequence += 1n;
    this.send({
      case: "heartbeat",
      value: { sequence: this.#sequence, slotCount: this.#options.slots ?? 1 },
    });
    return this.#sequence;
  }

  accept(...attemptIds: string[]): void {
    this.send({ case: "taskAccepted", value: { attemptIds } });
  }

  succeed(attemptId: string, output = "{}"): void {
    this.send({
      case: "taskResults",
      value: {
        results: [{ attemptId, outcome: { case: "succeeded", value: { output: Buffer.from(output) } } }],
      },
    });
  }

  /** The first message of this kind that fits, now or later. */
  async next<K extends Kind>(
    kind: K,
    fits: (value: Values[K]) => boolean = () => true,
    { after = 0 }: { after?: number } = {},
  ): Promise<Values[K]> {
    const deadline = performance.now() + WAIT_MS;
    for (let seen = after; ; ) {
      for (; seen < this.received.length; seen++) {
        const value = valueIf(this.received[seen], kind);
        if (value !== undefined && fits(value)) return value;
      }
      const left = deadline - performance.now();
      if (this.#over || left <= 0) {
        const why = this.#over
          ? `before the stream ended with ${JSON.stringify(await this.ended)}`
          : "in time";
        throw new Error(`${this.workerId} did not receive ${kind} ${why}; came: ${this.kinds().join(", ")}`);
      }
      await this.#nextMessage(left);
    }
  }

  /** The next assignment, of this task if one is named. */
  async assignment(taskId?: string): Promise<Assignment> {
    const fits = (assignment: Assignment) => taskId === undefined || assignment.taskId === taskId;
    const { assignments } = await this.next("assignments", (frame) => frame.assignments.some(fits));
    const found = assignments.find(fits);
    if (!found) throw new Error("the frame holds no such assignment");
    return found;
  }

  /** Every assignment so far. */
  assignments(): Assignment[] {
    return this.all("assignments").flatMap(({ assignments }) => assignments);
  }

  /** Calls `each` with every assignment, those that have come included, for as long as the stream lasts. */
  eachAssignment(each: (assignment: Assignment) => void): void {
    let seen = 0;
    const look = () => {
      while (seen < this.received.length)
        valueIf(this.received[seen++], "assignments")?.assignments.forEach(each);
    };
    this.#watchers.add(look);
    look();
  }

  all<K extends Kind>(kind: K): Values[K][] {
    return this.received.flatMap((message) => valueIf(message, kind) ?? []);
  }

  kinds(): string[] {
    return this.received.map(({ kind }) => kind.case ?? "unknown").filter((name) => name !== "heartbeatAck");
  }

  /** Stops sending heartbeats; the stream stays. */
  silence(): void {
    clearInterval(this.#timer);
  }

  /** Stops reading what comes. */
  stopReading(): void {
    this.#call.pause();
  }

  readOn(): void {
    this.#call.resume();
  }

  /** Half-closes: nothing more will be sent. */
  end(): void {
    this.silence();
    this.#call.end();
  }

  /** Cuts the connection. */
  cut(): void {
    this.silence();
    this.#call.cancel();
    this.#client.close();
    open.delete(this);
    cleanedUp(this);
  }

  #take(message: SchedulerMessage): void {
    this.received.push(message);
    if ((this.#options.autoAccept ?? true) && message.kind.case === "assignments") {
      this.accept(...message.kind.value.assignments.map(({ attemptId }) => attemptId));
    }
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #nextMessage(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      this.#watchers.add(done);
    });
  }
}

const open = new Set<RawWorker>();

/** Cuts the streams that tests left open; call it in a hook. */
export function cutAll(): void {
  for (const worker of open) worker.cut();
}

/** Reason of the ErrorInfo in a status's details, or empty. */
export function reasonOf(metadata: Metadata): string {
  const [encoded] = metadata.get(STATUS_DETAILS_TRAILER);
  if (!Buffer.isBuffer(encoded)) return "";
  for (const detail of fromBinary(StatusSchema, encoded).details) {
    if (detail.typeUrl.endsWith(ErrorInfoSchema.typeName))
      return fromBinary(ErrorInfoSchema, detail.value).reason;
  }
  return "";
}

/** A worker's message as bytes. */
export function encodeWorkerMessage(kind: WorkerKind): Uint8Array {
  return toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind }));
}

export type { WorkerKind, WorkerMessage };

function valueIf<K extends Kind>(message: SchedulerMessage | undefined, kind: K): Values[K] | undefined {
  return message?.kind.case === kind ? (message.kind.value as Values[K]) : undefined;
}
