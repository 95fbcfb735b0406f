import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { GetStackResponse } from "@muster/protocol";
import type { Client } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import type { Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

type Answer = GetStackResponse & { readonly stack: NonNullable<GetStackResponse["stack"]> };

describe("T79: where handlers are", { skip: process.platform !== "linux" }, () => {
  let pair: SchedulerPair;
  let worker: Program;

  before(async () => {
    // A worker that is stopped for a while is kept.
    pair = await SchedulerPair.start(KEEPING);
    worker = await pair.fleet.worker("gpu-7", {
      ...{ queue: "stacks", file: "stacks.ts", scheduler: pair.two.grpc },
      env: { API_TOKEN: "s3cr3t-s3cr3t-s3cr3t" },
    });
  });

  after(() => pair.stop());

  const submit = async (type: string, gate = "") => {
    const task = await pair.atOne.submit(type, { gate }, { queue: "stacks" });
    await until("it runs", async () => ((await task.get()).state === "running" ? true : undefined));
    return task;
  };

  const stack = async (client: Client, request: object): Promise<Answer> => {
    const answer = await client.fleet.getStack(request);
    assert.ok(answer.stack);
    return { ...answer, stack: answer.stack };
  };

  it("T79: a handler that awaits, an isolated one and a program, through either scheduler", async () => {
    const gate = pair.fleet.gate();
    const [awaits, isolated, sleeps] = await Promise.all([
      submit("awaits", gate.path),
      submit("isolated", gate.path),
      submit("sleeps"),
    ]);
    await until("the isolated handler loops", async () => {
      const { progress } = await pair.fleet.task(isolated.id);
      return progress?.fraction;
    });
    for (const client of [pair.atOne, pair.atTwo]) {
      const all = (await stack(client, { workerId: "gpu-7" })).stack;
      assert.deepEqual(all.mainFrames, [], "its loop turns");
      assert.deepEqual(
        all.attempts.map(({ attemptId, phase }) => `${attemptId} ${phase}`).sort(),
        [`${awaits.id}.1 download`, `${isolated.id}.1 `, `${sleeps.id}.1 `].sort(),
      );
      const looping = all.processes.find(({ attemptId }) => attemptId === `${isolated.id}.1`);
      assert.match(looping?.frames.join("\n") ?? "", /loopsInProcess \(.*stacks\.ts[.js]*:\d+:\d+\)/);
      const program = all.processes.filter(({ attemptId }) => attemptId === `${sleeps.id}.1`);
      assert.equal(program.length, 2, JSON.stringify(program, null, 1));
      assert.match(program[0]?.command ?? "", /^sh -c .* --password=\[redacted\] 60 \[redacted\]$/);
      assert.equal(program[1]?.parentPid, program[0]?.pid);
      assert.deepEqual([program[1]?.command, program[1]?.state], ["sleep 60", "S (sleeping)"]);
    }
    const one = await stack(pair.atOne, { taskId: sleeps.id });
    assert.deepEqual([one.workerId, one.attemptId], ["gpu-7", `${sleeps.id}.1`]);
    assert.deepEqual(
      one.stack.processes.map(({ attemptId }) => attemptId),
      [`${sleeps.id}.1`, `${sleeps.id}.1`],
    );
    const text = await pair.muster("stack", awaits.id);
    assert.match(text, new RegExp(`^worker gpu-7, attempt ${awaits.id}.1\\nmain loop: last turned `));
    assert.match(text, new RegExp(`\\n${awaits.id}.1: in phase download for `));
    gate.open();
    await sleeps.cancel();
    await awaits.result();
    await isolated.result();
    await assert.rejects(sleeps.result());
  });

  it("T79: a handler that blocks, through the scheduler without its stream, for several that ask at once", async () => {
    const gate = pair.fleet.gate();
    const blocks = await submit("blocks", gate.path);
    const asked = [1, 2, 3].map(() => stack(pair.atOne, { taskId: blocks.id }));
    for (const answer of await Promise.all([...asked, stack(pair.atTwo, { workerId: "gpu-7" })])) {
      assert.match(answer.stack.mainFrames.join("\n"), /blockUntil \(.*stacks\.ts[.js]*:\d+:\d+\)/);
      assert.ok(Number(answer.stack.loopAge?.seconds) >= 1);
      assert.match(answer.stack.notes.join("\n"), /main loop is blocked/);
    }
    assert.match(await pair.muster("stack", blocks.id), /main loop: blocked for .*\n {4}at /);
    const json = JSON.parse(await pair.muster("stack", blocks.id, "--json"));
    assert.equal(json.attemptId, `${blocks.id}.1`);
    gate.open();
    await blocks.result();
    await assert.rejects(stack(pair.atOne, { taskId: blocks.id }), {
      reason: "TASK_NOT_RUNNING",
    });
  });

  it("T79: a worker that is stopped does not answer, and one that has switched it off refuses", async () => {
    worker.kill("SIGSTOP");
    const { code, stderr } = await runMuster(pair.one.grpc, ["stack", "gpu-7", "--within", "500ms"]);
    worker.kill("SIGCONT");
    assert.notEqual(code, 0);
    const words = `worker gpu-7 was asked through scheduler ${pair.two.id} where its handlers are, and has not answered within 500 ms; its last heartbeat arrived `;
    assert.ok(stderr.includes(words), stderr);
    await pair.fleet.worker("quiet", {
      ...{ queue: "quiet", file: "stacks.ts", scheduler: pair.two.grpc },
      env: { WORKER_STACKS: "false" },
    });
    await assert.rejects(stack(pair.atOne, { workerId: "quiet" }), (error: Error & { reason?: string }) => {
      assert.equal(error.reason, "STACKS_REFUSED");
      assert.match(error.message, /worker quiet .* switched off at this worker: WORKER_STACKS/);
      return true;
    });
    await assert.rejects(stack(pair.atOne, { workerId: "unknown" }), { reason: "WORKER_NOT_FOUND" });
    await assert.rejects(stack(pair.atOne, {}), { reason: "INVALID_REQUEST" });
  });
});
