/** The gRPC server. */
import type { DescService } from "@bufbuild/protobuf";
import { Server, type ServerInterceptor } from "@grpc/grpc-js";
import type {
  LauncherStreamRequest,
  LauncherStreamResponse,
  SchedulerMessage,
  SubmitStreamRequest,
  SubmitStreamResponse,
} from "@muster/protocol";
import {
  FleetService,
  LauncherService,
  PoolService,
  ScheduleService,
  TaskService,
  WorkerService,
} from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import type { Address, Config } from "../../config/config.ts";
import { Refusal } from "../../domain/errors.ts";
import { readResultsFrame } from "../codec/results-frame.ts";
import { ConnectionAge } from "../connections/connection-age.ts";
import { type ListenerParts, listenForGrpc } from "../connections/listener.ts";
import type { ExternalScalerParts } from "../keda/external-scaler.ts";
import { type LauncherStreamParts, serveLauncherStream } from "../streams/launcher-stream.ts";
import { type SubmitStreamParts, serveSubmitStream } from "../streams/submit-stream.ts";
import { type Incoming, serveWorkerStream, type WorkerStreamParts } from "../streams/worker-stream.ts";
import type { Auth } from "./auth.ts";
import {
  type AnyHandler,
  type BridgeHooks,
  bidirectional,
  type Malformed,
  toGrpcHandlers,
  toGrpcService,
} from "./bridge.ts";
import { guardCalls } from "./call-guard.ts";
import type { Calls } from "./calls.ts";
import { toGrpcError } from "./errors.ts";
import { Health } from "./health.ts";
import { dropLateMessages } from "./late-messages.ts";
import { addReflection } from "./reflection.ts";
import { addExternalScaler, SCALER_SERVICE } from "./scaler.ts";

/** A running gRPC server. */
export interface GrpcServer {
  readonly address: Address;
  /** Says on `grpc.health.v1` whether the scheduler serves. */
  setServing(serving: boolean): void;
  /** Takes no new calls, lets those under way end for `timeoutMs`, then cuts them. */
  stop(timeoutMs: number): Promise<void>;
}

/** A peer that has not answered a ping within this, or until the next one is due, is gone. */
const KEEPALIVE_ANSWER_MS = 20_000;

/** Headroom over the largest message for its envelope. */
const ENVELOPE_BYTES = 65_536;

const SERVICES: readonly DescService[] = [
  WorkerService,
  TaskService,
  FleetService,
  ScheduleService,
  PoolService,
  LauncherService,
];

/**
 * Serves every service, health and reflection on one address.
 *
 * @throws Error when the address cannot be listened on; the message names it.
 */
export async function startGrpcServer(options: {
  config: Config;
  auth: Auth;
  calls: Calls;
  stream: WorkerStreamParts;
  launcherStream: Omit<LauncherStreamParts, "calls" | "stopping">;
  scaler: Omit<ExternalScalerParts, "auth" | "stopping">;
  handlers: {
    readonly worker: Readonly<Record<string, AnyHandler>>;
    readonly task: Readonly<Record<string, AnyHandler>> & Pick<SubmitStreamParts, "submitTasks">;
    readonly fleet: Readonly<Record<string, AnyHandler>>;
    readonly schedule: Readonly<Record<string, AnyHandler>>;
    readonly pool: Readonly<Record<string, AnyHandler>>;
  };
  /** Aborts when the scheduler stops. */
  stopping: AbortSignal;
  listening: ListenerParts;
}): Promise<GrpcServer> {
  const { config, auth, calls, stream, launcherStream, scaler, handlers, stopping, listening } = options;
  const maxBytes = config.sizes.maxMessageBytes + ENVELOPE_BYTES;
  const ages = new ConnectionAge(config.connections.maxAgeMs, systemClock);
  const seen: ServerInterceptor = (method, call) => {
    ages.sees(call);
    return dropLateMessages(method, call);
  };
  const server = new Server({
    "grpc.max_receive_message_length": maxBytes,
    "grpc.max_send_message_length": maxBytes,
    "grpc.keepalive_time_ms": config.connections.keepaliveMs,
    "grpc.keepalive_timeout_ms": Math.min(config.connections.keepaliveMs, KEEPALIVE_ANSWER_MS),
    interceptors: [seen, guardCalls(calls)],
  });
  const hooks: BridgeHooks = {
    authorize: (metadata) => auth.check(metadata.get("authorization")[0]?.toString()),
    calls,
  };
  const workerStream = bidirectional<Incoming, SchedulerMessage>(
    "WorkerStream",
    hooks,
    (call) => serveWorkerStream(call, stream),
    (call, error) => {
      if (error instanceof Refusal) stream.rejector.reject(call, error);
      else call.emit("error", toGrpcError(error));
    },
  );
  server.addService(toGrpcService(WorkerService, calls, { workerStream: readResultsFrame }), {
    ...toGrpcHandlers(WorkerService, handlers.worker, hooks),
    workerStream,
  });
  const { submitTasks } = handlers.task;
  const submitStream = bidirectional<SubmitStreamRequest | Malformed, SubmitStreamResponse>(
    "SubmitStream",
    hooks,
    (call) => serveSubmitStream(call, { submitTasks, stopping, calls }),
  );
  server.addService(toGrpcService(TaskService, calls), {
    ...toGrpcHandlers(TaskService, handlers.task, hooks),
    submitStream,
  });
  server.addService(toGrpcService(FleetService, calls), toGrpcHandlers(FleetService, handlers.fleet, hooks));
  server.addService(
    toGrpcService(ScheduleService, calls),
    toGrpcHandlers(ScheduleService, handlers.schedule, hooks),
  );
  server.addService(toGrpcService(PoolService, calls), toGrpcHandlers(PoolService, handlers.pool, hooks));
  server.addService(toGrpcService(LauncherService, calls), {
    launcherStream: bidirectional<LauncherStreamRequest | Malformed, LauncherStreamResponse>(
      "LauncherStream",
      hooks,
      (call) => serveLauncherStream(call, { ...launcherStream, stopping, calls }),
    ),
  });
  addExternalScaler(server, { ...scaler, auth, stopping }, calls);
  const health = new Health([...SERVICES.map(({ typeName }) => typeName), SCALER_SERVICE]);
  health.addTo(server, calls);
  addReflection(server, SERVICES, calls);
  const listener = await listenForGrpc(server, config.grpcAddress, listening);
  return {
    address: { host: config.grpcAddress.host, port: listener.port },
    setServing: (serving) => health.setServing(serving),
    stop: (timeoutMs) => {
      listener.close();
      return stop(server, timeoutMs);
    },
  };
}

async function stop(server: Server, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = systemClock.after(timeoutMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}
