import assert from "node:assert/strict";
import { test } from "node:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { KillWorkerRequest } from "@muster/protocol";
import { requester } from "../../io/requester.ts";
import { run } from "../../run.ts";
import { fakeIo } from "../../testing/fake-io.ts";
import { startFakeScheduler } from "../../testing/fake-scheduler.ts";

const STOP = { number: 1, reason: "hangs", grace: durationFromMs(5_000) };

const launch = { id: "l-1", pid: 7, hostname: "box", stop: STOP };

test("a worker is killed with the reason, the user and the grace", async () => {
  const asked: KillWorkerRequest[] = [];
  await using scheduler = await startFakeScheduler({
    fleet: {
      killWorker: (request) => {
        asked.push(request);
        return { worker: { id: request.workerId, activeCount: 2, launch } };
      },
    },
  });
  const io = fakeIo();
  const words = ["worker", "kill", "w-1", "--grace", "5s", "--reason", "hangs", "--restart"];
  assert.equal(await run([...words, "--scheduler", scheduler.address], io), 0, io.err());
  assert.equal(
    io.out(),
    "w-1 is being killed: pid 7 on box gets SIGTERM, and SIGKILL 5.0 s later; it holds 2 attempts\n",
  );
  const [request] = asked;
  assert.deepEqual(
    [request?.reason, request?.grace && durationMs(request.grace), request?.restart],
    [`hangs (by ${requester()})`, 5_000, true],
  );
});

test("--wait waits until the end is reported", async () => {
  let looks = 0;
  await using scheduler = await startFakeScheduler({
    fleet: {
      killWorker: () => ({ worker: { id: "w-1", launch } }),
      getWorker: ({ workerId }) => {
        assert.equal(workerId, "l-1");
        looks += 1;
        const exit = { reason: "finished", signal: "SIGKILL", killReason: "hangs" };
        return { worker: { id: "w-1", launch: { ...launch, ...(looks > 1 ? { exit } : {}) } } };
      },
    },
  });
  const io = fakeIo();
  assert.equal(
    await run(["worker", "kill", "w-1", "--wait", "--scheduler", scheduler.address], io),
    0,
    io.err(),
  );
  assert.equal(looks, 2);
  assert.equal(io.out(), "w-1 has ended: finished: SIGKILL; kill asked for: hangs\n");
});
