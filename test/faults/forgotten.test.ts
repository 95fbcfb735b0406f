import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet, H, L } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker, type RawWorkerOptions } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

/** After so long an accepted task that has not started is warned of. */
const UNSTARTED = 500;

describe("workers that say nothing of what they accepted", () => {
  let fleet: Fleet;
  /** With a lease within which a loaded machine sees that an attempt is missing, and names it again. */
  let patient: Fleet;

  before(async () => {
    [fleet, patient] = await Promise.all([
      Fleet.start({
        args: ["--unstarted-after", String(UNSTARTED / 1_000), "--warn-phases", "model_load=0.5"],
      }),
      Fleet.start({ args: ["--lease", "20"] }),
    ]);
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
    await patient.stop();
  });

  /** A worker of the queue whose heartbeats list the attempts in `listed`. */
  async function lister(queue: string, listed: Set<string>, at = fleet, options: RawWorkerOptions = {}) {
    const worker = await RawWorker.connect(at.scheduler.grpc, {
      workerId: queue,
      slots: 2,
      beat: false,
      ...options,
      hello: { queues: [queue], ...options.hello },
    });
    let sequence = 0n;
    const timer = setInterval(() => {
      sequence += 1n;
      const running = [...listed].map((attemptId) => ({ attemptId }));
      worker.send({ case: "heartbeat", value: { sequence, slotCount: 2, running } });
    }, H);
    void worker.ended.then(() => clearInterval(timer));
    return worker;
  }

  it("an attempt that the heartbeats of a living worker omit is reported, then requeued, fenced", async () => {
    const listed = new Set<string>();
    const worker = await lister("forgetful", listed);
    const [kept, lost] = await Promise.all(
      ["kept", "lost"].map((payload) => fleet.client.submit("echo", payload, { queue: "forgetful" })),
    );
    assert.ok(kept && lost);
    const { attemptId } = await worker.assignment(lost.id);
    listed.add((await worker.assignment(kept.id)).attemptId);
    await fleet.taskReason(lost.id, "MISSING_AT_WORKER", 3 * H + 2 * H, {
      evidence: { attempt: new RegExp(`^${attemptId}$`), unlisted_ms: /^\d+$/ },
    });
    await fleet.workerReason("forgetful", "MISSING_AT_WORKER", 2 * H);
    const log = fleet.scheduler.program;
    await log.line("task.unlisted", ({ attempt_id }) => attempt_id === attemptId);

    const other = await RawWorker.connect(fleet.scheduler.grpc, {
      workerId: "mindful",
      hello: { queues: ["forgetful"] },
    });
    await worker.next("revokeAttempt", (revoke) => revoke.attemptId === attemptId);
    await fleet.eventually(lost.id, "requeued:forgotten", L);
    await log.line("task.forgotten", ({ attempt_id }) => attempt_id === attemptId);
    // Its late result is refused, and the next attempt's is taken.
    worker.succeed(attemptId, '"too late"');
    await worker.next("resultAcks", ({ acks }) =>
      acks.some((ack) => ack.attemptId === attemptId && ack.stale),
    );
    const again = await other.assignment(lost.id);
    other.succeed(again.attemptId, '"in time"');
    assert.equal(await lost.result(), "in time");
    const names = await fleet.events(lost.id);
    assert.ok(names.indexOf("task.unlisted") < names.indexOf("requeued:forgotten"), names.join());
    const [first] = (await fleet.task(lost.id)).attempts;
    assert.equal(first?.failure?.code, "FORGOTTEN_BY_WORKER");
    // What is listed is not touched.
    assert.deepEqual(
      (await fleet.events(kept.id)).filter((name) => name.startsWith("requeued")),
      [],
    );
    worker.succeed([...listed][0] ?? "");
    await kept.result();
    worker.cut();
    other.cut();
  });

  it("an attempt that is named again in time stays, and the timeline says both", async () => {
    const listed = new Set<string>();
    const worker = await lister("absent-minded", listed, patient);
    const other = await patient.client.submit("echo", 1, { queue: "absent-minded" });
    listed.add((await worker.assignment(other.id)).attemptId);
    const handle = await patient.client.submit("echo", 2, { queue: "absent-minded" });
    const { attemptId } = await worker.assignment(handle.id);
    await patient.eventually(handle.id, "task.unlisted", 5 * H);
    listed.add(attemptId);
    await patient.eventually(handle.id, "task.listed_again", 3 * H);
    worker.succeed(attemptId);
    await handle.result();
    assert.ok(!(await patient.events(handle.id)).some((name) => name.startsWith("requeued")));
    worker.cut();
  });

  it("T32: a worker that never lists attempts keeps its own, and is reported once", async () => {
    const worker = await RawWorker.connect(fleet.scheduler.grpc, {
      workerId: "simple",
      hello: { queues: ["simple"] },
    });
    const handle = await fleet.client.submit("echo", 1, { queue: "simple" });
    const { attemptId } = await worker.assignment(handle.id);
    const log = fleet.scheduler.program;
    await log.line("worker.lists_nothing", ({ worker_id }) => worker_id === "simple");
    // Well beyond the moment at which a worker that names what it runs would lose it.
    const heartbeats = async () => (await fleet.workerState("simple")).lastHeartbeat?.sequence ?? 0n;
    const seen = await heartbeats();
    await until("ten more heartbeats", async () => (await heartbeats()) >= seen + 10n || undefined);
    // T32: it holds something although none of its heartbeats says so.
    const { reason } = await fleet.workerReason("simple", "BUSY", 0, {
      evidence: { attempt: new RegExp(`^${attemptId}, accepted .+ ago; its heartbeats do not list it$`) },
      commands: [`muster why ${handle.id}`],
      since: false,
    });
    assert.ok(reason.evidence.some(({ key, age }) => key === "last_heartbeat" && age !== undefined));
    await fleet.truth();
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
    assert.ok(explanation?.reasons.every(({ code }) => code !== "MISSING_AT_WORKER"));
    worker.succeed(attemptId);
    await handle.result();
    assert.ok(!(await fleet.events(handle.id)).some((name) => name.startsWith("requeued")));
    const said = log.lines.filter(
      ({ event, worker_id }) => event === "worker.lists_nothing" && worker_id === "simple",
    );
    assert.equal(said.length, 1);
    worker.cut();
  });

  it("an accepted task that never starts is warned of, again and again, and explained", async () => {
    const listed = new Set<string>();
    const worker = await lister("idle", listed);
    const handle = await fleet.client.submit("echo", 1, { queue: "idle" });
    const { attemptId } = await worker.assignment(handle.id);
    listed.add(attemptId);
    await fleet.taskReason(handle.id, "AWAITING_START", UNSTARTED + H, { evidence: { worker: /^idle$/ } });
    const { value: events } = await within("two warnings", 4 * UNSTARTED, async () => {
      const { events: all } = await fleet.client.fleet.listEvents({ taskId: handle.id, pageSize: 100 });
      const found = all.filter(({ name }) => name === "task.unstarted");
      return found.length >= 2 ? found : undefined;
    });
    assert.equal(events[0]?.attributes.slots, "2");
    worker.send({
      case: "taskEvent",
      value: { attemptId, sequence: 1n, name: "task.started" },
    });
    await fleet.taskReason(handle.id, "RUNNING", 2 * H);
    worker.succeed(attemptId);
    await handle.result();
    assert.ok(!(await fleet.events(handle.id)).some((name) => name.startsWith("requeued")));
    worker.cut();
  });

  it("the scheduler's clock watches the phases of a worker without watchdogs", async () => {
    const listed = new Set<string>();
    const worker = await lister("plain", listed);
    const { phaseWarnings } = await worker.next("welcome");
    assert.equal(phaseWarnings.model_load?.nanos, 500_000_000);
    const handle = await fleet.client.submit("echo", 1, { queue: "plain" });
    const { attemptId } = await worker.assignment(handle.id);
    listed.add(attemptId);
    const say = (sequence: bigint, name: string) =>
      worker.send({ case: "taskEvent", value: { attemptId, sequence, name } });
    say(1n, "task.started");
    say(2n, "task.model_load.started");
    await fleet.taskReason(handle.id, "STUCK_IN_PHASE", 500 + H, {
      evidence: { phase: /^model_load$/, worker: /^plain$/, threshold_ms: /^500$/ },
    });
    await fleet.eventually(handle.id, "task.model_load.stuck", 3 * H);
    say(3n, "task.model_load.completed");
    await fleet.taskReason(handle.id, "RUNNING", 2 * H);
    await fleet.eventually(handle.id, "task.model_load.recovered", 3 * H);
    worker.succeed(attemptId);
    await handle.result();
    worker.cut();
  });

  it("a worker's own stuck event is believed until it says that the phase recovered", async () => {
    const listed = new Set<string>();
    const worker = await lister("teller", listed);
    const handle = await fleet.client.submit("echo", 1, { queue: "teller" });
    const { attemptId } = await worker.assignment(handle.id);
    listed.add(attemptId);
    const say = (sequence: bigint, name: string, attributes: Record<string, string> = {}) =>
      worker.send({ case: "taskEvent", value: { attemptId, sequence, name, attributes } });
    say(1n, "task.started");
    say(2n, "task.warmup.started");
    say(3n, "task.warmup.stuck", { elapsed_ms: "90000", warn_after_s: "60", cache: "cold" });
    const { reason } = await fleet.taskReason(handle.id, "STUCK_IN_PHASE", H);
    const facts = new Map(reason.evidence.map(({ key, value }) => [key, value]));
    assert.deepEqual(
      [facts.get("phase"), facts.get("threshold_ms"), facts.get("cache"), facts.get("reported_by")],
      ["warmup", "60000", "cold", "worker"],
    );
    assert.ok(Number(facts.get("elapsed_ms")) >= 90_000);
    await fleet.workerReason("teller", "STUCK_IN_PHASE", 3 * H);
    say(4n, "task.warmup.recovered");
    await fleet.taskReason(handle.id, "RUNNING", 2 * H);
    worker.succeed(attemptId);
    await handle.result();
    worker.cut();
  });
});
