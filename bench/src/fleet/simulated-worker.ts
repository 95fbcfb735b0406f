/** A worker without handlers that connects, sends heartbeats and reconnects as the SDK does. */
import { randomUUID } from "node:crypto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import {
  grpcMethodDefinition,
  PROTOCOL_VERSION,
  type SchedulerMessage,
  SchedulerMessageSchema,
  type TaskAssignments,
  WorkerMessageSchema,
  WorkerService,
} from "@muster/protocol";

type Kind = NonNullable<MessageInitShape<typeof WorkerMessageSchema>["kind"]>;

const PATH = grpcMethodDefinition(WorkerService.method.workerStream).path;

/** As the SDK waits: full jitter, at most a quarter of the grace while the attempts can still be kept. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const DIALS_IN_GRACE = 4;
const WELCOME_TIMEOUT_MS = 10_000;

/** How simulated workers behave. */
export interface SimulatedOptions {
  readonly address: string;
  readonly workerId: string;
  readonly types: readonly string[];
  readonly slots: number;
  readonly prefetch: number;
  /** Tasks of this type are accepted and never ended; every other one succeeds at once. */
  readonly holdType: string;
  /** True: dials again when the stream drops, as the SDK does. */
  readonly reconnect: boolean;
}

/** Totals of a process's simulated workers. */
export interface FleetTotals {
  /** Streams that have their Welcome now. */
  ready: number;
  welcomes: number;
  drops: number;
  /** Dials that were refused or timed out. */
  failedDials: number;
  heartbeats: number;
  acks: number;
  /** Longest wait for the answer of a beat, milliseconds. */
  slowestAckMs: number;
  /** Attempts accepted and not ended. */
  held: number;
  /** Attempts of held tasks that were taken away. */
  revoked: number;
  ended: number;
  /** When `ready` last grew, milliseconds since the epoch. */
  lastReadyAt: number;
  lastError: string;
}

/** No worker yet. */
export function emptyTotals(): FleetTotals {
  return {
    ready: 0,
    welcomes: 0,
    drops: 0,
    failedDials: 0,
    heartbeats: 0,
    acks: 0,
    slowestAckMs: 0,
    held: 0,
    revoked: 0,
    ended: 0,
    lastReadyAt: 0,
    lastError: "",
  };
}

/**
 * A worker's side of the protocol without the worker: sends Hello, gets ready, sends heartbeats, accepts. It sends what
 * the SDK sends, so that the scheduler holds for it what it holds for a real one.
 */
export class SimulatedWorker {
  readonly #options: SimulatedOptions;
  readonly #totals: FleetTotals;
  readonly #sessionId = randomUUID();
  readonly #held = new Set<string>();
  #client: Client | undefined;
  #call: ClientDuplexStream<Buffer, Buffer> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #welcomed = false;
  #everReady = false;
  #stopped = false;
  #dials = 0;
  #graceMs = 0;
  #lastError = "";
  #sequence = 0n;
  #beatAt = 0;
  #onReady: (() => void) | undefined;

  constructor(options: SimulatedOptions, totals: FleetTotals) {
    this.#options = options;
    this.#totals = totals;
  }

  /** Dials; resolves at the first Welcome. Without `reconnect` rejects when the stream ends before. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#dial(reject);
    });
  }

  /** Ends for good, as a process does that is killed. */
  cut(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#call?.cancel();
    this.#client?.close();
  }

  #dial(onEnd?: (error: Error) => void): void {
    const client = new Client(this.#options.address, credentials.createInsecure(), {
      // As the SDK: every stream is a connection of its own.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
    const call = client.makeBidiStreamRequest(PATH, asIs, asIs);
    this.#client = client;
    this.#call = call;
    call.on("data", (bytes: Buffer) => this.#receive(fromBinary(SchedulerMessageSchema, bytes)));
    // The status says the same.
    call.on("error", () => undefined);
    call.on("status", (status) => {
      clearTimeout(this.#timer);
      client.close();
      this.#lastError = `${this.#options.address}: ${status.code} ${status.details}`;
      this.#totals.lastError = this.#lastError;
      if (this.#welcomed) {
        this.#totals.drops++;
        this.#totals.ready--;
      } else this.#totals.failedDials++;
      this.#welcomed = false;
      if (this.#options.reconnect) this.#redial();
      else onEnd?.(new Error(this.#lastError));
    });
    this.#timer = setTimeout(() => call.cancel(), WELCOME_TIMEOUT_MS);
    this.#hello();
  }

  #redial(): void {
    if (this.#stopped) return;
    const cap = this.#graceMs > 0 ? this.#graceMs / DIALS_IN_GRACE : LONGEST_WAIT_MS;
    const wait = Math.min(LONGEST_WAIT_MS, cap, FIRST_WAIT_MS * 2 ** this.#dials++);
    this.#timer = setTimeout(() => this.#dial(), Math.random() * wait);
  }

  #hello(): void {
    const { workerId, types, slots, prefetch } = this.#options;
    this.#send({
      case: "hello",
      value: {
        protocolVersion: PROTOCOL_VERSION,
        workerId,
        sessionId: this.#sessionId,
        sdkName: "@muster/worker",
        sdkVersion: "0.1.0",
        language: "typescript",
        host: {
          hostname: "worker-host-0123456789",
          pid: process.pid,
          uid: 1_000,
          gid: 1_000,
          cwd: "/srv/worker",
          cpuCount: 2,
          memoryBytes: 8n * 1024n ** 3n,
          runtime: `node ${process.version}`,
        },
        labels: { zone: "a" },
        taskTypes: types.map((taskType) => ({ taskType })),
        queues: ["default"],
        slotCount: slots,
        prefetchCount: prefetch,
        inFlight: [...this.#held].map((attemptId) => ({ attemptId })),
        startupPhases: ["boot", "scheduler_connecting"].map(startupPhase),
        features: ["prepare_resource"],
        lastError: this.#lastError,
        ready: this.#everReady,
      },
    });
  }

  #receive({ kind }: SchedulerMessage): void {
    const totals = this.#totals;
    switch (kind.case) {
      case "welcome": {
        const { heartbeatInterval, reconnectGrace, decisions } = kind.value;
        clearTimeout(this.#timer);
        this.#welcomed = true;
        this.#graceMs = milliseconds(reconnectGrace);
        for (const { attemptId, keep } of decisions) if (!keep) this.#drop(attemptId);
        if (!this.#everReady) {
          for (const phase of ["registered", "ready"])
            this.#send({ case: "startupPhase", value: startupPhase(phase) });
        }
        this.#everReady = true;
        totals.welcomes++;
        totals.ready++;
        totals.lastReadyAt = performance.timeOrigin + performance.now();
        this.#beat();
        this.#timer = setInterval(() => this.#beat(), milliseconds(heartbeatInterval));
        this.#onReady?.();
        return;
      }
      case "heartbeatAck":
        totals.acks++;
        totals.slowestAckMs = Math.max(totals.slowestAckMs, performance.now() - this.#beatAt);
        return;
      case "assignments":
        this.#take(kind.value);
        return;
      case "revokeAttempt":
        this.#drop(kind.value.attemptId);
    }
  }

  #take({ assignments }: TaskAssignments): void {
    this.#send({
      case: "taskAccepted",
      value: { attemptIds: assignments.map(({ attemptId }) => attemptId) },
    });
    const done = assignments.filter(({ taskType }) => taskType !== this.#options.holdType);
    for (const { attemptId, taskType } of assignments)
      if (taskType === this.#options.holdType) this.#held.add(attemptId);
    this.#totals.held += assignments.length - done.length;
    if (done.length === 0) return;
    this.#totals.ended += done.length;
    this.#send({
      case: "taskResults",
      value: {
        results: done.map(({ attemptId, payload }) => ({
          attemptId,
          outcome: { case: "succeeded" as const, value: { output: payload } },
        })),
      },
    });
  }

  #drop(attemptId: string): void {
    if (!this.#held.delete(attemptId)) return;
    this.#totals.held--;
    this.#totals.revoked++;
  }

  #beat(): void {
    this.#sequence += 1n;
    this.#beatAt = performance.now();
    this.#totals.heartbeats++;
    this.#send({
      case: "heartbeat",
      value: {
        sequence: this.#sequence,
        slotCount: this.#options.slots,
        running: [...this.#held].map((attemptId) => ({ attemptId })),
        eventLoopAge: durationFromMs(0),
        eventLoopDelayP99: durationFromMs(21),
        cpuUsage: 0.0123,
        rssBytes: 140_000_000n,
        heapUsedBytes: 24_000_000n,
        counters: { heartbeats: this.#sequence, outbox_size: 0n },
      },
    });
  }

  #send(kind: Kind): void {
    const bytes = toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind }));
    this.#call?.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function startupPhase(phase: string) {
  return { phase, outcome: "ok", elapsed: durationFromMs(250) };
}

function milliseconds(duration: { seconds: bigint; nanos: number } | undefined): number {
  return Number(duration?.seconds ?? 0n) * 1_000 + (duration?.nanos ?? 0) / 1e6;
}
