/** `muster dev` launches the workers of pools itself. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill } from "node:process";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { workerCommand } from "../support/programs/supervised.ts";

const TOKEN = "dev-secret";

describe("pools in a session of muster dev", () => {
  const folder = mkdtempSync(join(tmpdir(), "muster-dev-"));
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });

  after(async () => {
    await killAll();
    await db.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("start their workers without another command, and these end with it", async () => {
    const dev = Program.start("dev", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["dev", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir", folder],
      env: { DATABASE_URL: db.url, MUSTER_LOG_FORMAT: "json", MUSTER_TOKEN: TOKEN },
    });
    const { grpc_addr: address } = await dev.line("scheduler.started");
    const client = new Client({ scheduler: String(address), token: TOKEN });
    await client.pools.applyPool({
      spec: {
        name: "dev",
        offer: { taskTypes: ["echo"], slots: 1 },
        maxWorkers: 1,
        launchTemplate: { command: [...workerCommand()], driver: { case: "process", value: {} } },
      },
    });
    const handle = await client.submit("echo", { n: 1 });
    assert.deepEqual(await handle.result(), { n: 1 });
    const { workers } = await client.fleet.listWorkers({});
    const pid = workers[0]?.host?.pid;
    assert.ok(pid && kill(pid, 0), "the worker of the pool runs");
    client.close();
    assert.equal((await dev.end("SIGINT")).code, 0);
    assert.throws(() => kill(pid, 0), /ESRCH/);
  });
});
