import assert from "node:assert/strict";
import { execPath, kill } from "node:process";
import { after, before, describe, it } from "node:test";
import { WorkerState } from "@muster/protocol";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { supervise, workerCommand } from "../support/programs/supervised.ts";
import { until, within } from "../support/waits.ts";

describe("the supervisor of a worker", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const tailOf = async (id: string) => (await fleet.workerState(id)).launch?.exit?.logTail ?? "";

  it("passes on output without line feeds or of any bytes, and keeps the last 64 KiB as text", async () => {
    const script = [
      "process.stdout.write('x'.repeat(30_000_000));",
      "process.stdout.write(Buffer.alloc(100_000, 0xff));",
      "process.stdout.write(Buffer.from([0, 0xc3]));",
      "process.stdout.write('the end', () => process.exit(5));",
    ].join("\n");
    const loud = await supervise(fleet, "sup-loud", { command: [execPath, "-e", script], waitReady: false });
    assert.equal((await loud.supervisor.ended).code, 5);
    assert.ok(loud.supervisor.stdout.length > 30_000_000, "something was not passed on");
    await fleet.workerReason("sup-loud", "LAUNCH_FAILED", 0);
    const tail = await tailOf("sup-loud");
    assert.ok(tail.endsWith("\u{FFFD}\u{FFFD}the end"), tail.slice(-20));
    assert.ok(Buffer.byteLength(tail) <= 64 * 1024 && tail.length > 20_000, String(tail.length));
  });

  it("lets no secret out, neither of the command nor of the output", async () => {
    const command = [
      ...[
        execPath,
        "-e",
        "console.log('using', process.env.HF_TOKEN, process.env.DB); process.exit(6)",
        "--",
      ],
      ...["--token", "t0p-s3cret", "--api-key=abcdef99", "postgres://me:hunter22@db/x", "--verbose"],
    ];
    const env = { HF_TOKEN: "hf_1234567890", DB: "postgres://me:swordfish@db/x" };
    const secretive = await supervise(fleet, "sup-secret", { command, env, waitReady: false });
    await secretive.supervisor.ended;
    assert.match(secretive.supervisor.stdout, /hf_1234567890/, "what is passed on is passed on as it is");
    const { launch } = await fleet.workerState("sup-secret");
    assert.match(launch?.command ?? "", /--token \[redacted\] --api-key=\[redacted\] .* --verbose$/);
    assert.equal(launch?.exit?.logTail, "using [redacted] postgres://me:[redacted]@db/x\n");
    const log = JSON.stringify(fleet.scheduler.program.lines);
    for (const secret of ["t0p-s3cret", "abcdef99", "hunter22", "hf_1234567890", "swordfish"]) {
      assert.ok(!log.includes(secret) && !JSON.stringify(launch?.command).includes(secret), secret);
    }
  });

  it("keeps its reports while the scheduler is away, and the worker does not wait for them", async () => {
    const other = await Fleet.start();
    try {
      const away = await supervise(other, "sup-away", { args: ["--report-timeout", "20s"] });
      const { grpc, http, program } = other.scheduler;
      await program.end("SIGKILL");
      kill(away.pid(), "SIGKILL");
      await until("the end is seen", () => away.logged("launch.ended")[0]);
      await until("the report fails", () => away.logged("launch.report.failed")[0]);
      assert.ok(away.supervisor.alive, "it gave its report up");
      await other.restart({ program, grpc, http, id: "" });
      assert.equal((await away.supervisor.ended).code, 137);
      await other.workerReason("sup-away", "KILLED", 0, { evidence: { signal: /^SIGKILL$/ } });
      const exit = (await other.workerState("sup-away")).launch?.exit;
      const endedAt = Number(exit?.endTime?.seconds ?? 0n) * 1_000 + (exit?.endTime?.nanos ?? 0) / 1e6;
      // The report says how long ago the end was: it is dated by that, and not by its arrival after the restart.
      const [seen, reported] = ["launch.ended", "launch.reported"].map((event) =>
        Date.parse(String(away.logged(event)[0]?.time)),
      ) as [number, number];
      const error = Math.abs(endedAt - seen);
      assert.ok(
        error < (reported - seen) / 2,
        `dated ${error} ms from the end, reported ${reported - seen} ms after it`,
      );
    } finally {
      await Promise.all(other.schedulers.map(({ program }) => program.end("SIGKILL")));
      await other.stop();
    }
  });

  it("killed itself: the worker finishes its attempts and ends, and the launch has the time of the last report", async () => {
    const gate = fleet.gate();
    const orphan = await supervise(fleet, "sup-orphan");
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "sup-orphan" });
    await fleet.ran(handle.id);
    await orphan.supervisor.end("SIGKILL");
    await fleet.workerReason("sup-orphan", "DRAINING", 1_000 + H);
    await within("the supervisor counts as silent", L + G, async () => {
      const { launch } = await fleet.workerState("sup-orphan");
      return launch?.supervisorSilent || undefined;
    });
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "sup-orphan", attempt: 1 });
    await within("it is gone", L + G, async () => {
      const { goneReason } = await fleet.workerState("sup-orphan");
      return goneReason === "finished" || undefined;
    });
    // The end of the process is never reported; the launch does not stay open for it.
    await within("the launch is over", L + G + 2 * H, async () => {
      const { launches } = await fleet.client.fleet.listLaunches({ workerId: "sup-orphan" });
      return launches[0]?.exit?.reason === "finished" || undefined;
    });
  });

  it("killed before its worker has registered: the launch is lost after lease and grace", async () => {
    const orphan = await supervise(fleet, "sup-early", {
      command: [execPath, "-e", "setTimeout(() => {}, 120_000)"],
      waitReady: false,
    });
    await fleet.scheduler.program.line("worker.launched", ({ worker_id: id }) => id === "sup-early");
    await fleet.workerReason("sup-early", "WAITING_FOR_CONNECTION", 0);
    assert.equal((await fleet.workerState("sup-early")).state, WorkerState.LAUNCHING);
    await orphan.supervisor.end("SIGKILL");
    await fleet.workerReason("sup-early", "LOST", L + G + 2 * H, {
      evidence: { supervisor: /^muster run .* on / },
    });
    kill(orphan.pid(), "SIGKILL");
  });

  it("a worker that comes back after its launch was over is a worker again", async () => {
    const gate = fleet.gate();
    // A session of its own escapes the group, as a daemon does. Without the variable it does not end with its supervisor.
    const script = 'MUSTER_SUPERVISOR_PID= setsid "$@" & while [ ! -e "$GATE" ]; do sleep 0.1; done';
    const daemon = await supervise(fleet, "sup-daemon", {
      command: ["sh", "-c", script, "sh", ...workerCommand()],
      env: { GATE: gate.path },
    });
    gate.open();
    await daemon.supervisor.ended;
    const back = await until("it is back", async () => {
      const worker = await fleet.workerState("sup-daemon");
      return worker.state === WorkerState.READY ? worker : undefined;
    });
    kill(back.host?.pid ?? 0, "SIGKILL");
  });
});
