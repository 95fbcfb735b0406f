import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { pythonEnvironment } from "../support/python/environment.ts";
import { hasProgram, ROOT, runTool } from "../support/repo/checks.ts";
import { writeProtoArchive } from "../support/repo/proto-archive.ts";

const SOURCES = join(ROOT, "test", "e2e", "python");
const hasPython = await hasProgram("python3", "--version");

describe("a client generated for Python", {
  skip: hasPython ? false : "python3 is not on the PATH: install Python 3.9 or newer to run this",
}, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let folder: Folder;

  before(async () => {
    [db, folder] = await Promise.all([createDatabase(), temporaryFolder()]);
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    await startTestWorker({ scheduler: scheduler.grpc, id: "for-python" });
  });

  after(async () => {
    await killAll();
    await folder.remove();
    await db.drop();
  });

  it("lists the services by reflection, submits, follows and reads the result", {
    timeout: 300_000,
  }, async () => {
    const python = await pythonEnvironment(join(SOURCES, "requirements.txt"));
    // What a release has: plain protoc takes it.
    const archive = await writeProtoArchive(folder.path);
    const unpacked = await runTool("tar", ["--extract", "--file", archive, "--directory", folder.path]);
    assert.equal(unpacked.code, 0, unpacked.stderr);
    const protos = archive.replace(/\.tar\.gz$/, "");
    const generate = await runTool(python, [
      ...["-m", "grpc_tools.protoc", "-I", protos],
      ...[`--python_out=${folder.path}`, `--grpc_python_out=${folder.path}`],
      ...(await protosIn(protos)),
    ]);
    assert.equal(generate.code, 0, generate.stderr);

    const run = await runTool(
      python,
      [join(SOURCES, "client.py"), scheduler.grpc, "echo", '{"from": "python"}'],
      {
        env: { ...env, PYTHONPATH: folder.path, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" },
      },
    );
    assert.equal(run.code, 0, run.stderr);
    const { updates, ...said }: { updates: number } = JSON.parse(run.stdout);
    assert.deepEqual(said, {
      services: [
        ...["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"],
        "grpc.reflection.v1alpha.ServerReflection",
        ...["muster.v1.FleetService", "muster.v1.LauncherService", "muster.v1.PoolService"],
        "muster.v1.ScheduleService",
        ...["muster.v1.TaskService", "muster.v1.WorkerService"],
      ],
      id: "t-1",
      state: "TASK_STATE_SUCCEEDED",
      output: { from: "python" },
      missing: "NOT_FOUND",
    });
    assert.ok(updates >= 1);
  });
});

async function protosIn(module: string): Promise<string[]> {
  const folder = join(module, "muster", "v1");
  return (await readdir(folder)).map((name) => join(folder, name));
}
