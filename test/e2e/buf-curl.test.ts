import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { runTool } from "../support/repo/checks.ts";

describe("buf curl, which knows nothing but the address", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    await startTestWorker({ scheduler: scheduler.grpc, id: "for-buf" });
  });

  after(async () => {
    await killAll();
    await db.drop();
  });

  it("lists the services", async () => {
    const services = (await curl("--list-services")).trim().split("\n");
    assert.deepEqual(services.sort(), [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "muster.v1.FleetService",
      "muster.v1.LauncherService",
      "muster.v1.PoolService",
      "muster.v1.ScheduleService",
      "muster.v1.TaskService",
      "muster.v1.WorkerService",
    ]);
  });

  it("submits, follows and reads a task", async () => {
    const payload = Buffer.from('{"from": "buf"}').toString("base64");
    const submitted = await call("SubmitTasks", { tasks: [{ taskType: "echo", payload }] });
    assert.deepEqual(JSON.parse(submitted), { tasks: [{ taskId: "t-1" }] });
    assert.match(await call("WatchTask", { taskId: "t-1" }), /TASK_STATE_SUCCEEDED/);
    const { task } = JSON.parse(await call("GetTask", { taskId: "t-1" }));
    assert.equal(task.state, "TASK_STATE_SUCCEEDED");
    assert.deepEqual(JSON.parse(Buffer.from(task.output, "base64").toString()), { from: "buf" });
  });

  it("gets the reason of a refusal", async () => {
    const { code, stderr } = await run("muster.v1.TaskService/GetTask", "-d", '{"taskId": "t-9"}');
    assert.notEqual(code, 0);
    const { code: status, details } = JSON.parse(stderr.slice(stderr.indexOf("{")));
    assert.equal(status, "not_found");
    assert.equal(details[0].type, "google.rpc.ErrorInfo");
    // buf shows the detail as it is on the wire.
    assert.match(Buffer.from(details[0].value, "base64").toString(), /TASK_NOT_FOUND/);
  });

  it("asks for health", async () => {
    assert.deepEqual(JSON.parse(await curl("grpc.health.v1.Health/Check", "-d", "{}")), {
      status: "SERVING",
    });
  });

  function call(method: string, request: unknown): Promise<string> {
    return curl(`muster.v1.TaskService/${method}`, "-d", JSON.stringify(request));
  }

  async function curl(path: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(path, ...args);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  function run(path: string, ...args: string[]) {
    const target = path.startsWith("--")
      ? [path, `http://${scheduler.grpc}`]
      : [`http://${scheduler.grpc}/${path}`];
    return runTool("buf", ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args, ...target]);
  }
});
