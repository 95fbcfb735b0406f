import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, TaskFailedError } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

const MARK = "\ufeff";

describe("payloads, results and failures of handlers", () => {
  let database: TestDatabase;
  let scheduler: TestScheduler;
  let client: Client;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-payloads-"));
    database = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: database.url });
    await startTestWorker({ scheduler: scheduler.grpc, id: "odd", file: "odd.ts" });
    client = new Client({ scheduler: scheduler.grpc });
  });

  after(async () => {
    client.close();
    await killAll();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  it("T21: a byte-order mark is accepted in files, arguments, standard input, bytes and over HTTP", async () => {
    const json = '{"page":1}';
    const files = {
      "utf8.json": Buffer.from(`${MARK}${json}`),
      "utf16.json": Buffer.from(`${MARK}${json}`, "utf16le"),
      "utf16be.json": Buffer.from(`${MARK}${json}`, "utf16le").swap16(),
    };
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(join(folder, name), bytes);
      const { code, stdout, stderr } = await runMuster(scheduler.grpc, [
        "submit",
        "echo",
        `@${join(folder, name)}`,
        "--wait",
      ]);
      assert.deepEqual([code, stdout], [0, `${json}\n`], `${name}: ${stderr}`);
    }
    const argument = await runMuster(scheduler.grpc, ["submit", "echo", `${MARK}${json}`, "--wait"]);
    assert.deepEqual([argument.code, argument.stdout], [0, `${json}\n`], argument.stderr);

    // Over the SDK and raw HTTP the payload reaches the worker with its mark.
    const bytes = Buffer.from(`${MARK}${json}`);
    const submitted = await client.submit("echo", bytes, { contentType: "application/json" });
    assert.deepEqual(await submitted.result(), { page: 1 });
    const response = await fetch(`${scheduler.http}/muster.v1.TaskService/SubmitTasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `${MARK}${JSON.stringify({ tasks: [{ taskType: "echo", payload: bytes.toString("base64") }] })}`,
    });
    assert.equal(response.status, 200);
    const { tasks } = Object(await response.json());
    assert.deepEqual(await client.handle(String(tasks[0].taskId)).result(), { page: 1 });
  });

  it("T22: what a handler throws keeps its code, message and inner errors on the way to the caller", async () => {
    const failed = async (how: string) => {
      const handle = await client.submit("throw", how, { retry: { maxRetries: 0 } });
      const error = await handle.result().then(
        () => assert.fail("it succeeded"),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof TaskFailedError);
      return [error.code, error.failure?.message];
    };
    assert.deepEqual(await failed("object"), ["RATE_LIMIT", "slow"]);
    assert.deepEqual(await failed("several"), [
      "AGGREGATE_ERROR",
      "All promises were rejected: ECONNRESET: one; TypeError: two",
    ]);
    assert.deepEqual(await failed("foreign"), ["RANGE_ERROR", "far"]);
    assert.deepEqual(await failed("nothing"), ["ERROR", "thrown value: undefined"]);
  });

  it("T23: a result without a JSON form fails the task with what to return", async () => {
    const refused = async (how: string) => {
      const handle = await client.submit("odd", how);
      const error = await handle.result().then(
        (value) => assert.fail(`${how} succeeded as ${JSON.stringify(value)}`),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof TaskFailedError);
      assert.equal(error.code, "RESULT_NOT_JSON");
      return error.failure?.message ?? "";
    };
    assert.match(await refused("map"), /a Map, .*return Object\.fromEntries\(map\)/);
    assert.match(await refused("buffer"), /an ArrayBuffer, .*return new Uint8Array\(buffer\)/);
    assert.match(await refused("set"), /a Set at \.ids, .*return \[\.\.\.set\]/);
    assert.match(await refused("nan"), /NaN at \.score/);
    assert.match(await refused("bigint"), /BigInt/);
    assert.match(await refused("circular"), /circular/);
  });
});
