import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { FleetService, TaskService, TaskState, WorkerService, WorkerState } from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { FAST, startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

const { reportLaunch, reportExit } = WorkerService.method;

/** What a supervisor says of a start. */
const LAUNCH = {
  command: "worker --port 1",
  hostname: "box",
  pid: 4711,
  supervisor: "raw",
  startNumber: 1,
  age: durationFromMs(500),
  registerTimeout: durationFromMs(60_000),
  startupPhases: [{ phase: "boot", elapsed: durationFromMs(10) }],
};

describe("protocol: what supervisors report", () => {
  let db: TestDatabase;
  let schedulers: TestScheduler[];
  let one: RawCaller;
  let two: RawCaller;

  before(async () => {
    db = await createDatabase();
    schedulers = await Promise.all([1, 2].map(() => startTestScheduler({ databaseUrl: db.url })));
    const [first, second] = schedulers.map(({ grpc }) => new RawCaller(grpc));
    assert.ok(first && second);
    [one, two] = [first, second];
  });
  afterEach(() => cutAll());
  after(async () => {
    one.close();
    two.close();
    await killAll();
    await db.drop();
  });

  async function worker(workerId: string, at = one) {
    return (await at.call(FleetService.method.getWorker, { workerId })).worker;
  }

  it("a launch needs an id alone; unset fields have the defaults that the protocol names", async () => {
    const { reportInterval } = await one.call(reportLaunch, { launchId: "bare" });
    const everyMs = reportInterval ? durationMs(reportInterval) : 0;
    assert.ok(everyMs > 0 && everyMs <= FAST.leaseMs, `report again within ${everyMs} ms`);
    const bare = await worker("bare");
    assert.equal(bare?.state, WorkerState.LAUNCHING);
    const left = bare?.launch?.registerTimeLeft;
    assert.ok(left && durationMs(left) > 80_000 && durationMs(left) <= 90_000);
    assert.equal(bare?.launch?.startNumber, 1);
  });

  it("what is wrong is refused with every fault, and nothing is kept", async () => {
    for (const [request, fields] of [
      [{ launchId: "" }, ["launch_id"]],
      [{ launchId: "-x", workerId: "a b" }, ["launch_id", "worker_id"]],
      [{ launchId: "x".repeat(129) }, ["launch_id"]],
    ] as const) {
      for (const method of [reportLaunch, reportExit]) {
        await assert.rejects(
          one.call<typeof method.input, typeof method.output>(method, request),
          (error: Error) =>
            error.message.includes("INVALID_ARGUMENT INVALID_REQUEST") && error.message.includes(fields[0]),
        );
      }
    }
    await assert.rejects(
      one.call(reportExit, { launchId: "ok", signal: "kill -9" }),
      /INVALID_REQUEST signal "kill -9"/,
    );
    const garbage = await one.bytes(reportLaunch, Buffer.alloc(40, 0xff));
    assert.equal(garbage.code, status.INVALID_ARGUMENT);
    assert.equal(
      (await one.bytes(FleetService.method.getWorker, Buffer.from([0x0a, 2, 0x6f, 0x6b]))).code,
      status.NOT_FOUND,
    );
  });

  it("text of any size and of any characters is cut and kept", async () => {
    const report = { ...LAUNCH, launchId: "wordy", command: `\u0000${"c".repeat(100_000)}` };
    await one.call(reportLaunch, {
      ...report,
      startupPhases: Array.from({ length: 500 }, (_, n) => ({ phase: `custom:${n}` })),
    });
    await one.call(reportExit, { launchId: "wordy", exitCode: 1, logTail: `${"x".repeat(200_000)}the end` });
    const kept = (await worker("wordy"))?.launch;
    assert.ok(kept?.exit?.logTail.endsWith("the end"));
    assert.ok((kept?.exit?.logTail.length ?? 0) <= 65_536);
  });

  it("reported at one scheduler, registered at the other: one worker, whose end requeues what it holds at once", async () => {
    await one.call(reportLaunch, { ...LAUNCH, launchId: "across-1", workerId: "across" });
    assert.equal((await worker("across", two))?.state, WorkerState.LAUNCHING);
    await one.call(reportLaunch, {
      ...LAUNCH,
      launchId: "across-1",
      workerId: "across",
      startupPhases: [
        ...LAUNCH.startupPhases,
        { phase: "scheduler_connecting", elapsed: durationFromMs(20) },
      ],
    });
    assert.equal((await worker("across", two))?.state, WorkerState.CONNECTING);
    const [, there] = schedulers;
    const raw = await RawWorker.connect(there?.grpc ?? "", {
      workerId: "across",
      hello: { launchId: "across-1", queues: ["across"] },
    });
    for (const caller of [one, two]) {
      const known = await worker("across", caller);
      assert.equal(known?.sessionId, raw.sessionId, "the launch and the session are one worker");
      assert.equal(known?.launch?.command, LAUNCH.command);
    }
    const listed = await one.call(FleetService.method.listWorkers, {});
    assert.equal(listed.workers.filter(({ id }) => id === "across").length, 1);
    const { tasks } = await one.call(TaskService.method.submitTasks, {
      tasks: [{ taskType: "echo", queue: "across", payload: Buffer.from("{}") }],
    });
    const taskId = tasks[0]?.taskId ?? "";
    const { assignments } = await raw.next("assignments");
    const attemptId = assignments[0]?.attemptId ?? "";
    raw.send({ case: "taskAccepted", value: { attemptIds: [attemptId] } });
    await until("it runs", async () => {
      const { task } = await one.call(TaskService.method.getTask, { taskId });
      return task?.state === TaskState.RUNNING ? true : undefined;
    });
    // The supervisor speaks to the scheduler that does not hold the stream.
    const { requeuedCount } = await one.call(reportExit, {
      launchId: "across-1",
      workerId: "across",
      signal: "SIGKILL",
      runDuration: durationFromMs(3_000),
    });
    assert.equal(requeuedCount, 1);
    const { task } = await two.call(TaskService.method.getTask, { taskId });
    assert.equal(task?.state, TaskState.QUEUED);
    assert.equal(task?.attempts[0]?.outcome, "requeued:stale");
    assert.equal((await raw.ended).reason === "", false, "the stream of a process that is gone is ended");
    const gone = await worker("across", two);
    assert.deepEqual([gone?.state, gone?.goneReason], [WorkerState.GONE, "killed"]);
    // Told again, at the other one: the same answer, and nothing more happens.
    const again = await two.call(reportExit, { launchId: "across-1", workerId: "across", exitCode: 0 });
    assert.equal(again.requeuedCount, 1);
    assert.equal((await worker("across"))?.goneReason, "killed");
    await one.call(TaskService.method.cancelTask, { taskId });
  });
});
