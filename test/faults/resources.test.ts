import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { type Reason, TaskState, WorkerState } from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";
import { until, within } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

/** What is 60 s by default. */
const WARN_MS = 1_000;

const ARGS = ["--resource-warn", String(WARN_MS / 1_000), "--queue-view-interval", "0.2", "--verbose"];

const MODEL = { requires: { resources: ["model:x"] } };

describe("F19: tasks require a resource that no worker has loaded", () => {
  let fleet: Fleet;
  let queue: string;
  let count = 0;

  before(async () => {
    fleet = await Fleet.start({ args: ARGS });
  });

  beforeEach(() => {
    count += 1;
    queue = `models-${count}`;
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** A worker that its scheduler knows to be ready: one that is not is asked for nothing. */
  async function worker(id: string, loadable: object, scheduler = fleet.scheduler.grpc): Promise<Program> {
    const env = { QUEUES: queue, LOADABLE: JSON.stringify(loadable) };
    const program = await startTestWorker({ scheduler, id, file: "loader.ts", env });
    await until(`${id} is ready`, async () => {
      const { state } = await fleet.workerState(id);
      return state === WorkerState.READY || undefined;
    });
    return program;
  }

  it("asked for at once, told within the bound, warned of by name, run once loaded", async () => {
    const gate = fleet.gate();
    const one = await worker("slow", { "model:x": { gate: gate.path } });
    const two = await worker("unable", {});
    const { program } = fleet.scheduler;
    const handle = await fleet.client.submit("llm", {}, { queue, ...MODEL });
    await fleet.taskReason(handle.id, "RESOURCE_NOT_LOADED", BOUND_MS, {
      evidence: { resource: /^model:x$/ },
    });
    const asked = await program.line("resource.requested", ({ resource }) => resource === "model:x");
    assert.deepEqual(asked.workers, ["slow"]);
    assert.equal(asked.line, "llm tasks waiting (1) but no worker has model:x loaded: asked slow");
    await one.line("worker.resource.preparing");
    // That it has begun is known with its next beat.
    const found = await within("it says since when", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
      return explanation?.reasons.find(
        (each) =>
          evidence(each, "asked_worker_count").join() === "1" &&
          /slow: has been loading it for/.test(evidence(each, "lacks model:x").join()),
      );
    });
    assert.match(evidence(found.value, "lacks model:x").join(), /unable: cannot be asked to load it/);
    const { explanation } = await fleet.workerReason("slow", "RESOURCE_NOT_LOADED", BOUND_MS);
    assert.ok(explanation.reasons.some(({ code }) => code === "IDLE_NOT_ELIGIBLE"));
    const warned = await program.line("resource.not_loaded", ({ resource }) => resource === "model:x");
    assert.deepEqual(warned.workers, ["slow", "unable"]);
    assert.ok(Number(warned.waited_ms) >= WARN_MS);
    const again = await program.line(
      "resource.not_loaded",
      ({ waited_ms }) => Number(waited_ms) >= 2 * WARN_MS - H,
      { after: program.lines.indexOf(warned) + 1 },
    );
    assert.ok(Number(again.waited_ms) < 2 * WARN_MS + WARN_MS);
    assert.equal(two.lines.filter(({ event }) => event === "worker.resource.preparing").length, 0);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "slow" });
    await program.line("resource.loaded", ({ worker_id }) => worker_id === "slow");
    await within("it is on record", BOUND_MS, async () =>
      (await fleet.workerEvents("slow")).includes("resource.loaded") ? true : undefined,
    );
  });

  it("a resource that cannot be loaded is explained with its error, and requested again", async () => {
    await worker("fails", { "model:x": { failures: 3 } });
    const handle = await fleet.client.submit("llm", {}, { queue, ...MODEL });
    await within("the error is in its explanation", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
      return explanation?.reasons.find((each) =>
        /^fails: .*RangeError: no memory left for model:x \(try \d\)/.test(
          evidence(each, "lacks model:x").join(),
        ),
      );
    });
    assert.deepEqual(await handle.result(), { worker: "fails" });
    // Events are written behind what they tell of.
    await within("every try is on record", BOUND_MS, async () => {
      const events = await fleet.workerEvents("fails");
      const count = (name: string) => events.filter((each) => each === name).length;
      return count("resource.failed") === 3 && count("resource.requested") === 4 ? true : undefined;
    });
  });

  it("no worker can load it: the explanation has the remedy", async () => {
    await worker("bare", {});
    const handle = await fleet.client.submit("llm", {}, { queue, requires: { resources: ["model:none"] } });
    await fleet.taskReason(handle.id, "RESOURCE_NOT_LOADED", BOUND_MS, {
      evidence: { "lacks model:none": /^bare: cannot be asked/, asked_worker_count: /^0$/ },
      commands: ['worker.resources.register("model:none", { load })'],
    });
    const line = await fleet.scheduler.program.line(
      "resource.unavailable",
      ({ resource }) => resource === "model:none",
    );
    assert.match(String(line.line), /llm tasks waiting \(1\) but no worker has model:none loaded/);
    await handle.cancel("test over");
  });

  it("as many are asked as the depth warrants", async () => {
    const gate = fleet.gate();
    const loadable = { "model:*": { gate: gate.path } };
    await Promise.all(["a", "b", "c"].map((id) => worker(`${queue}-${id}`, loadable)));
    const few = { requires: { resources: ["model:few"] } };
    const many = { requires: { resources: ["model:many"] } };
    const handles = [await fleet.client.submit("llm", {}, { queue, ...few })];
    const { program } = fleet.scheduler;
    const first = await program.line("resource.requested", ({ resource }) => resource === "model:few");
    assert.equal(Array.isArray(first.workers) && first.workers.length, 1);
    handles.push(
      ...(await fleet.client.submitMany(
        Array.from({ length: 7 }, () => ({ type: "llm", payload: {}, queue, ...many })),
      )),
    );
    const second = await program.line("resource.requested", ({ resource }) => resource === "model:many");
    assert.equal(Array.isArray(second.workers) && second.workers.length, 2);
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
  });

  it("three workers without the model and 125 tasks: one loads it, the others are named", async () => {
    const gates = [fleet.gate(), fleet.gate(), fleet.gate()];
    const workers = await Promise.all(
      gates.map(({ path }, n) => worker(`worker-${n + 1}`, { "model:llm": { gate: path } })),
    );
    const [first, second, third] = workers;
    assert.ok(first && second && third);
    const { program } = fleet.scheduler;
    const requires = { resources: ["model:llm"] };
    const handles = await fleet.client.submitMany(
      Array.from({ length: 125 }, () => ({ type: "llm", payload: { ms: 40 }, queue, requires })),
    );
    const asked = await program.line("resource.requested", ({ resource }) => resource === "model:llm");
    assert.equal(
      asked.line,
      "llm tasks waiting (125) but no worker has model:llm loaded: asked worker-1, worker-2, worker-3",
    );
    const seen = await first.line("worker.queue_view", ({ msg }) => String(msg).includes("125"));
    assert.equal(
      seen.msg,
      `No suitable tasks - queue: [llm in ${queue}: 125]; llm in ${queue}: model:llm is not loaded on it (resources)`,
    );
    assert.equal(seen.level, "debug");
    await second.line("worker.resource.preparing");
    gates[1]?.open();
    await second.line("worker.resource.loaded");
    await program.line("resource.loaded", ({ worker_id }) => worker_id === "worker-2");
    const warned = await program.line(
      "resource.not_loaded",
      ({ resource, workers: names }) =>
        resource === "model:llm" && Array.isArray(names) && names.length === 2,
    );
    assert.deepEqual(warned.workers, ["worker-1", "worker-3"]);
    assert.match(
      String(warned.line),
      /^model:llm has been needed for \d+ s by \d+ waiting tasks, but workers worker-\d, worker-\d still lack it$/,
    );
    const { reason } = await fleet.workerReason("worker-1", "IDLE_NOT_ELIGIBLE", BOUND_MS);
    assert.ok(
      reason.evidence.some(({ key, value }) => /\/llm$/.test(key) && /removed by resources/.test(value)),
    );
    for (const gate of gates) gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    // An empty view ends the picture.
    await first.line("worker.queue_view", ({ msg }) => msg === "Queue empty");
  });
});

describe("F19 with two schedulers", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2, args: ARGS });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("one asks for all, wherever the worker is, and the other takes over when it dies", async () => {
    const [one, two] = fleet.schedulers;
    assert.ok(one && two);
    const gate = fleet.gate();
    const far = await startTestWorker({
      scheduler: `${two.grpc},${one.grpc}`,
      id: "far",
      file: "loader.ts",
      env: { LOADABLE: JSON.stringify({ "model:x": { gate: gate.path } }) },
    });
    const handle = await fleet.client.submit("llm", {}, MODEL);
    await far.line("worker.resource.preparing");
    const found = await within("the explanation of the scheduler without the worker", BOUND_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
      return explanation?.reasons.find(
        (each) =>
          evidence(each, "asked_worker_count").join() === "1" &&
          /^far: /.test(evidence(each, "lacks model:x").join()),
      );
    });
    assert.equal(found.value.code, "RESOURCE_NOT_LOADED");
    assert.ok(
      found.value.evidence.some(
        ({ key, value }) => key === "workers_at_other_scheduler" && value.includes(two.id),
      ),
    );
    // One decides for both; that it asks again when a beat is late does no harm.
    const asking = [one, two].filter(({ program }) =>
      program.lines.some(({ event }) => event === "resource.requested"),
    );
    assert.equal(asking.length, 1);
    const [decides] = asking;
    assert.ok(decides);
    const other = decides === one ? two : one;
    await decides.program.end("SIGKILL");
    const warned = await other.program.line("resource.not_loaded");
    assert.deepEqual(warned.workers, ["far"]);
    gate.open();
    const result = await within("it runs once loaded", BOUND_MS, async () => {
      const { task } = await new Client({ scheduler: other.grpc }).tasks.getTask({ taskId: handle.id });
      return task?.state === TaskState.SUCCEEDED ? task : undefined;
    });
    assert.equal(result.value.workerId, "far");
    assert.equal(far.lines.filter(({ event }) => event === "worker.resource.preparing").length, 1);
  });
});

function evidence(reason: Reason, key: string): string[] {
  return reason.evidence.filter((fact) => fact.key === key).map(({ value }) => value);
}
