/** Measures calls that do nothing, by the number of callers. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { credentials, Client as GrpcClient } from "@grpc/grpc-js";
import { grpcMethodDefinition, SubmitTasksRequestSchema, TaskService } from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { Child } from "../lab/child.ts";
import type { Cleanup } from "../lab/cleanup.ts";
import { monotonicMs } from "../lab/monotonic.ts";
import { makePayload } from "../systems/driver.ts";

/** Who calls. */
export type Caller = "tcp" | "grpc-js" | "sdk" | "sdk-stream";

/** Calls that compile the code first. */
const WARM_UP = 200;

/**
 * Times calls to another process that does nothing, there and back, milliseconds.
 *
 * @param gapMs Rest between two calls; 0 for none.
 */
export async function timeBareCalls(
  cleanup: Cleanup,
  { count, gapMs, payloadBytes }: { count: number; gapMs: number; payloadBytes: number },
): Promise<Readonly<Record<Caller, readonly number[]>>> {
  const child = new Child(cleanup, { name: "bare call server", program: "bare/call-server.ts" });
  const { grpc_port: grpcPort, tcp_port: tcpPort } = await child.line("serving");
  const payload = makePayload(payloadBytes);
  const bytes = Buffer.from(JSON.stringify(payload));

  const socket = connect(Number(tcpPort), "127.0.0.1");
  socket.setNoDelay(true);
  await once(socket, "connect");
  const submit = grpcMethodDefinition(TaskService.method.submitTasks);
  const grpc = new GrpcClient(`127.0.0.1:${grpcPort}`, credentials.createInsecure());
  const request = create(SubmitTasksRequestSchema, { tasks: [{ taskType: "noop", payload: bytes }] });
  const client = new Client({ scheduler: `127.0.0.1:${grpcPort}` });
  const calls: Record<Caller, () => Promise<unknown>> = {
    tcp: () => {
      const answered = once(socket, "data");
      socket.write(bytes);
      return answered;
    },
    "grpc-js": () =>
      new Promise((resolve, reject) => {
        grpc.makeUnaryRequest(
          submit.path,
          submit.requestSerialize,
          submit.responseDeserialize,
          request,
          (error, response) => (error ? reject(error) : resolve(response)),
        );
      }),
    sdk: () => client.tasks.submitTasks({ tasks: [{ taskType: "noop", payload: bytes }] }),
    "sdk-stream": () => client.submit("noop", payload),
  };
  const timed = async (call: () => Promise<unknown>) => {
    for (let done = 0; done < WARM_UP; done++) await call();
    const times: number[] = [];
    while (times.length < count) {
      const startedAt = monotonicMs();
      await call();
      times.push(monotonicMs() - startedAt);
      if (gapMs > 0) await delay(gapMs);
    }
    return times;
  };
  const times = {
    tcp: await timed(calls.tcp),
    "grpc-js": await timed(calls["grpc-js"]),
    sdk: await timed(calls.sdk),
    "sdk-stream": await timed(calls["sdk-stream"]),
  };
  socket.destroy();
  grpc.close();
  client.close();
  await child.stop();
  return times;
}
