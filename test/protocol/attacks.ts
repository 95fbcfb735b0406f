/** Attacks on calls and streams, each with what may be answered. */
import { randomUUID } from "node:crypto";
import { connect as connectTcp } from "node:net";
import type { DescMethod } from "@bufbuild/protobuf";
import type { status } from "@grpc/grpc-js";
import {
  FleetService,
  HelloSchema,
  PoolService,
  ScheduleService,
  SubmitStreamRequestSchema,
  TaskService,
  WorkerMessageSchema,
  WorkerService,
} from "@muster/protocol";
import { RawCaller } from "../support/peers/raw-call.ts";
import { RawSubmits } from "../support/peers/raw-submits.ts";
import { encodeWorkerMessage, RawWorker } from "../support/peers/raw-worker.ts";
import type { TestScheduler } from "../support/programs/scheduler.ts";
import type { Random } from "../support/random.ts";
import {
  type FieldAnswer,
  fieldByHttp,
  fieldOfCall,
  fieldOfSubmit,
  fieldOfWorker,
  headersOfHttp,
} from "./field-attacks.ts";
import { hostileBytes, hostileMessage, type Known, mutate } from "./hostile.ts";

/** Type of the tasks that hostile workers are given. */
export const PREY = "prey";

/** How an attack was answered: a status for each call or stream that came to an end. */
export type Answers = readonly FieldAnswer[];

/** One attack. Resolves when its connections are closed. */
type Attack = (random: Random, target: TestScheduler) => Promise<Answers>;

const METHODS: readonly DescMethod[] = [
  TaskService,
  FleetService,
  ScheduleService,
  PoolService,
  WorkerService,
]
  .flatMap((service): readonly DescMethod[] => service.methods)
  .filter(({ methodKind }) => methodKind !== "bidi_streaming");

/** Longest that a hostile stream is kept when the scheduler takes it calmly. */
const LINGER_MS = 300;

export const ATTACKS = {
  randomFrames: (random, target) =>
    onStream(target, "random frames", {}, (worker) => {
      if (random.chance(0.7)) worker.hello();
      for (let n = random.int(1, 10); n > 0; n--) worker.sendBytes(random.bytes(random.int(0, 300)));
    }),

  mutatedFrames: (random, target) =>
    onStream(target, "mutated frames", {}, (worker) => {
      worker.hello();
      for (let n = random.int(1, 20); n > 0; n--) {
        const frame = encodeWorkerMessage(hostileKind(random, knownOf(worker)));
        worker.sendBytes(random.chance(0.5) ? mutate(frame, random) : frame);
      }
    }),

  mutatedHello: (random, target) =>
    onStream(target, "mutated hello", {}, (worker) => {
      const hello = {
        protocolVersion: 1,
        workerId: worker.workerId,
        sessionId: worker.sessionId,
        slotCount: 1,
      };
      const frame = encodeWorkerMessage({ case: "hello", value: { ...hello, taskTypes: [] } });
      worker.sendBytes(mutate(frame, random));
      worker.beat();
    }),

  hostileHello: (random, target) =>
    onStream(target, "hostile hello", {}, (worker) => {
      const wild = hostileMessage(HelloSchema, random, knownOf(worker));
      const { protocolVersion: _, workerId: __, sessionId: ___, ...rest } = wild;
      // Half of them are acceptable where it is checked, so that the rest is stored.
      const lawful = {
        taskTypes: [],
        labels: {},
        queues: ["default"],
        resources: [],
        pool: "",
        slotCount: 1,
        prefetchCount: 0,
      };
      worker.hello(
        random.chance(0.5)
          ? { ...rest, ...lawful, taskTypes: [] }
          : { ...rest, startupPhases: (rest.startupPhases ?? []).slice(0, 9) },
      );
      worker.beat();
    }),

  /** A registered worker that answers its work with well-formed nonsense. */
  hostileWorker: async (random, target) => {
    const worker = new RawWorker(target.grpc, {
      autoAccept: random.chance(0.7),
      hello: { taskTypes: [PREY_TYPE] },
    });
    worker.hello({ slotCount: random.int(1, 3), prefetchCount: random.int(0, 2) });
    try {
      await worker.next("welcome");
      for (let n = random.int(5, 40); n > 0; n--) {
        worker.send(hostileKind(random, knownOf(worker)));
        if (n % 10 === 0) await pause(10);
      }
    } catch {
      // The stream was ended; the status has the reason.
    }
    return settle(worker, "hostile worker");
  },

  wrongOrder: (random, target) =>
    onStream(target, "wrong order", {}, (worker) => {
      worker.succeed("t-1.1");
      worker.hello();
      if (random.chance(0.5)) worker.hello();
      worker.send({ case: "goodbye", value: { reason: "finished" } });
      worker.beat();
      worker.end();
    }),

  hugeMessage: (random, target) =>
    onStream(target, "huge message", {}, (worker) => {
      if (random.chance(0.5)) worker.hello();
      worker.sendBytes(Buffer.alloc(5 * 1024 * 1024, 0x0a));
    }),

  hangUp: async (random, target) => {
    const worker = new RawWorker(target.grpc);
    worker.hello();
    worker.beat();
    await pause(random.int(0, 30));
    worker.cut();
    return [];
  },

  sharedSession: async (random, target) => {
    const sessionId = randomUUID();
    const workers = Array.from({ length: random.int(2, 6) }, () => {
      const worker = new RawWorker(target.grpc, { sessionId, workerId: "shared" });
      worker.hello();
      return worker;
    });
    await pause(LINGER_MS);
    return (await Promise.all(workers.map((worker) => settle(worker, "shared session")))).flat();
  },

  /** Reads nothing while it makes the scheduler answer. */
  slowReader: async (random, target) => {
    const worker = new RawWorker(target.grpc);
    worker.hello();
    worker.stopReading();
    for (let n = 0; n < 200; n++) worker.beat();
    await pause(random.int(50, LINGER_MS));
    return settle(worker, "slow reader");
  },

  unary: async (random, target) => {
    const caller = new RawCaller(target.grpc);
    const answers: { what: string; code: status; details: string }[] = [];
    const known: Known = { texts: ["t-1", "t-2", "shared", "default", PREY] };
    for (let n = random.int(5, 15); n > 0; n--) {
      const method = random.pick(METHODS) ?? TaskService.method.getTask;
      const lawful = hostileBytes(method.input, random, known);
      const request =
        random.weighted({ hostile: 5, mutated: 2, random: 1, huge: 0.3 }) === "hostile"
          ? lawful
          : random.chance(0.9)
            ? mutate(lawful, random)
            : Buffer.alloc(5 * 1024 * 1024);
      if (method.methodKind === "server_streaming") {
        answers.push({ what: method.name, code: await caller.stream(method, request, 2), details: "" });
      } else {
        const { code, details } = await caller.bytes(method, request);
        answers.push({ what: method.name, code, details });
      }
    }
    caller.close();
    return answers;
  },

  /** Requests of a submit stream: well-formed nonsense, mutated and huge ones, ids that repeat, and hanging up. */
  submitStream: async (random, target) => {
    const stream = new RawSubmits(target.grpc);
    const known: Known = { texts: ["default", PREY] };
    for (let n = random.int(1, 30); n > 0; n--) {
      const lawful = hostileBytes(SubmitStreamRequestSchema, random, known);
      const kind = random.weighted({ hostile: 10, mutated: 1, huge: 0.1 });
      if (kind === "huge") stream.bytes(Buffer.alloc(5 * 1024 * 1024, 0x0a));
      else stream.bytes(kind === "hostile" ? lawful : mutate(lawful, random));
    }
    if (random.chance(0.3)) stream.cut();
    else stream.end();
    const end = await stream.ended;
    const refused = stream.answers.flatMap(({ outcome }) =>
      outcome.case === "refused"
        ? [{ what: "submit stream's answer", code: outcome.value.code, details: outcome.value.message }]
        : [],
    );
    return [...refused, { what: "submit stream", ...end }];
  },

  /** Bytes on the socket below gRPC: partial and invalid HTTP/2, one byte at a time, or nothing. */
  rawSocket: async (random, target) => {
    const port = Number(target.grpc.split(":").at(-1));
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const headers = Buffer.from([0, 0, 9, 1, 4, 0, 0, 0, 1, 0x83, 0x86]);
    const frame = Buffer.concat([
      preface,
      settings,
      random.chance(0.5) ? headers : random.bytes(random.int(1, 200)),
    ]);
    const bytes = random.chance(0.3) ? random.bytes(random.int(1, 500)) : mutateSome(frame, random);
    await onSocket(port, async (write) => {
      if (random.chance(0.3)) for (const byte of bytes.subarray(0, 60)) await write(Buffer.from([byte]));
      else await write(bytes);
      await pause(random.int(0, 60));
    });
    return [];
  },

  httpGarbage: async (random, target) => {
    const url = new URL(target.http);
    const paths = [
      "//",
      "/%",
      "/livez?x",
      "/%00",
      "http://[",
      "/muster.v1.TaskService/GetTask",
      "/\u00ff",
      "*",
      "/../..",
    ];
    const method = random.pick(["GET", "POST", "OPTIONS", "CONNECT", "BREW"]) ?? "GET";
    const body = random.pick(["", "{", '{"taskId": 7}', "\0", `{"taskId":"${"x".repeat(5_000)}"}`]) ?? "";
    const lines = [
      `${method} ${random.pick(paths)} HTTP/1.1`,
      "host: x",
      "content-type: application/json",
      `content-length: ${random.chance(0.8) ? Buffer.byteLength(body) : random.int(0, 1e9)}`,
      "connection: close",
    ];
    await onSocket(Number(url.port), async (write) => {
      await write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`));
      await pause(20);
    });
    return [];
  },

  flood: async (random, target) => {
    const port = Number(target.grpc.split(":").at(-1));
    await Promise.all([
      ...Array.from({ length: 30 }, () => onSocket(port, () => pause(random.int(0, 50)))),
      ...Array.from({ length: 10 }, async () => {
        const worker = new RawWorker(target.grpc);
        worker.hello();
        await pause(random.int(0, 80));
        worker.cut();
      }),
    ]);
    return [];
  },
  fieldOfCall,
  fieldByHttp,
  fieldOfSubmit,
  fieldOfWorker,
  headersOfHttp,
} satisfies Record<string, Attack>;

export type AttackName = keyof typeof ATTACKS;

const PREY_TYPE = { $typeName: "muster.v1.TaskTypeCapacity", taskType: PREY, concurrency: 0 } as const;

function hostileKind(random: Random, known: Known) {
  for (;;) {
    const { kind } = hostileMessage(WorkerMessageSchema, random, known);
    if (kind?.case !== undefined && kind.case !== "hello") return kind;
  }
}

function knownOf(worker: RawWorker): Known {
  return {
    texts: [...worker.assignments().map(({ attemptId }) => attemptId), worker.workerId, worker.sessionId],
  };
}

async function onStream(
  target: TestScheduler,
  what: string,
  options: ConstructorParameters<typeof RawWorker>[1],
  say: (worker: RawWorker) => void,
): Promise<Answers> {
  const worker = new RawWorker(target.grpc, options);
  say(worker);
  return settle(worker, what);
}

async function settle(worker: RawWorker, what: string): Promise<Answers> {
  const end = await Promise.race([worker.ended, pause(LINGER_MS)]);
  worker.cut();
  return end ? [{ what, code: end.code, details: end.details }] : [];
}

async function onSocket(
  port: number,
  use: (write: (bytes: Buffer) => Promise<void>) => Promise<void>,
): Promise<void> {
  const socket = connectTcp({ port, host: "127.0.0.1" });
  // The scheduler may hang up at any time, which is an answer.
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("close", () => resolve());
  });
  await use(async (bytes) => {
    if (!socket.destroyed) socket.write(bytes);
    await new Promise((resolve) => setImmediate(resolve));
  });
  socket.destroy();
}

function mutateSome(bytes: Buffer, random: Random): Buffer {
  return random.chance(0.5) ? bytes : mutate(bytes, random);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
