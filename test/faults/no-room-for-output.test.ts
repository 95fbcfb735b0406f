import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

/** A standard output on a disk without room. */
const FULL = ["/bin/sh", "-c", 'exec "$@" > /dev/full', "sh"];

const WORKER = "../support/workers/basic.ts";
const MUSTER = "../../cli/bin/muster.js";

describe("a standard output on a full disk", () => {
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

  function start(id: string, file: string, args: readonly string[]): Program {
    const env = { MUSTER_SCHEDULER_ADDR: scheduler.grpc, WORKER_ID: id };
    return Program.start(id, file, { base: import.meta.url, args, env, through: FULL });
  }

  /** Runs a task on the program, then asks it to stop. */
  async function works(program: Program): Promise<void> {
    const client = new Client({ scheduler: scheduler.grpc });
    const handle = await client.submit("echo", "heard");
    assert.equal(await handle.result({ timeoutS: 30 }), "heard");
    client.close();
    assert.deepEqual(await program.end("SIGTERM"), { code: 0, signal: null }, program.stderr);
  }

  it("T6: a worker works on without its log", async () => {
    const worker = start("mute", WORKER, []);
    await works(worker);
    assert.equal(worker.stderr, "");
  });

  it("T6: a supervisor says so, and keeps its worker", async () => {
    const command = [execPath, ...process.execArgv.filter((each) => !each.startsWith("--test"))];
    const worker = fileURLToPath(new URL(WORKER, import.meta.url));
    const supervisor = start("kept", MUSTER, ["run", "--", ...command, worker]);
    await works(supervisor);
    // Its worker writes into the supervisor's pipe, which has room.
    assert.match(supervisor.stderr, /^error: standard output cannot be written: ENOSPC/m);
    assert.match(supervisor.stderr, /"event":"launch\.ended"/);
  });

  it("T6: a command says so in a sentence, with exit code 1", async () => {
    const queues = start("queues", MUSTER, ["queues"]);
    assert.deepEqual(await queues.ended, { code: 1, signal: null });
    assert.match(queues.stderr, /^error: standard output cannot be written: ENOSPC.*\n$/);
  });
});
