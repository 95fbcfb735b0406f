import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { after, before, describe, it } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Reason, WorkerState } from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { openTransaction } from "../support/database/locker.ts";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet, type FoundReason } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";
import { within } from "../support/waits.ts";

/** A claim counts as delayed after this. */
const SLOW_CLAIM_MS = 1_000;

/** The fault table's bound. */
const BOUND_MS = 1_000;

const EXIT_NOT_FOUND = 3;

describe("tasks that wait say why, and what to do", () => {
  let fleet: Fleet;
  let submitted: Date;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** Submits, and waits until the code is the first thing that is said. */
  async function first(
    code: string,
    type: string,
    options: Parameters<Fleet["client"]["submit"]>[2] = {},
  ): Promise<{ id: string; found: FoundReason }> {
    submitted = new Date();
    const { id } = await fleet.client.submit(type, {}, options);
    const found = await fleet.taskReason(id, code, BOUND_MS);
    assert.equal(found.explanation.reasons[0]?.code, code);
    assert.equal(found.explanation.state, "queued");
    return { id, found };
  }

  /** The text of `muster why`; fails unless `--json` has the same. */
  async function why(id: string): Promise<string> {
    const run = (...args: string[]) => runMuster(fleet.scheduler.grpc, ["why", id, ...args]);
    const [text, json] = await Promise.all([run(), run("--json")]);
    assert.deepEqual([text.code, json.code], [0, 0], text.stderr + json.stderr);
    const { reasons } = JSON.parse(json.stdout);
    for (const { code, remedy } of reasons) {
      // Summaries hold ages, which differ from one call to the next.
      for (const part of [code, `-> ${remedy}`])
        assert.ok(text.stdout.includes(part), `${part} is not in\n${text.stdout}`);
    }
    return text.stdout;
  }

  it("NO_WORKERS: never seen, then last seen", async () => {
    const { id, found } = await first("NO_WORKERS", "echo", { queue: "unserved" });
    const start = `MUSTER_SCHEDULER_ADDR=${fleet.scheduler.grpc}`;
    assertReason(found.reason, { evidence: { workers: /^0$/ }, commands: [start] });
    assert.deepEqual(values(found.reason, "last_worker"), []);
    const worker = await fleet.worker("came-and-went", { queue: "elsewhere" });
    await worker.end("SIGTERM");
    await fleet.taskReason(id, "NO_WORKERS", BOUND_MS, {
      evidence: { last_worker: /^came-and-went, .+ ago \(finished\)$/ },
      commands: [start, "muster why came-and-went", 'queues ["unserved"]'],
    });
  });

  it("F15: a typo in the type, and in the queue", async () => {
    await fleet.worker("typist", { queue: "default" });
    const { id, found } = await first("NO_WORKER_FOR_TYPE", "ehco");
    assert.deepEqual(values(found.reason, "nearest_type"), ["echo"]);
    assert.deepEqual(values(found.reason, "removed_by_type"), ["1 (for example typist)"]);
    assertReason(found.reason, { evidence: {}, commands: [`muster cancel ${id}`] });
    assertSince(found.reason);
    const queue = await first("NO_WORKER_FOR_TYPE", "echo", { queue: "defautl" });
    assertReason(queue.found.reason, {
      evidence: { known_queues: /^default$/, nearest_queue: /^default$/ },
      commands: [`muster cancel ${queue.id}`],
    });
  });

  it("F16: a label that no worker has", async () => {
    const env = { LABELS: '{"gpu":"a100","zone":"b"}' };
    await fleet.worker("labelled", { queue: "labels", env });
    const { found } = await first("NO_WORKER_MATCHES_LABELS", "echo", {
      queue: "labels",
      requires: { labels: { gpu: "h100" } },
    });
    assert.deepEqual(values(found.reason, "label"), ["gpu=h100: on 0 workers"]);
    assert.deepEqual(values(found.reason, "workers_with_gpu"), ["a100 (1 worker)"]);
    assertSince(found.reason);
  });

  it("T33: a label, type or resource that differs in case, a plural or a separator is suggested", async () => {
    const env = { LABELS: '{"Region":"EU","gpu-types":"A100"}' };
    await fleet.worker("near", { queue: "near", env });
    const nearest = async (labels: Record<string, string>) => {
      const { found } = await first("NO_WORKER_MATCHES_LABELS", "echo", {
        queue: "near",
        requires: { labels },
      });
      return values(found.reason, "nearest_label");
    };
    assert.deepEqual(await nearest({ region: "EU" }), ["Region=EU"]);
    assert.deepEqual(await nearest({ Region: "eu" }), ["Region=EU"]);
    assert.deepEqual(await nearest({ gpu_type: "a100" }), ["gpu-types=A100"]);
    assert.deepEqual(await nearest({ regions: "moon" }), ["Region"]);
    const type = await first("NO_WORKER_FOR_TYPE", "Echos", { queue: "near" });
    assert.deepEqual(values(type.found.reason, "nearest_type"), ["echo"]);
    const queue = await first("NO_WORKER_FOR_TYPE", "echo", { queue: "Near" });
    assert.deepEqual(values(queue.found.reason, "nearest_queue"), ["near"]);
  });

  it("F17: all slots busy: by what, the oldest first", async () => {
    await fleet.worker("busy", { queue: "busy", slots: 2 });
    const gate = fleet.gate();
    const running = [];
    for (let n = 0; n < 2; n++) {
      const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "busy" });
      await fleet.eventually(handle.id, "started");
      running.push(handle);
    }
    const { id, found } = await first("ALL_SLOTS_BUSY", "echo", { queue: "busy" });
    const [oldest] = running;
    const busyWith = values(found.reason, "busy_with");
    assert.equal(busyWith.length, 2);
    assert.match(busyWith[0] ?? "", new RegExp(`^${oldest?.id}\\.1 \\(gate\\) on busy`));
    assertReason(found.reason, { evidence: {}, commands: [`muster why ${oldest?.id}`] });
    gate.open();
    await fleet.eventually(id, "succeeded");
  });

  it("a parent that waits for its child on the only slot: both are explained, and a second worker ends it", async () => {
    await fleet.worker("family", { queue: "family", file: "parent.ts" });
    const parent = await fleet.client.submit("parent", 7, { queue: "family" });
    await within("the parent's explanation has the child", BOUND_MS, async () => {
      const { reason } = await fleet.taskReason(parent.id, "RUNNING", BOUND_MS);
      if (values(reason, "waiting_for_slot").join() !== "1 child in family") return undefined;
      assertReason(reason, { evidence: { worker: /^family$/ }, commands: ["WORKER_MAX_CONCURRENCY"] });
      return true;
    });
    const { tasks } = await fleet.client.tasks.listTasks({ queue: "family", pageSize: 10 });
    const child = tasks.find(({ taskType }) => taskType === "child")?.id ?? "";
    await fleet.taskReason(child, "ALL_SLOTS_BUSY", BOUND_MS, {
      evidence: { busy_with: new RegExp(`^${parent.id}\\.1 \\(parent\\) on family`) },
      commands: ["WORKER_MAX_CONCURRENCY"],
    });
    await fleet.truth();
    await fleet.worker("family-2", { queue: "family", file: "parent.ts" });
    assert.deepEqual(await parent.result(), { child, result: 7 });
  });

  it("F18: the queue is paused: by whom and why, and what else would hold the task back", async () => {
    const paused = await runMuster(fleet.scheduler.grpc, [
      "queue",
      "pause",
      "halted",
      "--reason",
      "disk is full",
    ]);
    assert.equal(paused.code, 0, paused.stderr);
    await fleet.worker("halted", { queue: "halted" });
    const { id, found } = await first("QUEUE_PAUSED", "echo", { queue: "halted" });
    assertReason(found.reason, {
      evidence: {
        queue: /^halted$/,
        pause_reason: new RegExp(`^disk is full \\(by ${userInfo().username}\\)$`),
      },
      commands: ["muster queue resume halted"],
    });
    assert.deepEqual(codes(found), ["QUEUE_PAUSED"]);
    assert.match(
      await why(id),
      /is queued\n\nQUEUE_PAUSED {2}since .+\n {2}queue halted has been paused for/,
    );
    assert.match(await why("queue:halted"), /1 task waits in it/);
    const mixed = await first("QUEUE_PAUSED", "ehco", { queue: "halted" });
    assert.deepEqual(codes(mixed.found), ["QUEUE_PAUSED", "NO_WORKER_FOR_TYPE"]);
    const later = await first("SCHEDULED_FOR_LATER", "echo", { queue: "halted", delayS: 3_600 });
    assert.deepEqual(codes(later.found), ["SCHEDULED_FOR_LATER", "QUEUE_PAUSED"]);
    assertReason(later.found.reason, {
      evidence: { run_time: /Z$/ },
      commands: [`muster retry ${later.id}`],
    });
    await fleet.workerReason("halted", "IDLE_NOT_ELIGIBLE", BOUND_MS, {
      evidence: { "halted/echo": /its queue is paused$/ },
    });
    await fleet.client.fleet.resumeQueue({ queue: "halted" });
    await fleet.eventually(id, "started");
  });

  it("a fleet that drains, and one under pressure", async () => {
    const gate = fleet.gate();
    await fleet.worker("leaving", { queue: "drained", slots: 2 });
    const last = await fleet.client.submit("gate", { gate: gate.path }, { queue: "drained" });
    await fleet.eventually(last.id, "started");
    await fleet.client.fleet.drainWorker({ workerId: "leaving", reason: "test" });
    const { id, found } = await first("WORKERS_DRAINING", "echo", { queue: "drained" });
    assertReason(found.reason, {
      evidence: { removed_by_draining: /^1 \(for example leaving\)$/ },
      commands: ['queues ["drained"]'],
    });
    const pressed = await loader("pressed", "drained-2");
    pressed.kill("SIGHUP");
    await pressed.line("worker.paused");
    const waits = await first("WORKERS_PAUSED", "llm", { queue: "drained-2" });
    assertReason(waits.found.reason, { evidence: { paused: /^pressed: memory: 97 % used$/ } });
    await fleet.workerReason("pressed", "PAUSED", BOUND_MS, {
      evidence: { pause_reason: /^memory: 97 % used$/ },
      since: false,
    });
    pressed.kill("SIGHUP");
    await fleet.eventually(waits.id, "succeeded");
    gate.open();
    await last.result();
    await fleet.client.handle(id).cancel();
  });

  it("a retry that waits: since the attempt ended, with its error", async () => {
    await fleet.worker("retries", { queue: "retries" });
    const { found } = await first("WAITING_FOR_RETRY", "fail", { queue: "retries" });
    assertReason(found.reason, {
      evidence: { attempt: /^1$/, error_code: /^ON_PURPOSE$/, error_message: /^it failed on purpose$/ },
    });
    assert.deepEqual(values(found.reason, "worker"), ["retries"]);
    assertSince(found.reason);
  });

  it("a claim that the database holds up: DISPATCH_DELAYED says so", async () => {
    await fleet.worker("locked-out", { queue: "locked" });
    await fleet.client.fleet.pauseQueue({ queue: "locked", reason: "until the lock is taken" });
    const { id } = await fleet.client.submit("echo", 1, { queue: "locked" });
    const locker = await openTransaction(
      fleet.db.url,
      `select from task where id = ${Number(id.slice(2))} for update`,
    );
    await fleet.client.fleet.resumeQueue({ queue: "locked" });
    await fleet.taskReason(id, "DISPATCH_DELAYED", BOUND_MS, {
      evidence: { eligible_workers: /^locked-out$/ },
    });
    await within("the cause is named", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: id });
      return explanation?.reasons.find(
        (reason) => Number(values(reason, "claim_under_way_ms")[0] ?? 0) >= SLOW_CLAIM_MS,
      );
    });
    const { value: found } = await within("its holder is named", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: id });
      return explanation?.reasons.find((reason) => values(reason, "locked_by_pid").length > 0);
    });
    assert.equal(found.code, "DISPATCH_DELAYED");
    assertReason(found, { evidence: { locked_by_pid: /^\d+$/ }, commands: ["pg_terminate_backend("] });
    await locker.release();
    await fleet.eventually(id, "succeeded");
  });

  it("an id that nothing has is not found", async () => {
    const { code, stderr } = await runMuster(fleet.scheduler.grpc, ["why", "t-999999"]);
    assert.equal(code, EXIT_NOT_FOUND, stderr);
  });

  function loader(id: string, queue: string): Promise<Program> {
    return startTestWorker({
      scheduler: fleet.scheduler.grpc,
      id,
      file: "loader.ts",
      env: { QUEUES: queue },
    });
  }

  function assertSince({ since, code }: Reason): void {
    assert.ok(since, code);
    const at = timestampDate(since).getTime();
    assert.ok(
      at >= submitted.getTime() - 1_000 && at <= Date.now() + 1_000,
      `${code} since ${new Date(at).toISOString()}`,
    );
  }
});

describe("the worker that could run it is another scheduler's", () => {
  let fleet: Fleet;

  before(async () => {
    // A frozen scheduler's workers are to be trusted for longer than the tests take.
    fleet = await Fleet.start({ schedulers: 2, args: ["--lease", "30", "--reconnect-grace", "30"] });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("is looked at, and where it is is said", async () => {
    const [one, two] = fleet.schedulers;
    assert.ok(one && two);
    await fleet.worker("there", { queue: "far", slots: 1, scheduler: two.grpc });
    const gate = fleet.gate();
    const running = await fleet.client.submit("gate", { gate: gate.path }, { queue: "far" });
    await fleet.eventually(running.id, "started");
    const { id } = await fleet.client.submit("echo", 1, { queue: "far" });
    // What is known of it is a beat old.
    const { value: reason } = await within("its only slot is known to be busy", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: id });
      return explanation?.reasons.find((each) => values(each, "busy_with")[0]?.startsWith(`${running.id}.1`));
    });
    assert.equal(reason.code, "ALL_SLOTS_BUSY");
    assert.match(values(reason, "busy_with")[0] ?? "", / \(gate\) on there for /);
    const [where] = reason.evidence.filter(({ key }) => key === "workers_at_other_scheduler");
    assert.equal(where?.value, `1 at ${two.id} (for example there)`);
    assert.equal(where?.source, "database");
    assert.ok(where?.age);
    gate.open();
    await fleet.eventually(id, "succeeded");
  });

  it("and that one is frozen: the delay is laid at its door", async () => {
    const [one, two] = fleet.schedulers;
    assert.ok(one && two);
    await fleet.worker("frozen-off", { queue: "frozen", scheduler: two.grpc });
    const client = new Client({ scheduler: one.grpc });
    await within("the other one knows it", BOUND_MS, async () => {
      const { worker } = await client.fleet.getWorker({ workerId: "frozen-off" });
      return worker?.state === WorkerState.READY && worker.lastHeartbeat ? worker : undefined;
    });
    two.program.kill("SIGSTOP");
    const { id } = await client.submit("echo", 1, { queue: "frozen" });
    const { value } = await within("it says whose turn it is", BOUND_MS, async () => {
      const { explanation } = await client.tasks.explainTask({ taskId: id });
      return explanation?.reasons.find(({ code }) => code === "DISPATCH_DELAYED");
    });
    assertReason(value, {
      evidence: {
        eligible_workers: /^frozen-off$/,
        workers_at_other_scheduler: new RegExp(`^2 at ${two.id} \\(for example frozen-off\\)$`),
      },
      commands: ["/livez"],
    });
    two.program.kill("SIGCONT");
    await client.handle(id).result();
    client.close();
  });
});

function values(reason: Reason, key: string): string[] {
  return reason.evidence.filter((fact) => fact.key === key).map(({ value }) => value);
}

function codes({ explanation }: FoundReason): string[] {
  return explanation.reasons.map(({ code }) => code);
}
