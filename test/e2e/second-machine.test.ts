/** A worker dials the address that other machines use, as docs/guide/first-worker.md has it. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

/** An address of this machine that other machines reach. */
const ADDRESS = Object.values(networkInterfaces())
  .flatMap((interfaces) => interfaces ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

const SKIP = ADDRESS === undefined ? "this machine has no network" : false;

describe("a worker on a second machine", { skip: SKIP }, () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });

  after(async () => {
    await killAll();
    await db.drop();
  });

  it("is refused by a scheduler that listens on its own machine alone, and says so", async () => {
    const scheduler = await startTestScheduler({ databaseUrl: db.url });
    assert.equal(
      scheduler.program.lines.some(({ event }) => event === "scheduler.without_token"),
      false,
    );
    const there = elsewhere(scheduler);
    const hint = `By default it listens on 127.0.0.1 alone; start it with --grpc-addr 0.0.0.0:${there.split(":")[1]}`;
    const worker = await startTestWorker({ scheduler: there, id: "early", waitReady: false });
    const { error } = await worker.line("worker.dial.failed");
    assert.ok(String(error).endsWith(hint), String(error));
    const { code, stderr } = await runMuster(there, ["tasks"]);
    assert.equal(code, 5);
    assert.ok(stderr.includes(`no scheduler answers at ${there}: connect ECONNREFUSED`), stderr);
    assert.ok(stderr.includes(hint), stderr);
    await worker.end();
    await scheduler.program.end();
  });

  it("runs tasks of one that listens for other machines, which says that it asks for no token", async () => {
    const scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--grpc-addr", "0.0.0.0:0"] });
    const there = elsewhere(scheduler);
    const { level, addresses, detail } = await scheduler.program.line("scheduler.without_token");
    assert.equal(level, "warn");
    assert.deepEqual(addresses, [scheduler.grpc], "HTTP listens on this machine alone");
    assert.match(String(detail), /set MUSTER_TOKEN/);
    await startTestWorker({ scheduler: there, id: "second" });
    const { code, stdout, stderr } = await runMuster(there, ["submit", "echo", '"from here"', "--wait"]);
    assert.deepEqual([code, stdout], [0, '"from here"\n'], stderr);
  });
});

/** The port of the scheduler at the address that other machines use. */
function elsewhere({ grpc }: TestScheduler): string {
  return `${ADDRESS}:${grpc.slice(grpc.lastIndexOf(":") + 1)}`;
}
