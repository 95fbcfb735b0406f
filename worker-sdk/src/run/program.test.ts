import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { argv, execPath } from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { status as Status } from "@grpc/grpc-js";
import type { WorkerMessage } from "@muster/protocol";
import { RawScheduler } from "../../../test/support/peers/raw-scheduler.ts";
import { Worker } from "../index.ts";

/** Holds the main loop, without a processor for it. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Programs that the tests run as processes: this file, with a name as its argument. */
const SCENARIOS: Record<string, () => Promise<unknown>> = {
  blocking: () =>
    new Worker({
      concurrency: 2,
      tasks: {
        quick: () => "quick",
        block: (ctx) => ctx.phase("inference", () => block(3000)),
      },
    }).run(),
  uncaught: () =>
    new Worker({
      tasks: {
        crash: () => {
          setImmediate(() => {
            throw new TypeError("boom");
          });
          return new Promise(() => {});
        },
      },
    }).run(),
  preflight: () =>
    new Worker({
      tasks: { t: () => 1 },
      preflight: (startup) =>
        startup.phase("custom:load", () => {
          throw new RangeError("no model");
        }),
    }).run(),
  blockedStart: () => new Worker({ tasks: { t: () => 1 }, preflight: () => block(60_000) }).run(),
  waiting: () =>
    new Worker({
      tasks: {
        wait: (ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve("late"))),
      },
    }).run(),
};

interface Line {
  readonly event?: string;
  readonly [field: string]: unknown;
}

class Program {
  readonly process: ChildProcess;
  readonly lines: Line[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;

  constructor(scenario: string, variables: Record<string, string>) {
    this.process = spawn(execPath, ["--conditions=muster-source", fileURLToPath(import.meta.url), scenario], {
      env: { WORKER_ID: `w-${scenario}`, ...variables },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { stdout } = this.process;
    assert.ok(stdout);
    const reader = createInterface(stdout);
    reader.on("line", (line) => this.lines.push(JSON.parse(line)));
    this.exited = Promise.all([once(this.process, "exit"), once(reader, "close")]).then(
      ([[code, signal]]) => ({
        code,
        signal,
      }),
    );
  }

  events(): (string | undefined)[] {
    return this.lines.map(({ event }) => event);
  }

  phases(): unknown[] {
    return this.lines.filter(({ event }) => event === "worker.startup.phase").map(({ phase }) => phase);
  }

  find(event: string): Line {
    const line = this.lines.find((candidate) => candidate.event === event);
    assert.ok(line, `no ${event} in ${this.events().join(", ")}`);
    return line;
  }

  [Symbol.dispose](): void {
    this.process.kill("SIGKILL");
  }
}

const scenario = SCENARIOS[argv[2] ?? ""];
if (scenario !== undefined) {
  await scenario();
} else {
  test("heartbeats, re-dialling and finished results go on while a handler blocks the main loop", async () => {
    using server = await RawScheduler.start({ heartbeatMs: 400 });
    using program = new Program("blocking", { MUSTER_SCHEDULER_ADDR: server.address });
    const stream = await server.stream();
    await stream.next("startupPhase", ({ phase }) => phase === "ready");
    stream.assign("t-1.1", "block");
    const blocked = await stream.next("heartbeat", ({ eventLoopAge, running }) => {
      return Number(eventLoopAge?.nanos) > 500e6 && running.length === 1;
    });
    assert.deepEqual(
      blocked.running.map(({ attemptId, phase }) => [attemptId, phase]),
      [["t-1.1", "inference"]],
    );
    assert.deepEqual(
      stream.all("taskEvent").map(({ name }) => name),
      ["task.received", "task.started", "task.inference.started"],
    );
    stream.cut();
    const second = await server.stream(1);
    const hello = await second.next("hello");
    assert.equal(hello.inFlight[0]?.phase, "inference");
    const still = await second.next("heartbeat", ({ eventLoopAge }) => (eventLoopAge?.seconds ?? 0n) >= 1n);
    assert.equal(still.running[0]?.attemptId, "t-1.1");
    await second.next("taskResults");
    program.process.kill("SIGTERM");
    assert.deepEqual(await program.exited, { code: 0, signal: null });
    await second.next("goodbye");
    assert.deepEqual(program.phases(), ["boot", "scheduler_connecting", "registered", "ready"]);
    const boot = program.find("worker.startup.phase");
    for (const field of ["worker_id", "scheduler_addr", "pid", "uid", "gid", "cwd", "elapsed_ms", "time"]) {
      assert.ok(field in boot, field);
    }
    assert.match(String(boot.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("a result that is ready leaves before the next handler blocks the main loop", async () => {
    using server = await RawScheduler.start({ heartbeatMs: 100 });
    using _program = new Program("blocking", { MUSTER_SCHEDULER_ADDR: server.address });
    const stream = await server.stream();
    await stream.next("startupPhase", ({ phase }) => phase === "ready");
    const assignment = { queue: "default", attemptNumber: 1, maxAttemptCount: 1 };
    stream.send({
      case: "assignments",
      value: {
        assignments: [
          { ...assignment, attemptId: "t-1.1", taskType: "quick" },
          { ...assignment, attemptId: "t-2.1", taskType: "block" },
        ],
      },
    });
    const carries = (kind: WorkerMessage["kind"] | undefined, attemptId: string): boolean =>
      kind?.case === "taskResults" && kind.value.results.some((result) => result.attemptId === attemptId);
    await stream.next("taskResults", ({ results }) => results.some(({ attemptId }) => attemptId === "t-2.1"));
    const order = [
      stream.received.findIndex((kind) => carries(kind, "t-1.1")),
      stream.received.findIndex(
        ({ case: kind, value }) => kind === "heartbeat" && Number(value.eventLoopAge?.nanos) > 300e6,
      ),
      stream.received.findIndex((kind) => carries(kind, "t-2.1")),
    ];
    assert.ok(order.every((index) => index >= 0));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.notEqual(order[0], order[2]);
  });

  test("an uncaught exception in a task is logged, told to the scheduler, and ends the process", async () => {
    using server = await RawScheduler.start();
    using program = new Program("uncaught", { MUSTER_SCHEDULER_ADDR: server.address });
    const stream = await server.stream();
    await stream.next("startupPhase", ({ phase }) => phase === "ready");
    stream.assign("t-1.1", "crash");
    const fatal = await stream.next("workerFatal");
    assert.deepEqual(
      [fatal.phase, fatal.exceptionClass, fatal.exceptionMessage],
      ["task", "TypeError", "boom"],
    );
    assert.match(fatal.traceback, /TypeError: boom\n/);
    assert.deepEqual(await program.exited, { code: 1, signal: null });
    const line = program.find("worker.fatal");
    assert.deepEqual([line.phase, line.exception_class, line.exit_code], ["task", "TypeError", 1]);
    assert.deepEqual(stream.all("taskResults"), []);
  });

  test("a preflight that throws is fatal in phase startup, and its steps are seen", async () => {
    using server = await RawScheduler.start();
    using program = new Program("preflight", { MUSTER_SCHEDULER_ADDR: server.address });
    const stream = await server.stream();
    const fatal = await stream.next("workerFatal");
    assert.deepEqual([fatal.phase, fatal.exceptionClass], ["startup", "PreflightError"]);
    assert.match(fatal.traceback, /Caused by: RangeError: no model/);
    assert.deepEqual(await program.exited, { code: 1, signal: null });
    assert.ok(program.lines.some(({ phase, outcome }) => phase === "custom:load" && outcome === "failed"));
  });

  test("a worker that cannot register says why and ends at the register timeout", async () => {
    const server = await RawScheduler.start();
    const { address } = server;
    server.stop();
    const variables = { MUSTER_SCHEDULER_ADDR: address, WORKER_REGISTER_TIMEOUT_S: "5" };
    using program = new Program("waiting", variables);
    assert.deepEqual(await program.exited, { code: 1, signal: null });
    assert.deepEqual(program.phases(), ["boot", "scheduler_connecting", "startup_timeout_unregistered"]);
    assert.match(String(program.find("worker.startup_timeout_unregistered").last_error), /ECONNREFUSED/);
  });

  test("the register timeout ends a process whose main loop is blocked", async () => {
    const server = await RawScheduler.start();
    const { address } = server;
    server.stop();
    const variables = { MUSTER_SCHEDULER_ADDR: address, WORKER_REGISTER_TIMEOUT_S: "5" };
    using program = new Program("blockedStart", variables);
    assert.deepEqual(await program.exited, { code: null, signal: "SIGKILL" });
    const line = program.find("worker.startup_timeout_unregistered");
    assert.match(String(line.last_error), /ECONNREFUSED/);
  });

  test("a verdict ends the process at once, with the scheduler's reason and without a second dial", async () => {
    using server = await RawScheduler.start({
      refuse: { code: Status.FAILED_PRECONDITION, reason: "PROTOCOL_VERSION_MISMATCH", message: "speak 2" },
    });
    using program = new Program("waiting", { MUSTER_SCHEDULER_ADDR: server.address });
    assert.deepEqual(await program.exited, { code: 1, signal: null });
    assert.match(
      String(program.find("worker.fatal").exception_message),
      /FAILED_PRECONDITION \(PROTOCOL_VERSION_MISMATCH\): speak 2/,
    );
    assert.equal(server.streams.length, 1);
  });

  test("SIGTERM drains; a second signal exits at once", async () => {
    using server = await RawScheduler.start();
    using first = new Program("waiting", {
      MUSTER_SCHEDULER_ADDR: server.address,
      WORKER_DRAIN_TIMEOUT_S: "0.2",
    });
    const stream = await server.stream();
    await stream.next("startupPhase", ({ phase }) => phase === "ready");
    stream.assign("t-1.1", "wait");
    await stream.next("taskEvent", ({ name }) => name === "task.started");
    first.process.kill("SIGTERM");
    const { results } = await stream.next("taskResults");
    assert.equal(results[0]?.outcome.case, "succeeded");
    assert.deepEqual(await first.exited, { code: 0, signal: null });

    using second = new Program("waiting", { MUSTER_SCHEDULER_ADDR: server.address });
    const next = await server.stream(1);
    await next.next("startupPhase", ({ phase }) => phase === "ready");
    next.assign("t-2.1", "wait");
    await next.next("taskEvent", ({ name }) => name === "task.started");
    second.process.kill("SIGINT");
    await next.next("draining");
    second.process.kill("SIGINT");
    assert.deepEqual(await second.exited, { code: 130, signal: null });
  });
}
