import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS = "\0\0\0\x04\0\0\0\0\0";

/** What a peer has sent when it resets its connection; the answer, where there is one, is waited for. */
const BEGINNINGS = [
  "",
  PREFACE.slice(0, 5),
  PREFACE,
  `${PREFACE}${EMPTY_SETTINGS}`,
  `${PREFACE}${"\xff".repeat(30)}`,
  "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
  "GET /livez HTTP/1.1\r\nhost:",
  "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
  "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n\r\n",
  "POST /muster.v1.TaskService/ListTasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
  "POST /x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
  "\x16\x03\x01\x02\0\x01",
];

/** An answer takes this long at most; a peer that gets none resets anyway. */
const ANSWER_MS = 100;

describe("protocol: connections that their peer resets", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
  });
  after(async () => {
    await killAll();
    await db.drop();
  });

  it("T3: end nothing but themselves, at whatever point they are reset", async () => {
    const ports = [scheduler.grpc, scheduler.http.replace("http://", "")];
    const resets = ports.flatMap((address) =>
      BEGINNINGS.flatMap((beginning) => [false, true].map((answered) => reset(address, beginning, answered))),
    );
    await Promise.all(resets);
    const client = new Client({ scheduler: scheduler.grpc });
    await client.fleet.listQueues({});
    client.close();
    assert.equal((await fetch(`${scheduler.http}/livez`)).status, 200);
    assert.ok(scheduler.program.alive, scheduler.program.tail());
  });
});

function reset(address: string, beginning: string, answered: boolean): Promise<void> {
  const [host = "", port] = address.split(":");
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(Number(port), host);
  const end = () => socket.resetAndDestroy();
  socket.once("connect", () => {
    socket.write(beginning, "latin1", () => {
      if (!answered) end();
    });
  });
  if (answered) {
    socket.once("data", end);
    socket.setTimeout(ANSWER_MS, end);
  }
  socket.on("error", () => undefined);
  socket.once("close", () => resolve());
  return promise;
}
