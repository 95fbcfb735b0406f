import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { probePeer } from "./peer-probe.ts";

type Listening = Pick<ReturnType<typeof createServer>, "address" | "close"> & {
  listen(port: number, host: string): unknown;
};

async function serve(
  t: { after(end: () => void): void },
  server: Listening & NodeJS.EventEmitter,
): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const TLS = { ca: undefined, cert: undefined, key: undefined };

test("T17: names what answers at an address that is no scheduler's", async (t) => {
  const says = (greeting: string | Buffer) =>
    serve(
      t,
      createServer((socket) => {
        socket.on("error", () => {
          // The probe hangs up.
        });
        if (greeting === "") socket.once("data", () => socket.destroy());
        else socket.end(greeting);
      }),
    );
  const readyz = (grpc: string) =>
    serve(
      t,
      createHttp((_request, response) =>
        response.end(
          JSON.stringify({ ok: true, checks: { grpc: { ok: true, detail: `listens on ${grpc}` } } }),
        ),
      ),
    );
  const postgres = await serve(
    t,
    createServer((socket) => {
      socket.on("error", () => {
        // The probe hangs up.
      });
      socket.once("data", (data) => (data.readUInt32BE(0) === 8 ? socket.end("N") : socket.destroy()));
    }),
  );
  const [http, any, other, ssh, redis, mysql, silent] = await Promise.all([
    readyz("127.0.0.1:7070"),
    readyz("0.0.0.0:7070"),
    serve(
      t,
      createHttp((_request, response) => response.end("hello")),
    ),
    says("SSH-2.0-OpenSSH_9.2p1\r\n"),
    says("-ERR unknown command 'PRI'\r\n"),
    says(Buffer.from("J\0\0\0\n8.0.36\0abc", "latin1")),
    says(""),
  ]);
  const what = async (address: string, tls?: typeof TLS) => (await probePeer(address, tls))?.what;
  assert.equal(await what(http), `${http} is the HTTP address; gRPC is at 127.0.0.1:7070`);
  assert.equal(await what(any), `${any} is the HTTP address; gRPC is at 127.0.0.1:7070`);
  assert.equal(await what(other), `${other} is an HTTP server, not a scheduler's gRPC address`);
  assert.equal(await what(ssh), `${ssh} is an SSH server, not a scheduler`);
  assert.equal(await what(redis), `${redis} is a Redis server, not a scheduler`);
  assert.equal(await what(mysql), `${mysql} is a MySQL server, not a scheduler`);
  assert.equal(await what(postgres), `${postgres} is a PostgreSQL server, not a scheduler`);
  assert.equal(await what(silent), undefined);
  const h2 = await serve(t, createHttp2());
  assert.equal(await what(h2), undefined);
  assert.equal(await what(h2, TLS), `${h2} speaks no TLS, and this connection does`);
});
