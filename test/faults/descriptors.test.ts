import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

const LIMIT = 256;
const WORKERS = 500;

describe("T28: few file descriptors", () => {
  let db: TestDatabase;
  let at: TestScheduler;
  const sockets: Socket[] = [];

  before(async () => {
    db = await createDatabase();
    at = await startTestScheduler({ databaseUrl: db.url, descriptorLimit: LIMIT });
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    await killAll();
    await db.drop();
  });

  /** Opens connections as workers do, one each, and keeps them. */
  function open(address: string, count: number): void {
    const [host = "", port] = address.replace("http://", "").split(":");
    for (let n = 0; n < count; n++) {
      const socket = connect({ host, port: Number(port) });
      socket.on("error", () => socket.destroy());
      sockets.push(socket);
    }
  }

  it("are warned of at the start and at 80 %; probes answer, and refused workers get the reason", async () => {
    const limited = await at.program.line("descriptors.limited");
    assert.equal(limited.limit, LIMIT);
    assert.ok(Number(limited.room) > 20);
    open(at.grpc, WORKERS);
    const low = await at.program.line("descriptors.low");
    assert.ok(Number(low.used) >= 0.8 * LIMIT, JSON.stringify(low));
    await at.program.line("connection.refused", ({ problem }) =>
      /no file descriptor left/.test(String(problem)),
    );
    for (const path of ["/livez", "/readyz", "/metrics"]) {
      const response = await fetch(`${at.http}${path}`, { headers: { connection: "close" } });
      const text = await response.text();
      assert.ok(path === "/readyz" || response.status === 200, `${path}: ${response.status} ${text}`);
      if (path === "/metrics") assert.match(text, /process_max_fds 256/);
    }
    const refused = await startTestWorker({ scheduler: at.grpc, id: "one-too-many", waitReady: false });
    const failed = await refused.line("worker.dial.failed");
    assert.match(String(failed.error), /RESOURCE_EXHAUSTED \(TOO_MANY_CONNECTIONS\): .*of 256 are in use/);
    const used =
      execFileSync("ls", [`/proc/${at.program.pid}/fd`])
        .toString()
        .split("\n").length - 1;
    assert.ok(used < LIMIT - 8, `${used} descriptors are open`);
    // The same over HTTP: connections that ask nothing must not keep a probe out.
    open(at.http, 200);
    await until("a probe among idle connections", async () =>
      (await fetch(`${at.http}/livez`).catch(() => undefined))?.status === 200 ? true : undefined,
    );
    for (const socket of sockets.splice(0)) socket.destroy();
    await at.program.line("descriptors.recovered");
    await refused.line("worker.startup.phase", ({ phase }) => phase === "ready");
  });
});
