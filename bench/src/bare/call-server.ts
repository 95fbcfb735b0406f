import { createServer } from "node:net";
import process from "node:process";
import { create } from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import {
  grpcServiceDefinition,
  type SubmitStreamRequest,
  type SubmitStreamResponse,
  SubmitStreamResponseSchema,
  type SubmitTasksRequest,
  type SubmitTasksResponse,
  SubmitTasksResponseSchema,
  TaskService,
} from "@muster/protocol";

// What a call costs that does nothing: SubmitTasks and SubmitStream without a scheduler and a database behind it, and beside it bytes
// that are echoed without gRPC.

function submitTasks(
  { request }: ServerUnaryCall<SubmitTasksRequest, SubmitTasksResponse>,
  answer: sendUnaryData<SubmitTasksResponse>,
): void {
  answer(null, create(SubmitTasksResponseSchema, accepted(request)));
}

function submitStream(call: ServerDuplexStream<SubmitStreamRequest, SubmitStreamResponse>): void {
  call.on("data", ({ requestId, submit }: SubmitStreamRequest) => {
    const outcome = { case: "accepted", value: accepted(submit) } as const;
    call.write(create(SubmitStreamResponseSchema, { requestId, outcome }));
  });
  call.on("end", () => call.end());
}

function accepted(request: SubmitTasksRequest | undefined) {
  return { tasks: (request?.tasks ?? []).map((_, index) => ({ taskId: `t-${index + 1}` })) };
}

const server = new Server();
server.addService(grpcServiceDefinition(TaskService), { submitTasks, submitStream });
const echo = createServer((socket) => {
  socket.setNoDelay(true);
  socket.pipe(socket);
});

process.once("disconnect", () => process.exit(1));
process.once("SIGTERM", () => process.exit(0));
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, grpcPort) => {
  if (error) throw error;
  echo.listen(0, "127.0.0.1", () => {
    const address = echo.address();
    const tcpPort = typeof address === "object" && address ? address.port : 0;
    process.stdout.write(`${JSON.stringify({ event: "serving", grpc_port: grpcPort, tcp_port: tcpPort })}\n`);
  });
});
