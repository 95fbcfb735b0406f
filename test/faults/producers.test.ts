import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

describe("producers and their schedulers", () => {
  let database: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    database = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: database.url });
  });

  after(async () => {
    await killAll();
    await database.drop();
  });

  /** Runs the producer against an address; `during` happens after its client was closed. */
  async function produce(address: string, env: Record<string, string>, during: () => unknown) {
    const gate = createServer();
    gate.listen(0, "127.0.0.1");
    await once(gate, "listening");
    const held = once(gate, "connection");
    const producer = Program.start("producer", "../support/fleet/producer.ts", {
      base: import.meta.url,
      env: {
        MUSTER_SCHEDULER_ADDR: address,
        PRODUCER_PORT: String((gate.address() as AddressInfo).port),
        ...env,
      },
    });
    await producer.line("closed");
    const [socket] = await held;
    await during();
    socket.end();
    gate.close();
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.stderr);
    return Object.fromEntries(
      producer.lines.filter(({ event }) => event === "failed").map((line) => [String(line.name), line]),
    );
  }

  it("T16: a scheduler that is stopped at the first dial costs its producer the call, never the process", async () => {
    const stopped = await startTestScheduler({ databaseUrl: database.url });
    stopped.program.kill("SIGSTOP");
    const failed = await produce(stopped.grpc, {}, () => stopped.program.end("SIGKILL"));
    for (const name of ["submit", "list", "workers"]) {
      assert.equal(failed[name]?.code, "DeadlineExceeded", name);
      assert.match(String(failed[name]?.message), /did not answer within 1 s/);
    }
    for (const name of ["result", "submit again", "after close"]) {
      assert.equal(failed[name]?.reason, "CLIENT_CLOSED", name);
    }
  });

  it("a call of which nothing was sent goes on to the next address", async () => {
    const client = new Client({ scheduler: `127.0.0.1:1,${scheduler.grpc}` });
    const { id } = await client.submit("unserved");
    assert.match(id, /^t-/);
    client.close();
    const nowhere = new Client({ scheduler: "127.0.0.1:1,127.0.0.1:2" });
    await assert.rejects(nowhere.submit("unserved"), {
      message: /^no scheduler answers at 127\.0\.0\.1:[12]: /,
    });
    nowhere.close();
  });

  it("T17: a client at the HTTP address gets the address of gRPC, from SDK, CLI and worker alike", async () => {
    const http = new URL(scheduler.http).host;
    const failed = await produce(http, { PRODUCER_TIMEOUT_S: "10" }, () => undefined);
    const found = `${http} is the HTTP address; gRPC is at ${scheduler.grpc}`;
    for (const name of ["submit", "list", "workers"]) {
      assert.deepEqual(
        [failed[name]?.code, failed[name]?.reason, failed[name]?.transient],
        ["Unavailable", "WRONG_ADDRESS", false],
      );
      assert.ok(String(failed[name]?.message).startsWith(found), String(failed[name]?.message));
    }
    const cli = await runMuster(http, ["tasks"]);
    assert.equal(cli.code, 5);
    assert.ok(cli.stderr.startsWith(`error: ${found}\n`), cli.stderr);
    const worker = await startTestWorker({ scheduler: http, id: "astray", waitReady: false });
    const line = await worker.line("worker.dial.failed", ({ error }) => String(error).startsWith(found));
    assert.ok(line);
  });

  it("T20: proxies do not stand before a scheduler on this machine, and are named where they do", async () => {
    const proxies = { http_proxy: "http://user:secret@127.0.0.1:9", https_proxy: "", no_proxy: "" };
    const worker = await startTestWorker({ scheduler: scheduler.grpc, id: "direct", env: proxies });
    const cli = await runMuster(scheduler.grpc, ["workers"], proxies);
    assert.equal(cli.code, 0, cli.stderr);
    assert.match(cli.stdout, /^direct\tready/m);
    worker.kill("SIGKILL");
    const away = await startTestWorker({
      scheduler: "scheduler.invalid:7070",
      id: "away",
      env: proxies,
      waitReady: false,
    });
    const { error } = await away.line("worker.dial.failed");
    away.kill("SIGKILL");
    assert.match(String(error), /through the proxy http:\/\/127\.0\.0\.1:9 that http_proxy names/);
    assert.doesNotMatch(JSON.stringify(away.lines), /undefined|secret/);
  });
});
