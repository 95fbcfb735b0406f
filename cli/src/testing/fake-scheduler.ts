/** A scheduler for the tests of commands: it gives prepared answers and records the calls. */
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import type { DescMessage, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { handleServerStreamingCall, handleUnaryCall, ServiceError } from "@grpc/grpc-js";
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ERROR_DOMAIN,
  ErrorInfoSchema,
  FleetService,
  grpcServiceDefinition,
  ScheduleService,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  TaskService,
} from "@muster/protocol";

type Methods<S extends DescService> = S["method"];

/** Answers of a service by method: one message, or several for a stream. */
export type Answers<S extends DescService> = {
  [K in keyof Methods<S>]?: (
    request: MessageShape<Methods<S>[K]["input"]>,
    call: CallFacts,
  ) => Methods<S>[K]["methodKind"] extends "unary"
    ? Awaitable<MessageInitShape<Methods<S>[K]["output"]>>
    : AsyncIterable<MessageInitShape<Methods<S>[K]["output"]>>;
};

type Awaitable<T> = T | Promise<T>;

/** Metadata of a request. */
export interface CallFacts {
  /** The `authorization` header; empty when there was none. */
  readonly authorization: string;
}

/** An error of a fake: a status with the details that a scheduler sends. */
export class Refusal extends Error {
  readonly code: status;
  readonly reason: string;
  readonly violations: readonly { field: string; description: string }[];

  constructor(
    code: status,
    reason: string,
    message: string,
    violations: readonly { field: string; description: string }[] = [],
  ) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.violations = violations;
  }
}

/** A gRPC server with given answers; a method without an answer is UNIMPLEMENTED. */
export interface FakeScheduler extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
}

/** Starts a fake on a free port. */
export async function startFakeScheduler(answers: {
  tasks?: Answers<typeof TaskService>;
  fleet?: Answers<typeof FleetService>;
  schedules?: Answers<typeof ScheduleService>;
}): Promise<FakeScheduler> {
  const server = new Server();
  addService(server, TaskService, answers.tasks ?? {});
  addService(server, FleetService, answers.fleet ?? {});
  addService(server, ScheduleService, answers.schedules ?? {});
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

type Answer = (request: unknown, call: CallFacts) => unknown;

function addService<S extends DescService>(server: Server, service: S, answers: Answers<S>): void {
  const byName = new Map<string, Answer>(Object.entries(answers));
  const handlers = service.methods.flatMap((method) => {
    const answer = byName.get(method.localName);
    if (answer === undefined) return [];
    const handler =
      method.methodKind === "unary" ? unary(method.output, answer) : streaming(method.output, answer);
    return [[method.localName, handler] as const];
  });
  server.addService(grpcServiceDefinition(service), Object.fromEntries(handlers));
}

function unary(output: DescMessage, answer: Answer): handleUnaryCall<unknown, unknown> {
  return (call, callback) => {
    const facts = { authorization: String(call.metadata.get("authorization")[0] ?? "") };
    const reply = async (): Promise<MessageInitShape<DescMessage>> =>
      (await answer(call.request, facts)) as MessageInitShape<DescMessage>;
    reply().then(
      (message) => callback(null, create(output, message)),
      (error: unknown) => callback(serviceError(error)),
    );
  };
}

function streaming(output: DescMessage, answer: Answer): handleServerStreamingCall<unknown, unknown> {
  return async (call) => {
    const facts = { authorization: String(call.metadata.get("authorization")[0] ?? "") };
    try {
      const messages = answer(call.request, facts) as AsyncIterable<MessageInitShape<DescMessage>>;
      for await (const message of messages) {
        if (call.cancelled) return;
        // One turn of the event loop for each message: an endless stream must not block the others.
        const turned = setImmediate();
        if (!call.write(create(output, message))) {
          await Promise.race([once(call, "drain"), once(call, "cancelled")]);
        }
        await turned;
      }
      call.end();
    } catch (error) {
      call.emit("error", serviceError(error));
    }
  };
}

function serviceError(error: unknown): Partial<ServiceError> {
  if (!(error instanceof Refusal)) {
    return { code: status.INTERNAL, details: error instanceof Error ? (error.stack ?? "") : String(error) };
  }
  const { code, reason, message, violations } = error;
  const details = [
    ...(reason === ""
      ? []
      : [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN }))]),
    ...(violations.length === 0
      ? []
      : [anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations: [...violations] }))]),
  ];
  const metadata = new Metadata();
  const rich = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(rich));
  return { code, details: message, metadata };
}
