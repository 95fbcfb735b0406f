/** grpcurl, the usual client for reflection: it shows what errors carry. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { keptFolder } from "../support/programs/kept-folder.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { hasProgram, runTool } from "../support/repo/checks.ts";

const MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";
const FOLDER = join(keptFolder(), "muster-grpcurl-1.9.4");
const GRPCURL = join(FOLDER, "grpcurl");
const skip =
  existsSync(GRPCURL) || (env.CI !== undefined && (await hasProgram("go", "version")))
    ? false
    : "grpcurl is built when CI is set and go is on the PATH";

describe("grpcurl", { skip }, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(
    async () => {
      if (!existsSync(GRPCURL))
        await promisify(execFile)("go", ["install", MODULE], { env: { ...env, GOBIN: FOLDER } });
      db = await createDatabase();
      scheduler = await startTestScheduler({ databaseUrl: db.url });
    },
    { timeout: 600_000 },
  );

  after(async () => {
    await killAll();
    await db?.drop();
  });

  /** @param words The method, or a verb with its subject. */
  function grpcurl(words: readonly string[], ...options: readonly string[]) {
    return runTool(GRPCURL, ["-plaintext", ...options, scheduler.grpc, ...words]);
  }

  it("shows reason and fields of an error", async () => {
    const missing = await grpcurl(["muster.v1.TaskService/GetTask"], "-d", '{"taskId": "t-9"}');
    assert.notEqual(missing.code, 0);
    assert.match(missing.stderr, /Code: NotFound/);
    assert.match(missing.stderr, /"@type":\s*"type.googleapis.com\/google.rpc.ErrorInfo"/);
    assert.match(missing.stderr, /"reason":\s*"TASK_NOT_FOUND"/);
    const invalid = await grpcurl(
      ["muster.v1.TaskService/SubmitTasks"],
      ...["-d", '{"tasks": [{"taskType": ""}]}'],
    );
    assert.match(invalid.stderr, /google.rpc.BadRequest/);
    assert.match(invalid.stderr, /"field":\s*"tasks\[0\]\.task_type"/);
  });

  it("describes health and reflection, and asks for health", async () => {
    const { stdout } = await grpcurl(["list"]);
    for (const name of [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "muster.v1.TaskService",
    ])
      assert.ok(stdout.includes(name), `${name} is not listed:\n${stdout}`);
    const described = await grpcurl(["describe", "google.rpc.RetryInfo"]);
    assert.match(described.stdout, /google\.protobuf\.Duration retry_delay/);
    const health = await grpcurl(["grpc.health.v1.Health/Check"]);
    assert.match(health.stdout, /"status":\s*"SERVING"/);
  });
});
