import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { TaskService } from "@muster/protocol";
import { MusterError } from "../errors.ts";
import { createFailoverTransport } from "./transport.ts";

/** A client of a server that answers each stream with `answer`, which gets the number of the stream, from 1. */
async function setUp(t: TestContext, answer: (stream: ServerHttp2Stream, count: number) => void) {
  const server = createServer();
  let count = 0;
  server.on("stream", (stream) => {
    stream.on("error", () => {
      // The client resets streams that it does not want any more.
    });
    count += 1;
    answer(stream, count);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createFailoverTransport(
    { addresses: [address], isDefaultAddress: false, token: undefined, tls: undefined },
    10_000,
  );
  t.after(() => {
    transport.close();
    server.close();
  });
  return { tasks: createClient(TaskService, transport), streams: () => count };
}

function refuse(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_REFUSED_STREAM);
}

test("a call whose stream is refused is sent again", async (t) => {
  const { tasks, streams } = await setUp(t, (stream, count) => {
    if (count < 3) return refuse(stream);
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "none" },
      { endStream: true },
    );
  });
  await assert.rejects(
    tasks.getTask({ taskId: "t-1" }),
    (error: unknown) => error instanceof MusterError && error.code === Code.NotFound,
  );
  assert.equal(streams(), 3);
});

test("a call whose stream is refused again and again is UNAVAILABLE, and may be made again", async (t) => {
  const { tasks, streams } = await setUp(t, refuse);
  await assert.rejects(
    tasks.getTask({ taskId: "t-1" }),
    (error: unknown) => error instanceof MusterError && error.code === Code.Unavailable && error.transient,
  );
  assert.equal(streams(), 4);
});
