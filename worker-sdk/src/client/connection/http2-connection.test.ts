import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { Http2Connection } from "./http2-connection.ts";

// node:test fails a test during which anything is thrown outside of it: an `error` event without a listener is.

async function listening(server: Server | ReturnType<typeof createHttp2Server>): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const HEADERS = { "content-type": "application/grpc", te: "trailers" };

test("T16: a peer that reads nothing is given up by a ping, and close() afterwards is harmless", async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.pause()));
  const connection = new Http2Connection(await listening(server), undefined, { everyMs: 50, answerMs: 50 });
  t.after(() => server.close());
  const stream = await connection.request("POST", "/x", HEADERS);
  const [error] = await once(stream, "error");
  assert.match(String(error), /no answer to a ping within 0.05 s/);
  connection.close();
  connection.close();
  for (const socket of sockets) socket.resetAndDestroy();
  await assert.rejects(connection.request("POST", "/x", HEADERS), /the client was closed/);
  assert.equal(connection.spoke, false);
});

test("T16: a peer that says what is no HTTP/2, twice, and resets, ends calls and nothing else", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => {
      // The client resets too.
    });
    socket.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    socket.once("data", () => {
      socket.write("more that is no frame");
      socket.resetAndDestroy();
    });
  });
  const connection = new Http2Connection(await listening(server), undefined);
  t.after(() => server.close());
  for (let call = 1; call <= 5; call++) {
    await assert.rejects(async () => {
      const stream = await connection.request("POST", "/x", HEADERS);
      const [error] = await once(stream, "close");
      throw error ?? new Error("the stream ended");
    });
  }
  connection.close();
});

test("T16: closing during the dial ends those who wait for it", async (t) => {
  const server = createServer((socket) => socket.resetAndDestroy());
  const address = await listening(server);
  t.after(() => server.close());
  const connection = new Http2Connection(address, undefined);
  const waiting = assert.rejects(connection.request("POST", "/x", HEADERS));
  connection.close();
  await waiting;
  const refused = new Http2Connection("127.0.0.1:1", undefined);
  await assert.rejects(
    refused.request("POST", "/x", HEADERS),
    (error) =>
      error instanceof ConnectError && error.code === Code.Unavailable && /ECONNREFUSED/.test(error.message),
  );
  refused.close();
});

test("a server that leaves finishes its calls; the next one goes over a new connection", async (t) => {
  let sessions = 0;
  const server = createHttp2Server();
  server.on("session", (session) => {
    sessions += 1;
    if (sessions > 1) return;
    session.once("stream", () => session.goaway());
  });
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200 });
    setImmediate(() => stream.end("done"));
  });
  const connection = new Http2Connection(await listening(server), undefined);
  t.after(() => {
    connection.close();
    server.close();
  });
  for (let call = 1; call <= 2; call++) {
    const stream = await connection.request("POST", "/x", HEADERS);
    stream.end();
    const gone = once(stream, "close");
    assert.equal((await stream.toArray()).join(""), "done");
    await gone;
    // The goodbye arrives with the answer or in the next turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(sessions, 2);
  assert.equal(connection.spoke, true);
});
