import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { RevokeTaskRequestSchema, TaskState } from "@muster/protocol";
import { requester } from "./io/requester.ts";
import { run } from "./run.ts";
import { fakeIo } from "./testing/fake-io.ts";
import { Refusal, startFakeScheduler } from "./testing/fake-scheduler.ts";

const SEEN = [
  [{ state: TaskState.QUEUED, detail: "ready" }, "waits for a worker"],
  [{ state: TaskState.QUEUED, detail: "scheduled" }, "waits for its delay"],
  [{ state: TaskState.RUNNING, workerId: "w-2" }, "is at w-2 again"],
  [{ state: TaskState.CANCELLED }, "is cancelled, as was requested before"],
] as const;

test("muster revoke names the attempt, its worker and where the task is now", async () => {
  for (const [task, words] of SEEN) {
    const asked: unknown[] = [];
    await using scheduler = await startFakeScheduler({
      tasks: {
        revokeTask: (request) => {
          asked.push(toJson(RevokeTaskRequestSchema, request));
          return { task: { id: "t-7", ...task }, attemptId: "t-7.3", workerId: "w-1" };
        },
      },
    });
    const io = fakeIo();
    const args = [
      "revoke",
      "t-7",
      "--delay",
      "10m",
      "--reason",
      "it hangs",
      "--scheduler",
      scheduler.address,
    ];
    assert.equal(await run(args, io), 0, io.err());
    assert.equal(io.out(), `t-7.3 was taken from w-1; t-7 ${words}\n`);
    assert.deepEqual(asked, [{ taskId: "t-7", reason: `it hangs (by ${requester()})`, delay: "600s" }]);
  }
});

test("muster revoke prints the response as JSON, and a refusal with its remedy", async () => {
  let isRefused = false;
  await using scheduler = await startFakeScheduler({
    tasks: {
      revokeTask: ({ delay }) => {
        if (isRefused)
          throw new Refusal(status.FAILED_PRECONDITION, "TASK_NOT_REVOCABLE", "task t-7 waits, and more");
        assert.equal(delay, undefined);
        return { task: { id: "t-7" }, attemptId: "t-7.3", workerId: "w-1" };
      },
    },
  });
  const io = fakeIo();
  const args = ["revoke", "t-7", "--scheduler", scheduler.address];
  assert.equal(await run([...args, "--json"], io), 0, io.err());
  const { attemptId, workerId } = JSON.parse(io.out());
  assert.deepEqual([attemptId, workerId], ["t-7.3", "w-1"]);
  isRefused = true;
  const refused = fakeIo();
  assert.notEqual(await run(args, refused), 0);
  assert.match(refused.err(), /task t-7 waits[\s\S]*`muster why ID`/);
});
