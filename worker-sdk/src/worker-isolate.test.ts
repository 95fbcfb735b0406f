import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { FailureClass } from "@muster/protocol";
import { RawScheduler, type RawStream } from "../../test/support/peers/raw-scheduler.ts";
import { OptionsError, Worker } from "./index.ts";
import { runTask, testWorker } from "./test-kit/index.ts";
import { outcomeOf } from "./worker-fixture.test.ts";

/** False for a process that has ended, also while it is a zombie. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** The module is imported when the address of its scheduler is known. */
const TASKS = new URL("./worker-isolate-tasks.test.ts", import.meta.url);

describe("isolated handlers", { skip: process.platform === "win32" }, () => {
  let server: RawScheduler;
  let worker: Worker;
  let stream: RawStream;
  let count = 0;

  before(async () => {
    server = await RawScheduler.start({
      welcome: { features: ["checkpoints", "key_pauses", "steps", "task_logs"] },
    });
    process.env.MUSTER_SCHEDULER_ADDR = server.address;
    ({ worker } = await import(TASKS.href));
    await worker.start();
    stream = await server.stream();
  });
  after(async () => {
    await worker.stop({ timeoutS: 0 });
    server.stop();
  });

  /** Assigns an attempt; returns its id. */
  function assign(type: string, fields: object = {}, payload: unknown = { page: 1 }): string {
    count += 1;
    const id = `t-${count}.1`;
    stream.assign(id, type, payload, fields);
    return id;
  }

  async function succeeded(id: string): Promise<unknown> {
    const outcome = await outcomeOf(stream, id);
    assert.ok(
      outcome?.case === "succeeded",
      JSON.stringify(outcome, (_, v) => (typeof v === "bigint" ? String(v) : v)),
    );
    return JSON.parse(Buffer.from(outcome.value.output).toString());
  }

  async function failed(id: string) {
    const outcome = await outcomeOf(stream, id);
    assert.ok(outcome?.case === "failed", outcome?.case);
    const { code, message, failureClass, details } = outcome.value;
    return { code, message, class: failureClass, details };
  }

  it("have everything of ctx, and lines of both outputs go to the task's log", async () => {
    const id = assign("context");
    const checkpoint = await stream.next("taskCheckpoint", ({ attemptId }) => attemptId === id);
    stream.send({
      case: "checkpointAck",
      value: { attemptId: id, sequence: checkpoint.sequence } as never,
    });
    const { requestId } = await stream.next("keyPauseRequest", ({ attemptId }) => attemptId === id);
    stream.send({
      case: "keyPauseAnswer",
      value: { requestId, remaining: { seconds: 30n, nanos: 0 } } as never,
    });
    const result = (await succeeded(id)) as Record<string, unknown>;
    assert.notEqual(result.pid, process.pid);
    assert.deepEqual(
      [result.paused, result.service, result.kept, result.attempt],
      [true, `services of ${result.pid}`, 1, 1],
    );
    while (existsSync(String(result.folder))) await new Promise(setImmediate);
    const outcome = await outcomeOf(stream, id);
    assert.deepEqual(outcome?.case === "succeeded" && outcome.value.warnings.map(({ code }) => code), [
      "NO_THUMBNAIL",
    ]);
    const chunks = stream.all("taskOutput").filter(({ attemptId }) => attemptId === id);
    assert.equal(Buffer.concat(chunks.map(({ data }) => data)).toString(), "chunk");
    const { steps } = await stream.next("stepReport", ({ attemptId }) => attemptId === id);
    assert.equal(steps[0]?.name, "count");
    await stream.next("taskLogs", ({ attemptId, endSequence }) => attemptId === id && endSequence > 0n);
    const lines = stream
      .all("taskLogs")
      .filter(({ attemptId }) => attemptId === id)
      .flatMap(({ lines: some }) => some);
    const said = lines.map(({ message }) => message);
    for (const line of ["a line", "to standard output", "to standard error"])
      assert.ok(said.includes(line), line);
    assert.deepEqual(
      lines.map(({ sequence }) => Number(sequence)),
      lines.map((_, at) => at + 1),
    );
    const [own] = lines.filter(({ message }) => message === "a line");
    assert.deepEqual(JSON.parse(own?.fieldsJson ?? ""), { page: 1, token: "[redacted]" });
  });

  it("reuse a process after a success alone, and one without reuse never", async () => {
    const [first, second] = [await succeeded(assign("pid")), await succeeded(assign("pid"))];
    assert.equal(first, second);
    assert.equal((await failed(assign("fails"))).code, "NO_TEXT");
    assert.notEqual(await succeeded(assign("single")), await succeeded(assign("single")));
    assert.equal(await succeeded(assign("neighbour")), process.pid);
  });

  it("fail with their own errors, details among them", async () => {
    assert.deepEqual(await failed(assign("fails")), {
      code: "NO_TEXT",
      message: "no text",
      class: FailureClass.NON_RETRYABLE,
      details: '{"page":3}',
    });
    const uncaught = await failed(assign("uncaught"));
    assert.deepEqual(
      [uncaught.code, uncaught.message],
      ["RANGE_ERROR", "An uncaught error ended the handler's process: an error without a handler"],
    );
  });

  it("crash alone: the signal, the exit code and a lack of memory are the failure of the attempt", async () => {
    const ids = {
      segv: assign("segv"),
      exit: assign("exit"),
      heap: assign("heap"),
      fine: assign("neighbour"),
    };
    assert.equal(await succeeded(ids.fine), process.pid);
    assert.deepEqual(await failed(ids.segv), {
      code: "KILLED_BY_SIGSEGV",
      message: "The handler's process was ended by SIGSEGV",
      class: FailureClass.RETRYABLE,
      details: '{"signal":"SIGSEGV"}',
    });
    const exit = await failed(ids.exit);
    assert.deepEqual(
      [exit.code, exit.message],
      ["EXIT_7", "The handler's process exited with 7 before the handler had returned"],
    );
    const heap = await failed(ids.heap);
    assert.deepEqual([heap.code, heap.class], ["OUT_OF_MEMORY", FailureClass.OUT_OF_MEMORY]);
    assert.match(heap.message, /because its memory ran out \(FATAL ERROR: .*heap out of memory\)/);
    const buffers = await failed(assign("buffers"));
    assert.equal(buffers.class, FailureClass.OUT_OF_MEMORY);
    assert.match(buffers.message, /\((cgroup oom_kill \d+ in |it took \d+ MiB of its limit of 256 MiB)/);
  });

  it("are killed after the grace when they loop beyond a hard timeout of the run or of a phase", async () => {
    // Their processes run already: the time limit counts from the call.
    await Promise.all([succeeded(assign("loop")), succeeded(assign("phase"))]);
    const limit = { seconds: 0n, nanos: 500_000_000 };
    const run = assign("loop", { runTimeout: limit }, { block: true });
    const phase = assign("phase", { phaseTimeouts: { inference: limit } }, { block: true });
    await stream.next("taskProgress", ({ attemptId }) => attemptId === run);
    const [ofRun, ofPhase] = [await failed(run), await failed(phase)];
    assert.deepEqual([ofRun.code, ofPhase.code], ["TIMED_OUT", "TIMED_OUT"]);
    const killed = "The handler's process was killed: it did not stop within 0.3 s.";
    assert.equal(ofRun.message, `The run took longer than 0.5 s. ${killed}`);
    assert.equal(ofPhase.message, `Phase inference ran longer than 0.5 s. ${killed}`);
    const ended = await outcomeOf(stream, run);
    assert.match(
      ended?.case === "failed" ? ended.value.traceback : "",
      /^The handler was at:\n {4}at block \(.*worker-isolate-tasks/,
    );
    const lines = stream.all("taskLogs").flatMap(({ lines: some }) => some);
    assert.ok(
      lines.some(({ message }) => /is killed: it did not stop within 0\.3 s; it is at block/.test(message)),
    );
    assert.equal(await succeeded(assign("neighbour")), process.pid);
  });

  it("stop when they are cancelled; one that does not is killed with all that it has started", async () => {
    const id = assign("wait");
    await stream.next("taskEvent", ({ attemptId, name }) => attemptId === id && name === "task.started");
    stream.send({ case: "cancelAttempt", value: { attemptId: id, reason: "no" } as never });
    const outcome = await outcomeOf(stream, id);
    assert.equal(outcome?.case === "cancelled" && outcome.value.message, "The task was cancelled: no");
    const stubborn = assign("stubborn");
    const { progress } = await stream.next("taskProgress", ({ attemptId }) => attemptId === stubborn);
    const pid = Number(progress?.message);
    assert.ok(runs(pid));
    stream.send({ case: "cancelAttempt", value: { attemptId: stubborn, reason: "no" } as never });
    assert.equal((await outcomeOf(stream, stubborn))?.case, "cancelled");
    assert.ok(!runs(pid), "the process in a session of its own runs");
  });

  it("write nothing to the log of the next attempt from what they have left behind", async () => {
    const first = await succeeded(assign("behind"));
    const id = assign("behind", {}, { wait: true });
    assert.equal(await succeeded(id), first);
    await stream.next("taskLogs", ({ attemptId, endSequence }) => attemptId === id && endSequence > 0n);
    const lines = stream.all("taskLogs").filter(({ attemptId }) => attemptId === id);
    const said = new Set(lines.flatMap(({ lines: some }) => some.map(({ message }) => message)));
    assert.deepEqual([...said], [`from ${id}`]);
  });

  it("have results up to the limit", async () => {
    assert.equal(((await succeeded(assign("late"))) as string).length, 20_000);
  });

  it("run in the process of a test, or in their own when it says so", async () => {
    assert.equal((await runTask(worker, "pid")).output, process.pid);
    await using bench = await testWorker(worker, { isolate: true });
    assert.notEqual((await bench.run("pid")).output, process.pid);
    assert.equal((await bench.run("segv")).failure?.code, "KILLED_BY_SIGSEGV");
  });
});

describe("the options of isolated handlers", () => {
  it("say everything that is wrong at once", () => {
    const handler = () => {};
    const wrong = {
      module: "./worker.ts",
      memoryLimitBytes: 5,
      reuse: 0,
      idleS: -1,
      killGraceS: 1e9,
      memory: 1,
    };
    assert.throws(
      () =>
        new Worker({
          tasks: {
            a: { handler, isolate: wrong as never },
            b: { handler, isolate: "yes" as never },
            c: { handler, isolate: true, concurrency: { min: 1, max: 2, targetS: () => 1 } },
          },
        }),
      (error) => {
        assert.ok(error instanceof OptionsError);
        for (const part of [
          'tasks["a"].isolate.memory: is no option',
          "isolate.memoryLimitBytes: 5 is not an integer of at least 134217728",
          "isolate.reuse: 0 is neither true, false nor an integer",
          "isolate.idleS: -1 is not a number of seconds",
          "isolate.killGraceS: 1000000000 is not a number of seconds from 0 to 3600",
          'isolate.module: "./worker.ts" is neither a file URL nor an absolute path',
          'tasks["b"].isolate: is string; give true or an object',
          'tasks["c"].concurrency.targetS: is a function of the payload',
        ])
          assert.ok(error.message.includes(part), `${part} in ${error.message}`);
        return true;
      },
    );
  });

  it("a module without the worker, one that throws, and one that is missing end the start with a sentence", async () => {
    const start = (module: string) =>
      testWorker({ tasks: { t: { handler: () => {}, isolate: { module } } } }, { isolate: true }).then(
        () => assert.fail("it started"),
        (error: Error) => `${error.name}: ${error.message}`,
      );
    const other = fileURLToPath(TASKS);
    assert.match(
      await start(other),
      /^IsolationError: isolated handlers cannot run: The module was imported in the handler's process and makes 1 worker, with isolated handlers for context, .*: give isolate: \{ module: import.meta.filename \} in the module/,
    );
    assert.match(await start("/no/such/module.js"), /could not be imported: Cannot find module/);
  });
});
