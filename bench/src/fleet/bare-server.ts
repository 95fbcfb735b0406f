import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { grpcMethodDefinition, SchedulerMessageSchema, WorkerService } from "@muster/protocol";

// The control: a grpc-js server that holds streams and does nothing else. It answers the first message with
// a Welcome and every other one with an acknowledgement, both encoded once, and reads none of them.

const [heartbeatMs = "5000"] = process.argv.slice(2);
const { path } = grpcMethodDefinition(WorkerService.method.workerStream);
const welcome = encoded({
  case: "welcome",
  value: {
    schedulerId: "bare",
    heartbeatInterval: durationFromMs(Number(heartbeatMs)),
    lease: durationFromMs(30_000),
    reconnectGrace: durationFromMs(15_000),
  },
});
const ack = encoded({ case: "heartbeatAck", value: { sequence: 1n } });

process.once("disconnect", () => process.exit(0));
const server = new Server();
const asIs = (bytes: Buffer) => bytes;
server.addService(
  {
    connect: {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  },
  { connect: hold },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${JSON.stringify({ event: "scheduler.started", grpc_addr: `127.0.0.1:${port}` })}\n`);
});

function hold(call: ServerDuplexStream<Buffer, Buffer>): void {
  let greeted = false;
  call.on("data", () => {
    call.write(greeted ? ack : welcome);
    greeted = true;
  });
  call.on("end", () => call.end());
  call.on("error", () => undefined);
}

function encoded(kind: NonNullable<MessageInitShape<typeof SchedulerMessageSchema>["kind"]>): Buffer {
  return Buffer.from(toBinary(SchedulerMessageSchema, create(SchedulerMessageSchema, { kind })));
}
