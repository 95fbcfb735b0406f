import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { PlainTask } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

const FILE = "waiting.ts";

describe("handlers that wait for their children", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  const worker = (id: string, queue: string, scheduler = pair.one.grpc) =>
    pair.fleet.worker(id, {
      ...{ file: FILE, queue, slots: 1, scheduler },
      env: { WORKER_DRAIN_TIMEOUT_S: "0.2" },
    });

  /** Resolves when the task's handler waits without its slot, at the scheduler that holds its worker's stream. */
  const released = (id: string) => pair.fleet.eventually(id, "task.slot.released");

  /** The only child of the task. */
  const childOf = async (id: string): Promise<PlainTask> => {
    const children: PlainTask[] = [];
    for await (const each of pair.atOne.children(id)) children.push(each);
    const [child, ...more] = children;
    assert.ok(child && more.length === 0, `one child of ${id}, not ${children.length}`);
    return child;
  };

  it("T78: a task, its child and its grandchild end on a worker with one slot; with the slot held they do not", async () => {
    const queue = "nested";
    await worker("nested", queue);
    const gate = pair.fleet.gate();
    const task = await pair.atOne.submit<string[]>("nest", { depth: 2, gate: gate.path, queue }, { queue });
    const [child, grandchild] = await until("the grandchild runs", async () => {
      const all: PlainTask[] = [];
      for await (const each of pair.atOne.children(task.id)) {
        all.push(each);
        for await (const below of pair.atOne.children(each.id)) all.push(below);
      }
      return all[1]?.state === "running" ? all : undefined;
    });
    assert.ok(child && grandchild);
    await pair.fleet.taskReason(task.id, "WAITING_FOR_TASKS", 5_000, {
      evidence: {
        awaited_task: new RegExp(`^${child.id} \\(nest\\), which is running`),
        awaited_tasks: /^1$/,
      },
      commands: [`muster why ${child.id}`],
    });
    const shown = await until("its heartbeat says so", async () => {
      const text = await pair.muster("worker", "nested");
      return text.includes(`waits for ${grandchild.id}`) ? text : undefined;
    });
    assert.match(shown, /^busy\t1\/1 \+2$/m);
    assert.match(
      shown,
      new RegExp(`^running\t${task.id}.1 without its slots for .+, waits for ${child.id}$`, "m"),
    );
    gate.open();
    assert.deepEqual(await task.result({ timeoutS: 30 }), [task.id, child.id, grandchild.id]);
    for (const id of [task.id, child.id, grandchild.id]) assert.equal(pair.fleet.runs(id).length, 1);
    const events = await pair.fleet.events(task.id);
    assert.ok(events.includes("task.slot.taken"));
    // The control: without the release the child never starts.
    const held = await pair.atOne.submit("hold", { queue }, { queue });
    const waits = await until("its child", async () => {
      for await (const each of pair.atOne.children(held.id)) return each;
      return undefined;
    });
    await pair.fleet.taskReason(waits.id, "ALL_SLOTS_BUSY", 5_000);
    await assert.rejects(held.result({ timeoutS: 0.5 }), {
      name: "MusterError",
      codeName: "DeadlineExceeded",
    });
    assert.equal(pair.fleet.runs(waits.id).length, 0);
    await held.cancel("it stands still");
  });

  it("the worker of a waiting parent is killed: the next attempt finds the same child, which runs once", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    const first = await worker("killed", queue);
    await worker("killed-child", "below");
    const payload = { depth: 1, gate: gate.path, queue: "below" };
    const options = { queue, retry: { lostDelaysS: [0] } };
    const task = await pair.atOne.submit<string[]>("nest", payload, options);
    await released(task.id);
    const child = await childOf(task.id);
    await pair.fleet.ran(child.id);
    await first.end("SIGKILL");
    // Of the same name: the scheduler does not wait for the lease of the first.
    await worker("killed", queue);
    await pair.fleet.ran(task.id, 2);
    gate.open();
    assert.deepEqual(await task.result({ timeoutS: 30 }), [task.id, child.id]);
    await childOf(task.id);
    assert.equal(pair.fleet.runs(child.id).length, 1);
  });

  it("the scheduler of a waiting parent is killed: its worker brings the free slot along to the other one", async () => {
    const queue = "moved";
    const gate = pair.fleet.gate();
    const payload = { depth: 1, gate: gate.path, queue };
    await worker("moves", queue, `${pair.two.grpc},${pair.one.grpc}`);
    const task = await pair.atOne.submit<string[]>("nest", payload, { queue });
    await released(task.id);
    const child = await childOf(task.id);
    await pair.two.program.end("SIGKILL");
    // Its slot is free at the other scheduler, too: a task that comes in now starts beside the waiting parent.
    await pair.fleet.ran(child.id);
    gate.open();
    assert.deepEqual(await task.result({ timeoutS: 30 }), [task.id, child.id]);
    assert.equal(pair.fleet.runs(task.id).length, 1);
    assert.equal(pair.fleet.runs(child.id).length, 1);
    await pair.fleet.restart(pair.two);
  });

  it("a waiting parent is cancelled: it ends at once, and its child goes on", async () => {
    const queue = "cancelled";
    const gate = pair.fleet.gate();
    await worker("cancels", queue);
    const task = await pair.atOne.submit("nest", { depth: 1, gate: gate.path, queue }, { queue });
    await released(task.id);
    const child = await childOf(task.id);
    await pair.fleet.ran(child.id);
    await task.cancel("not needed");
    await assert.rejects(task.result({ timeoutS: 30 }), { name: "TaskCancelledError" });
    gate.open();
    assert.deepEqual(await pair.atOne.handle(child.id).result({ timeoutS: 30 }), [child.id]);
    const next = await pair.atOne.submit<string[]>("nest", { depth: 0 }, { queue });
    assert.deepEqual(await next.result({ timeoutS: 30 }), [next.id]);
  });

  it("the worker of a waiting parent drains: the parent is released without cost, and finds its child elsewhere", async () => {
    const queue = "drained";
    const gate = pair.fleet.gate();
    const first = await worker("drains", queue);
    const task = await pair.atOne.submit<string[]>("nest", { depth: 1, gate: gate.path, queue }, { queue });
    await released(task.id);
    const child = await childOf(task.id);
    await pair.fleet.ran(child.id);
    await worker("drains-2", queue);
    assert.deepEqual(await first.end(), { code: 0, signal: null }, first.tail());
    gate.open();
    assert.deepEqual(await task.result({ timeoutS: 30 }), [task.id, child.id]);
    assert.equal(pair.fleet.runs(task.id).length, 2);
    const { attemptCount } = await task.get();
    assert.equal(attemptCount, 1);
  });

  it("a parent keeps its concurrency key: a child that needs the same one is named with it", async () => {
    const queue = "keyed";
    await worker("keyed", queue);
    const concurrency = [{ key: "book-7", limit: 1 }];
    const task = await pair.atOne.submit("nest", { depth: 1, queue, key: "book-7" }, { queue, concurrency });
    await released(task.id);
    const child = await childOf(task.id);
    await pair.fleet.taskReason(task.id, "WAITING_FOR_TASKS", 5_000, {
      evidence: {
        awaited_task_reason: /^CONCURRENCY_KEY_HELD$/,
        shared_key: new RegExp(`^book-7, of ${child.id}$`),
      },
      commands: [`muster cancel ${child.id}`],
    });
    assert.equal(pair.fleet.runs(child.id).length, 0);
    await task.cancel("it waits for its own key");
    assert.deepEqual(await pair.atOne.handle(child.id).result({ timeoutS: 30 }), [child.id]);
  });

  it("a handler that waits for something else frees its slot, and goes on before new tasks start", async () => {
    const queue = "outside";
    const gates = [pair.fleet.gate(), pair.fleet.gate()] as const;
    await worker("waits-outside", queue);
    const task = await pair.atOne.submit("outside", { gate: gates[0].path }, { queue });
    await released(task.id);
    await pair.fleet.taskReason(task.id, "RUNNING", 5_000, {
      evidence: { waits_for: /^the billing system$/ },
    });
    const other = await pair.atOne.submit("nest", { depth: 0, gate: gates[1].path }, { queue });
    await pair.fleet.ran(other.id);
    gates[0].open();
    const late = await pair.atOne.submit("nest", { depth: 0 }, { queue });
    await pair.fleet.taskReason(task.id, "ALL_SLOTS_BUSY", 5_000, {
      evidence: { slot_holder: new RegExp(`^${other.id}.1 `) },
      commands: [`muster why ${other.id}`],
    });
    gates[1].open();
    await Promise.all([task, late].map((each) => each.result({ timeoutS: 30 })));
    const [[went], [started]] = [pair.fleet.runs(`${task.id}/after`), pair.fleet.runs(late.id)];
    assert.ok(went && started && went.at <= started.at, "it goes on before the new task starts");
  });

  it("many parents on one slot: none begins before the child of each that has begun", async () => {
    const queue = "many";
    await worker("many", queue);
    const specs = Array.from({ length: 10 }, () => ({ type: "spread", payload: { count: 1, queue }, queue }));
    const tasks = await pair.atOne.submitMany(specs);
    const results = await Promise.all(tasks.map((task) => task.result({ timeoutS: 30 })));
    assert.equal(new Set(results.flat()).size, 10);
    // Of two children at once the second may still be on its way to the scheduler when the first has ended.
    const starts = tasks.map(({ id }) => pair.fleet.runs(id)[0]?.at ?? 0);
    const ends = results.map((ids) =>
      Math.max(...(ids as string[]).map((id) => pair.fleet.runs(id)[0]?.at ?? 0)),
    );
    for (const [index, start] of starts.entries())
      for (const [other, end] of ends.entries())
        if ((starts[other] ?? 0) < start)
          assert.ok(end <= start, `${index} began before the child of ${other}`);
  });
});
