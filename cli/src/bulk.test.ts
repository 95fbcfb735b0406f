/** Commands that change many tasks: the question before it, the lines of JSON, and Ctrl-C. */
import assert from "node:assert/strict";
import type { PassThrough } from "node:stream";
import { test } from "node:test";
import type { ChangeTasksRequest } from "@muster/protocol";
import { run } from "./run.ts";
import { fakeIo } from "./testing/fake-io.ts";
import { startFakeScheduler } from "./testing/fake-scheduler.ts";

/** Answers two messages, and keeps the requests. */
async function twoSteps() {
  const requests: ChangeTasksRequest[] = [];
  const scheduler = await startFakeScheduler({
    tasks: {
      async *changeTasks(request) {
        requests.push(request);
        yield { matchedCount: 500n, doneCount: 500n, continueToken: "there" };
        yield { matchedCount: 700n, doneCount: 700n, finished: true };
      },
    },
  });
  return { requests, scheduler };
}

test("a filter is counted and asked about on a terminal, then carried out", async () => {
  const { requests, scheduler } = await twoSteps();
  await using _ = scheduler;
  const io = fakeIo({ isTTY: true });
  Object.assign(io.stdin, { isTTY: true });
  (io.stdin as PassThrough).end("y\n");
  const args = ["cancel", "--queue", "a,b", "--older-than", "2h", "--reason", "why"];
  assert.equal(await run([...args, "--scheduler", scheduler.address], io), 0, io.err());
  assert.match(io.err(), /^700 tasks match: cancel them\? \[y\/N\] $/);
  assert.equal(io.out(), "700 cancelled\n");
  assert.deepEqual(
    requests.map(({ dryRun, reason, change }) => [dryRun, reason, change.case]),
    [
      [true, "why", "cancelTasks"],
      [false, "why", "cancelTasks"],
    ],
  );
  const { queues = [], minAge } = requests[1]?.filter ?? {};
  assert.deepEqual([queues, minAge?.seconds], [["a", "b"], 7_200n]);
});

test("--json prints each step as a line, and asks nothing with --yes", async () => {
  const { requests, scheduler } = await twoSteps();
  await using _ = scheduler;
  const io = fakeIo();
  const args = ["reprioritise", "--queue", "a", "--priority", "-5", "--yes", "--json"];
  assert.equal(await run([...args, "--scheduler", scheduler.address], io), 0, io.err());
  const lines = io.out().trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => [JSON.parse(line).doneCount, JSON.parse(line).finished]),
    [
      ["500", false],
      ["700", true],
    ],
  );
  assert.deepEqual(requests[0]?.change, {
    case: "setPriority",
    value: { $typeName: "muster.v1.SetPriority", priority: -5 },
  });
});

test("Ctrl-C ends it, and the command says how far it got and how to go on", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: {
      async *changeTasks() {
        yield { matchedCount: 500n, doneCount: 500n, continueToken: "there" };
        await new Promise(() => undefined);
      },
    },
  });
  const io = fakeIo();
  // With the first line, which is that of the first step.
  Object.assign(io.stdout, { write: () => io.interrupt() });
  const args = ["delete", "--queue", "a", "--yes", "--json", "--scheduler", scheduler.address];
  assert.equal(await run(args, io), 1);
  const { message, reason, remedy } = JSON.parse(io.err()).error;
  assert.deepEqual([message, reason], ["interrupted: 500 deleted", "INTERRUPTED"]);
  assert.match(remedy, /run the same command again to go on, or add --continue there$/);
});
