import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { execArgv, execPath, env as processEnv } from "node:process";
import { after, before, describe, it } from "node:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { HoldKind, WorkerState } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { MUSTER, runMuster } from "../support/programs/run-muster.ts";
import { supervise } from "../support/programs/supervised.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until } from "../support/waits.ts";

/** Runs a command in a terminal of its own: what we write are keys, what we read is the screen. */
const IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

const ENTER_SCREEN = "\u001b[?1049h";
const LEAVE_SCREEN = "\u001b[?1049l";

describe("muster top", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
    await fleet.worker("steady", { slots: 2 });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("gets the fleet in one answer, what needs attention first", async () => {
    const gate = fleet.gate();
    const held = await fleet.client.submit("gate", { gate: gate.path }, { watchdogs: { runS: 0.5 } });
    await fleet.eventually(held.id, "accepted");
    const failed = await fleet.client.submit("refuse");
    await assert.rejects(failed.result());
    await fleet.client.submitMany([
      { type: "orphan", queue: "a-queue-without-workers" },
      { type: "orphan", queue: "a-queue-without-workers" },
    ]);
    await fleet.client.fleet.pauseQueue({ queue: "paused", reason: "disk is full" });
    const lost = await fleet.worker("short-lived");
    await lost.end("SIGKILL");
    await fleet.workerReason("short-lived", "LOST", 5_000);
    const overview = await until("the overview has it all", async () => {
      const response = await fleet.client.fleet.getOverview({ limit: 3 });
      return response.overview?.stuckCount === 1n ? response.overview : undefined;
    });
    assert.deepEqual(
      overview.queues.map(({ queue, unservableCount, unservableTaskType }) => [
        queue?.name,
        unservableCount,
        unservableTaskType,
      ]),
      [
        ["a-queue-without-workers", 2n, "orphan"],
        ["default", 0n, ""],
        ["paused", 0n, ""],
      ],
    );
    assert.deepEqual(
      overview.workers.map(({ workerId, state, problem }) => [workerId, state, problem]),
      [
        ["short-lived", WorkerState.LOST, "lost"],
        ["steady", WorkerState.READY, ""],
      ],
    );
    assert.deepEqual(
      overview.running.map(({ taskId, taskType, workerId, stuck }) => [taskId, taskType, workerId, stuck]),
      [[held.id, "gate", "steady", true]],
    );
    assert.deepEqual(
      overview.failures.map(({ taskId, failureCode, failureMessage }) => [
        taskId,
        failureCode,
        failureMessage,
      ]),
      [[failed.id, "NEVER", "it will never work"]],
    );
    const { readyCount, activeCount, slotCount, activeSlotCount, recentFailureCount } = overview;
    assert.deepEqual(
      [readyCount, activeCount, slotCount, activeSlotCount, recentFailureCount],
      [2n, 1n, 2n, 1n, 1n],
    );
    await assert.rejects(
      fleet.client.fleet.getOverview({ limit: 101 }),
      (error: unknown) => error instanceof MusterError && error.reason === "INVALID_REQUEST",
    );
    const once = Program.start("muster top", MUSTER, {
      base: import.meta.url,
      args: ["top", "--scheduler", fleet.scheduler.grpc],
    });
    assert.equal((await once.ended).code, 0, "piped, it shows one frame and ends");
    assert.match(once.stdout, /^a-queue-without-workers .*no worker for 2 orphan$/m);
    assert.match(once.stdout, new RegExp(`^${held.id} .*stuck$`, "m"));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what must not be there.
    assert.doesNotMatch(once.stdout, /\u001b/);
    gate.open();
    await held.result();
  });

  it("shows the circuits that are not closed and the paused keys, and the doctor names the keys", async () => {
    const { fleet: api } = fleet.client;
    const limited = { rateLimits: [{ key: "smtp out", limit: 100, periodS: 1 }] };
    await (await fleet.client.submit("echo", 1, limited)).result();
    const opened = { key: "provider-a", reason: "ada: maintenance" };
    await api.openCircuit({ ...opened, openFor: durationFromMs(600_000) });
    await api.openCircuit({ key: "provider-b", reason: "ada: for good" });
    await api.pauseKey({ key: "smtp out", duration: durationFromMs(600_000), reason: "ada: 429" });
    const { overview } = await until("all of them are in it", async () => {
      const response = await api.getOverview({ limit: 10 });
      return response.overview?.holdCount === 3n ? response : undefined;
    });
    assert.deepEqual(
      overview?.holds.map(({ key, kind, remaining, problem }) => [
        ...[key, kind, remaining !== undefined && durationMs(remaining) > 500_000],
        problem,
      ]),
      [
        ["provider-a", HoldKind.CIRCUIT_OPEN, true, "by an operator: ada: maintenance"],
        ["provider-b", HoldKind.CIRCUIT_OPEN, false, "by an operator: ada: for good"],
        ["smtp out", HoldKind.KEY_PAUSED, true, "ada: 429"],
      ],
    );
    const { stdout } = await runMuster(fleet.scheduler.grpc, ["top"]);
    assert.match(stdout, /^smtp out +a paused key .*ada: 429$/m);
    const doctor = await runMuster(fleet.scheduler.grpc, ["doctor"]);
    assert.match(doctor.stdout, /work\.keys_paused.*"smtp out"/);
    await until("the pause is counted", async () => {
      const scrape = await Scrape.of(fleet.scheduler.http);
      return scrape.sum("muster_paused_keys") === 1 || undefined;
    });
    await api.resumeKey({ key: "smtp out" });
    for (const { key } of [opened, { key: "provider-b" }]) await api.resetCircuit({ key, reason: "ada" });
  });

  it("shows what starts and what failed to start, with its last phase and age, within 80 columns", async () => {
    const waiting = await supervise(fleet, "a-worker-with-quite-a-long-name-of-its-own", {
      workerScheduler: "127.0.0.1:1",
      waitReady: false,
    });
    await waiting.supervisor.line("worker.dial.failed");
    const failing = await supervise(fleet, "fails-to-start", {
      command: ["sh", "-c", "exit 3"],
      waitReady: false,
    });
    await failing.supervisor.ended;
    const lines = await until("both are shown", async () => {
      const once = Program.start("muster top", MUSTER, {
        base: import.meta.url,
        args: ["top", "--scheduler", fleet.scheduler.grpc],
      });
      await once.ended;
      const shown = once.stdout.split("\n");
      const both = [/^fails-to-.* gone /, /^a-worker-.* connecting /];
      return both.every((each) => shown.some((line) => each.test(line))) ? shown : undefined;
    });
    for (const line of lines) assert.ok(line.length <= 80, `${line.length} columns: ${line}`);
    const { overview } = await fleet.client.fleet.getOverview({ limit: 100 });
    const entry = (id: string) => overview?.workers.find(({ workerId }) => workerId === id);
    const starting = entry("a-worker-with-quite-a-long-name-of-its-own");
    assert.equal(starting?.state, WorkerState.CONNECTING);
    assert.match(starting?.problem ?? "", /^scheduler_connecting [\d.]+ m?s, [\d.]+ s left$/);
    const failed = entry("fails-to-start");
    assert.equal(failed?.state, WorkerState.GONE);
    assert.equal(failed?.problem, "did not start: exited with code 3; no phase yet");
    assert.ok(
      lines.some((line) => /^workers .*1 connecting/.test(line)),
      lines.join("\n"),
    );
    assert.ok(
      lines.some((line) => /^a-worker-.* connecting .*scheduler_connecting/.test(line)),
      lines.join("\n"),
    );
    waiting.supervisor.kill("SIGTERM");
    await waiting.supervisor.ended;
  });

  it("draws until q, over a scheduler that goes away and comes back, and leaves the terminal as it was", async () => {
    const node = [execPath, ...execArgv.filter((arg) => !arg.startsWith("--test"))];
    const command = [...node, MUSTER, "top", "--interval", "250ms", "--scheduler", fleet.scheduler.grpc];
    // The state of the terminal afterwards shows whether it was restored.
    const child = spawn(
      "python3",
      [
        "-c",
        IN_TERMINAL,
        "sh",
        "-c",
        'stty cols 80 rows 24; "$@"; echo "ended with $?"; stty -a',
        "sh",
        ...command,
      ],
      {
        env: { ...processEnv, NODE_TEST_CONTEXT: undefined, TERM: "xterm-256color" },
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    let screen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      screen += chunk.toString();
    });
    const shows = (text: string, from = 0) =>
      until(
        `the screen shows "${text}"`,
        () => (screen.indexOf(text, from) >= 0 ? true : undefined),
        () => `:\n${screen.slice(-3_000)}`,
      );
    try {
      await shows(ENTER_SCREEN);
      await shows("1 ready");
      // The first sentence says what is wrong, and the keys open the row that they choose.
      await shows("no worker can run ");
      child.stdin.write("j");
      await shows("Enter explains worker ");
      child.stdin.write("\u001b[B\r");
      await shows("Esc goes back");
      await shows(" is ");
      const closed = screen.length;
      child.stdin.write("\u001b");
      await shows("Esc chooses none", closed);
      const { scheduler } = fleet;
      await scheduler.program.end("SIGKILL");
      await shows("no answer for");
      const mark = screen.length;
      await fleet.restart(scheduler);
      const known = await fleet.client.submit("orphan", {}, { queue: "made-after-the-return" });
      await shows("made-after-the-return", mark);
      assert.ok(known.id);
      child.stdin.write("q");
      await shows("ended with 0", mark);
      await ended;
    } finally {
      child.kill("SIGKILL");
    }
    const left = screen.slice(screen.indexOf(LEAVE_SCREEN));
    assert.match(left, /ended with 0/);
    assert.match(left, / icanon /);
    assert.match(left, / echo /);
    assert.equal(screen.split(ENTER_SCREEN).length, screen.split(LEAVE_SCREEN).length);
  });
});
