import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Reason, WorkerState } from "@muster/protocol";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { supervise, workerCommand } from "../support/programs/supervised.ts";
import { until, within } from "../support/waits.ts";

/** Nothing listens there. */
const NOWHERE = "127.0.0.1:1";

describe("a worker under muster run starts", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const evidence = ({ evidence: facts }: Reason, wanted: string): string =>
    facts.find(({ key }) => key === wanted)?.value ?? "";

  it("F9: a wrong address: it is seen waiting for its connection, then its startup timeout", async () => {
    const handle = await fleet.client.submit("echo", null, { queue: "start-nowhere" });
    const lost = await supervise(fleet, "start-nowhere", {
      workerScheduler: NOWHERE,
      args: ["--pool", "start-pool"],
      env: { WORKER_REGISTER_TIMEOUT_S: "6" },
      waitReady: false,
    });
    await lost.supervisor.line("worker.dial.failed");
    // Its log is read line by line: it is launching until the line of the dial was.
    const { value: reason } = await within("it is seen connecting", 2 * H, async () => {
      const found = await fleet.workerReason("start-nowhere", "WAITING_FOR_CONNECTION", 2 * H);
      return found.explanation.state === "connecting" ? found.reason : undefined;
    });
    assert.equal(evidence(reason, "scheduler_addr"), NOWHERE);
    assert.equal(evidence(reason, "register_timeout"), "6 s");
    assert.match(evidence(reason, "register_time_left"), /^[\d.]+ m?s$/);
    await within("the dial's error", H, async () => {
      const { reason: later } = await fleet.workerReason("start-nowhere", "WAITING_FOR_CONNECTION", 0);
      return /ECONNREFUSED/.test(evidence(later, "last_dial_error")) ? true : undefined;
    });
    const { workers } = await fleet.client.fleet.listWorkers({
      states: [WorkerState.CONNECTING],
      pool: "start-pool",
    });
    assert.deepEqual(
      workers.map(({ id, sessionId, startupPhases }) => [id, sessionId, startupPhases.length]),
      [["start-nowhere", "", 2]],
    );
    const left = workers[0]?.launch?.registerTimeLeft;
    assert.ok(left && durationMs(left) > 0 && durationMs(left) < 6_000);
    const waits = await fleet.taskReason(handle.id, "WORKERS_STARTING", 0);
    assertReason(waits.reason, {
      evidence: { launch: /^start-nowhere: last phase scheduler_connecting, / },
      commands: ["muster why start-nowhere"],
    });
    await fleet.scheduler.program.line(
      "worker.waiting_for_connection",
      (line) => line.worker_id === "start-nowhere" && line.last_phase === "scheduler_connecting",
    );

    assert.equal((await lost.supervisor.ended).code, 1);
    const end = await fleet.workerReason("start-nowhere", "STARTUP_TIMEOUT", 2 * H);
    assert.equal(evidence(end.reason, "exit_code"), "1");
    assert.equal(evidence(end.reason, "scheduler_addr"), NOWHERE);
    assert.match(evidence(end.reason, "last_dial_error"), /ECONNREFUSED/);
    assert.match(evidence(end.reason, "log_tail"), /worker.startup_timeout_unregistered/);
    assert.equal((await fleet.workerState("start-nowhere")).goneReason, "startup_timeout");
    const failed = await fleet.taskReason(handle.id, "WORKERS_FAILED_TO_START", 0);
    assertReason(failed.reason, {
      evidence: { launch: /^start-nowhere \(startup_timeout / },
      commands: ["muster why start-nowhere"],
    });
    assert.ok((await fleet.workerEvents("start-nowhere")).includes("worker.startup_timeout"));
  });

  it("a worker that starts again is explained by what it served before, and only where that helps", async () => {
    const pool = ["--pool", "start-again"];
    const before = await supervise(fleet, "start-again", { args: pool });
    assert.equal((await before.supervisor.end()).code, 0);
    const hoped = await fleet.client.submit("echo", null, { queue: "start-again" });
    const other = await fleet.client.submit("echo", null, { queue: "start-elsewhere" });
    const again = await supervise(fleet, "start-again-2", {
      args: pool,
      workerScheduler: NOWHERE,
      waitReady: false,
    });
    await again.supervisor.line("worker.dial.failed");
    await fleet.taskReason(hoped.id, "WORKERS_STARTING", 2 * H, {
      evidence: { launch: /^start-again-2: .*pool start-again have served echo from start-again/ },
    });
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: other.id });
    const reasons = explanation?.reasons ?? [];
    const about = reasons.findIndex(({ evidence: facts }) =>
      facts.some(({ key, value }) => key === "launch" && value.startsWith("start-again-2: ")),
    );
    assert.equal(reasons[about]?.code, "WORKERS_STARTING");
    assert.ok(reasons.findIndex(({ code }) => code === "NO_WORKERS") < about, "it is no cause");
    again.supervisor.kill("SIGTERM");
    await again.supervisor.ended;
    for (const handle of [hoped, other]) await handle.cancel("test over");
  });

  it("F9: without a supervisor it ends by its watchdog, with the last dial error in its log", async () => {
    const alone = await fleet.worker("start-alone", {
      scheduler: NOWHERE,
      env: { WORKER_REGISTER_TIMEOUT_S: "5" },
      waitReady: false,
    });
    assert.equal((await alone.ended).code, 1);
    const line = alone.lines.find(({ event }) => event === "worker.startup_timeout_unregistered");
    assert.match(String(line?.last_error), /ECONNREFUSED/);
    assert.ok(alone.lines.some(({ phase }) => phase === "startup_timeout_unregistered"));
  });

  it("F12: a throw before run() is in the log, and FATAL within two seconds", async () => {
    for (const when of ["loaded", "made"]) {
      const id = `start-throws-${when}`;
      const broken = await supervise(fleet, id, {
        command: workerCommand("broken.ts"),
        env: { WHEN: when },
        waitReady: false,
      });
      const logged = await broken.supervisor.line("worker.fatal");
      assert.deepEqual([logged.exception_class, logged.phase, logged.exit_code], ["TypeError", "startup", 1]);
      const { reason } = await fleet.workerReason(id, "FATAL", 2_000);
      assert.equal(evidence(reason, "exception"), "TypeError: no model in the cache");
      assert.match(evidence(reason, "traceback"), /broken\.ts/);
      assert.equal((await broken.supervisor.ended).code, 1);
      const { goneReason, fatal } = await fleet.workerState(id);
      assert.deepEqual([goneReason, fatal?.exceptionClass], ["fatal", "TypeError"]);
    }
  });

  for (const when of ["made", "empty"]) {
    it(`F12: without a supervisor, a worker that was ${when === "made" ? "created" : "created and has no handler yet"} sends its fatal report itself`, async () => {
      const id = `start-throws-alone-${when}`;
      const broken = Program.start("broken", "../support/workers/broken.ts", {
        base: import.meta.url,
        env: { WHEN: when, WORKER_ID: id, MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
      });
      // Its end waits until the report is sent.
      assert.equal((await broken.ended).code, 1);
      assert.ok(broken.lines.some(({ event }) => event === "worker.fatal"));
      await fleet.workerReason(id, "FATAL", 0, {
        evidence: {
          exception: /^TypeError: no model in the cache$/,
          traceback: /broken\.ts/,
          process: new RegExp(`^pid ${broken.pid} on `),
        },
      });
    });
  }

  it("a command that does not exist is LAUNCH_FAILED, and not tried again", async () => {
    for (const [id, file, code, why] of [
      ["start-missing", "no-such-worker", 127, /ENOENT/],
      ["start-plain", import.meta.filename, 126, /EACCES/],
    ] as const) {
      const missing = await supervise(fleet, id, {
        command: [file, "--model", "big"],
        args: ["--restart", "always"],
        waitReady: false,
      });
      assert.equal((await missing.supervisor.ended).code, code);
      await fleet.workerReason(id, "LAUNCH_FAILED", 0, {
        evidence: { start_error: why, command: /--model big$/ },
      });
      assert.equal((await fleet.workerState(id)).goneReason, "launch_failed");
    }
    const metrics = await (await fetch(`${fleet.scheduler.http}/metrics`)).text();
    assert.match(metrics, /^muster_launch_failures_total\{reason="launch_failed"\} [1-9]/m);
  });

  it("a command that fails before it registers leaves its exit code and its last output", async () => {
    const failing = await supervise(fleet, "start-fails", {
      command: ["sh", "-c", "echo loading; echo no such device >&2; exit 3"],
      waitReady: false,
    });
    assert.equal((await failing.supervisor.ended).code, 3);
    const { reason, explanation } = await fleet.workerReason("start-fails", "LAUNCH_FAILED", 0);
    assert.equal(evidence(reason, "exit_code"), "3");
    assert.match(evidence(reason, "log_tail"), /no such device/);
    assert.deepEqual(
      explanation.reasons.map(({ code }) => code),
      ["LAUNCH_FAILED", "EXITED"],
    );
    const why = Program.start("muster why", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["why", "start-fails", "--scheduler", fleet.scheduler.grpc],
    });
    assert.equal((await why.ended).code, 0);
    assert.match(why.stdout, /^start-fails is gone\n/);
    assert.match(why.stdout, /log_tail .*\n {4}\| /);
  });

  it("a crash loop backs off, is seen as one, and ends with its supervisor", async () => {
    const looping = await supervise(fleet, "start-loop", {
      command: [execPath, "-e", "process.exit(4)"],
      args: ["--restart", "on-failure", "--restart-delay", "150ms", "--restart-max-delay", "1m"],
      waitReady: false,
    });
    const ends = await until("four ends", () => {
      const said = looping.logged("launch.ended");
      return said.length >= 4 ? said : undefined;
    });
    assert.deepEqual(
      ends.slice(0, 4).map(({ restart_in_ms }) => restart_in_ms),
      [150, 300, 600, 1_200],
    );
    await fleet.workerReason("start-loop", "LAUNCH_FAILED", 2 * H, { evidence: { restart_time: /Z$/ } });
    const { launches } = await fleet.client.fleet.listLaunches({ workerId: "start-loop" });
    assert.ok(launches.length >= 4);
    assert.equal(launches.at(-1)?.startNumber, 1);
    looping.supervisor.kill("SIGTERM");
    assert.equal((await looping.supervisor.ended).code, 4);
    await within("the restart is called off", 2 * H, async () => {
      const { launch } = await fleet.workerState("start-loop");
      return launch?.exit && launch.exit.restartTime === undefined ? true : undefined;
    });
  });
});
