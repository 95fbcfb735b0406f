import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { PROTOCOL_VERSION, type Reason, WorkerState } from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** The fault table's bound: the worker has its verdict, and operators can read it. */
const REPORTED_MS = 2_000;

const TOKEN = "the-right-token";

describe("F10, F11: refused workers", () => {
  let fleet: Fleet;

  before(async () => {
    // Nothing here waits for a lease or a heartbeat, and a busy machine must not end one or miss the other.
    const patient = ["--heartbeat", "2", "--lease", "20", "--reconnect-grace", "15"];
    fleet = await Fleet.start({ schedulers: 2, token: TOKEN, args: ["--hello-timeout", "0.4", ...patient] });
  });
  afterEach(() => cutAll());
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** A real worker process; its own token instead of the fleet's. */
  function dialling(id: string, token: string, scheduler = fleet.scheduler.grpc): Promise<Program> {
    return fleet.worker(id, { scheduler, env: { MUSTER_TOKEN: token }, waitReady: false });
  }

  /** Waits for the worker's end by the verdict. */
  async function verdict(worker: Program): Promise<void> {
    assert.deepEqual(await worker.ended, { code: 1, signal: null });
    assert.ok(worker.lines.some(({ event }) => event === "worker.fatal"));
    assert.ok(!worker.lines.some(({ event }) => event === "worker.disconnected"), "it dialled again");
  }

  async function refusalsOf(workerId: string) {
    const { refusals, state } = await fleet.workerState(workerId);
    return { state, refusals };
  }

  it("F10: a wrong or missing token is a verdict, and the worker is listed with it", async () => {
    for (const [id, token, says] of [
      ["wrong-token", "not-the-token", /the bearer token is not this scheduler's/],
      ["no-token", "", /no bearer token was sent/],
    ] as const) {
      const worker = await dialling(id, token);
      // The bounds begin where the stream is refused.
      await fleet.scheduler.program.line("worker.refused", ({ worker_id }) => worker_id === id);
      const { reason, explanation } = await fleet.workerReason(id, "BAD_TOKEN", REPORTED_MS);
      await within("the worker ends", REPORTED_MS, () => (worker.alive ? undefined : true));
      await verdict(worker);
      const last = worker.lines.find(({ event }) => event === "worker.fatal");
      assert.equal(last?.exception_class, "VerdictError");
      assert.match(String(last?.exception_message), says);
      assert.equal(last?.exit_code, 1);
      assert.deepEqual([explanation.subject, explanation.state], [id, "refused"]);
      assertReason(reason, {
        evidence: { message: says, peer: /^127\.0\.0\.1:\d+$/ },
        commands: ["MUSTER_TOKEN"],
      });
      assert.equal(fact(reason, "refused_count"), "1");
      assert.equal(fact(reason, "pid"), String(worker.pid));
      assert.match(fact(reason, "worker_sdk"), /^@muster\/worker /);
      const { state, refusals } = await refusalsOf(id);
      assert.equal(state, WorkerState.REFUSED);
      assert.deepEqual([refusals[0]?.code, refusals[0]?.refusalCount], ["BAD_TOKEN", 1n]);
      await within("it is in the feed", REPORTED_MS, async () =>
        (await fleet.workerEvents(id)).join() === "worker.refused" ? true : undefined,
      );
    }
    const { workers } = await fleet.client.fleet.listWorkers({ states: [WorkerState.REFUSED] });
    assert.deepEqual(
      workers.map(({ id }) => id),
      ["no-token", "wrong-token"],
    );
    const shown = Program.start("muster workers", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["workers", "--scheduler", fleet.scheduler.grpc],
      env: { MUSTER_TOKEN: TOKEN },
    });
    await shown.ended;
    assert.match(shown.stdout, /^wrong-token\trefused\tBAD_TOKEN once, .* from 127\.0\.0\.1:\d+\t/m);
    const log = fleet.scheduler.program.lines.filter(({ event }) => event === "worker.refused");
    assert.deepEqual(
      log.map(({ worker_id, reason }) => [worker_id, reason]),
      [
        ["wrong-token", "BAD_TOKEN"],
        ["no-token", "BAD_TOKEN"],
      ],
    );
    const everything = [...fleet.schedulers.map(({ program }) => program.stdout), JSON.stringify(log)].join();
    assert.ok(!everything.includes("not-the-token") && !everything.includes(TOKEN), "a token was logged");
  });

  it("a waiting task has the refused workers in its explanation; the right token clears it", async () => {
    const task = await fleet.client.submit("echo", "waits");
    const { reason } = await fleet.taskReason(task.id, "NO_WORKERS", REPORTED_MS);
    assertReason(reason, {
      evidence: { refused_worker: /^no-token BAD_TOKEN / },
      commands: ["MUSTER_TOKEN", "muster why no-token"],
    });
    assert.equal(reason.evidence.filter(({ key }) => key === "refused_worker").length, 2);
    for (const { grpc } of fleet.schedulers) await verdict(await dialling("late", "wrong", grpc));
    await within("both schedulers counted", REPORTED_MS, async () =>
      (await refusalsOf("late")).refusals[0]?.refusalCount === 2n ? true : undefined,
    );
    await fleet.worker("late");
    assert.equal(await task.result(), "waits");
    await within("cleared", REPORTED_MS, async () =>
      (await refusalsOf("late")).refusals.length === 0 ? true : undefined,
    );
    const { workers } = await fleet.client.fleet.listWorkers({});
    assert.deepEqual(
      workers.map(({ id, state }) => [id, state]),
      [
        ["late", WorkerState.READY],
        ["no-token", WorkerState.REFUSED],
        ["wrong-token", WorkerState.REFUSED],
      ],
    );
  });

  it("never unseats a living worker of the same id", async () => {
    const gate = fleet.gate();
    const worker = await fleet.worker("mine", { queue: "mine" });
    const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "mine" });
    await fleet.ran(task.id);
    await verdict(await dialling("mine", "stolen"));
    const { explanation, reason: refused } = await fleet.workerReason("mine", "BAD_TOKEN", REPORTED_MS);
    assert.deepEqual(
      explanation.reasons.map(({ code }) => code),
      ["BUSY", "BAD_TOKEN"],
    );
    assertReason(refused, { evidence: { registered_process: /^another$/ } });
    assert.equal((await fleet.workerState("mine")).state, WorkerState.READY);
    gate.open();
    assert.deepEqual(await task.result(), { worker: "mine", attempt: 1 });
    assert.ok(worker.alive);
    assert.ok(!worker.lines.some(({ event }) => event === "worker.disconnected"));
    // After its end the rejection comes first.
    await worker.end();
    await verdict(await dialling("mine", "stolen"));
    await within("the rejection comes first", REPORTED_MS, async () => {
      const { explanation: why } = await fleet.client.fleet.explainWorker({ workerId: "mine" });
      return why?.reasons[0]?.code === "BAD_TOKEN" ? true : undefined;
    });
  });

  it("F11: a protocol version that is not spoken here names both, and which side is older", async () => {
    const future = PROTOCOL_VERSION + 41;
    const cases = [
      ["from-the-future", future, /the scheduler is older/],
      ["from-the-past", 0, /names no protocol version/],
    ] as const;
    for (const [workerId, protocolVersion, says] of cases) {
      const worker = new RawWorker(fleet.scheduler.grpc, { workerId, token: TOKEN });
      worker.hello({ protocolVersion, sdkName: "raw", sdkVersion: "9.9" });
      const end = await worker.ended;
      assert.equal(end.reason, "PROTOCOL_VERSION_MISMATCH");
      const { reason } = await fleet.workerReason(workerId, "VERSION_MISMATCH", REPORTED_MS);
      assert.match(fact(reason, "message"), says);
      assert.equal(fact(reason, "scheduler_protocol_version"), String(PROTOCOL_VERSION));
      assert.equal(fact(reason, "worker_sdk"), "raw 9.9");
      const { refusals } = await refusalsOf(workerId);
      assert.equal(refusals[0]?.workerProtocolVersion, protocolVersion);
    }
    assert.equal(
      fact(
        (await fleet.workerReason("from-the-future", "VERSION_MISMATCH", REPORTED_MS)).reason,
        "worker_protocol_version",
      ),
      "42",
    );
  });

  it("whoever does not say who it is is listed by its address", async () => {
    const silent = new RawWorker(fleet.scheduler.grpc, {});
    assert.equal((await silent.ended).reason, "INVALID_TOKEN");
    const garbage = new RawWorker(fleet.scheduler.grpc, { token: TOKEN });
    garbage.sendBytes(Buffer.from([0x0a, 0xff, 0xff]));
    assert.equal((await garbage.ended).reason, "INVALID_MESSAGE");
    const mute = new RawWorker(fleet.scheduler.grpc, { token: TOKEN });
    assert.equal((await mute.ended).reason, "HELLO_TIMEOUT");
    const nameless = new RawWorker(fleet.scheduler.grpc, { token: TOKEN });
    nameless.hello({ workerId: "a\u0000b\nc", slotCount: 0 });
    assert.equal((await nameless.ended).reason, "INVALID_HELLO");
    const half = new RawWorker(fleet.scheduler.grpc, { token: TOKEN, workerId: "half" });
    half.hello({ slotCount: 0 });
    await half.ended;
    await within("all are listed", REPORTED_MS, async () => {
      const { refusals } = await refusalsOf("unknown@127.0.0.1");
      const codes = refusals.map(({ code, refusalCount }) => `${code} ${refusalCount}`).sort();
      return codes.join() === "BAD_TOKEN 1,HELLO_TIMEOUT 1,INVALID_HELLO 2" ? true : undefined;
    });
    await fleet.workerReason("half", "INVALID_HELLO", REPORTED_MS, {
      evidence: { message: /slot_count 0 is not between/ },
    });
  });
});

describe("a token that is changed while workers run", () => {
  let fleet: Fleet;

  // A grace that is long enough for two restarts.
  before(async () => {
    fleet = await Fleet.start({ token: TOKEN, args: ["--reconnect-grace", "60"] });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("is named as the reason why they do not come back; they go on dialling, and lose nothing", async () => {
    const worker = await fleet.worker("kept", { slots: 1 });
    const gate = fleet.gate();
    const task = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.ran(task.id);
    await fleet.scheduler.program.end("SIGKILL");
    const rotated = await fleet.restart(fleet.scheduler, ["--reconnect-grace", "60", "--token", "rotated"]);
    const client = new Client({ scheduler: rotated.grpc, token: "rotated" });
    // The bound begins where the stream is refused; the wait before the dial is the worker's.
    await rotated.program.line("worker.refused", ({ worker_id }) => worker_id === "kept");
    const { value: reason } = await within("its explanation names the token", 2 * REPORTED_MS, async () => {
      const { explanation } = await client.fleet.explainWorker({ workerId: "kept" });
      return explanation?.reasons.slice(0, 1).find(({ code }) => code === "BAD_TOKEN");
    });
    client.close();
    assertReason(reason, { evidence: { registered_process: /^itself$/ } });
    assert.ok(worker.alive, "there is no verdict after the first registration");
    await rotated.program.end("SIGKILL");
    await fleet.restart(rotated, ["--reconnect-grace", "60"]);
    gate.open();
    assert.deepEqual(await task.result(), { worker: "kept", attempt: 1 });
    assert.equal(fleet.runs(task.id).length, 1);
  });
});

function fact(reason: Reason, key: string): string {
  return reason.evidence.find((evidence) => evidence.key === key)?.value ?? "";
}
