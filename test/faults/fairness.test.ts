import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { SubmitSpec } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** A wait that counts as much as one level of priority. */
const AGEING_S = 0.5;

/** More than a scheduler holds of a class in memory. */
const DEEP = 2_500;

/** Tasks of a bulk. */
const BULK = 200;

/**
 * Starts of a bulk before those of three tasks of another queue or key: each scheduler has begun a turn of the bulk, and
 * both may claim the same of the three. In the order of age they would wait for all of the bulk.
 */
const MOST_BEFORE = 20;

describe("F36: fairness with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start([...KEEPING, "--priority-ageing", String(AGEING_S)]);
  });

  after(() => pair.stop());

  /** Ids of tasks in the order in which their handlers began. */
  function started(): string[] {
    if (!existsSync(pair.fleet.runsFile)) return [];
    return readFileSync(pair.fleet.runsFile, "utf8")
      .split("\n")
      .flatMap((line) => line.split(" ")[0] || []);
  }

  async function workers(name: string, queue: string): Promise<void> {
    await Promise.all(
      [pair.one, pair.two].map((scheduler, n) =>
        pair.fleet.worker(`${name}-${n}`, { queue, slots: 2, scheduler: scheduler.grpc }),
      ),
    );
  }

  const sleeps = (count: number, ms: number, more: Partial<SubmitSpec>): SubmitSpec[] =>
    Array.from({ length: count }, () => ({ type: "sleep", payload: { ms }, ...more }));

  /** Resolves when the first scheduler has read once more what is due by its age. */
  async function agedRead(): Promise<void> {
    const lastRun = async () => {
      const text = await (await fetch(`${pair.one.http}/metrics`)).text();
      return /^muster_loop_last_run_timestamp_seconds\{loop="ageing"\S* (\S+)/m.exec(text)?.[1];
    };
    const before = await lastRun();
    await until("the ageing loop has run", async () => (await lastRun()) !== before || undefined);
  }

  /** Tasks that hold four slots of the queue until the gate is opened. */
  async function held(queue: string) {
    const gate = pair.fleet.gate();
    const holders = await pair.atOne.submitMany(
      Array.from({ length: 4 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    for (const { id } of holders) await pair.fleet.ran(id);
    return { gate, holders };
  }

  /** Resolves when each of the schedulers has read tasks of so many fairness keys. */
  async function keysRead(count: number, schedulers = [pair.one, pair.two]): Promise<void> {
    for (const { http } of schedulers)
      await until(`the scheduler has tasks of ${count} keys`, async () => {
        const text = await (await fetch(`${http}/metrics`)).text();
        return Number(/^muster_fairness_keys\S* (\d+)$/m.exec(text)?.[1]) === count || undefined;
      });
  }

  /** Fails when one of the tasks began long after the first `from` tasks. */
  function assertSoon(tasks: readonly { readonly id: string }[], from: number): void {
    const order = started();
    for (const { id } of tasks) {
      const place = order.indexOf(id);
      assert.ok(
        place >= 0 && place - from <= MOST_BEFORE,
        `${place - from} tasks of the bulk began before ${id}`,
      );
    }
  }

  /**
   * Submits a bulk of one fairness key, then tasks of another one at the other scheduler, while all slots are busy. Fails
   * when these do not begin soon. Resolves when everything has ended.
   */
  async function amid(bulk: readonly SubmitSpec[], others: readonly SubmitSpec[]): Promise<string[]> {
    const { gate, holders } = await held(bulk[0]?.queue ?? "default");
    const handles = await pair.atOne.submitMany(bulk);
    await keysRead(1);
    const late = await pair.atTwo.submitMany(others);
    await keysRead(2);
    const from = started().length;
    gate.open();
    await Promise.all(late.map((handle) => handle.result()));
    assertSoon(late, from);
    await Promise.all([...holders, ...handles].map((handle) => handle.result()));
    return late.map(({ id }) => id);
  }

  it("a bulk in one queue does not delay another one, whatever its priority", async () => {
    await workers("queues", "bulk,other");
    await amid(
      sleeps(BULK, 5, { queue: "bulk", priority: 1_000, fairness: { key: "bulk" } }),
      sleeps(3, 1, { queue: "other", fairness: { key: "late" } }),
    );
  });

  it("queues get starts by their weights, which `muster queue weight` sets for both schedulers", async () => {
    assert.match(
      await pair.muster("queue", "weight", "heavy", "3", "--reason", "a test"),
      /^heavy has weight 3; 0 tasks ready to start\n$/,
    );
    const specs = [...sleeps(200, 5, { queue: "light" }), ...sleeps(200, 5, { queue: "heavy" })];
    const handles = await pair.atOne.submitMany(specs);
    const from = started().length;
    await workers("weights", "light,heavy");
    await Promise.all(handles.map((handle) => handle.result()));
    const first = new Set(started().slice(from, from + 160));
    const heavy = handles.slice(200).filter(({ id }) => first.has(id)).length;
    assert.ok(Math.abs(heavy - 120) <= 16, `${heavy} of the first 160 were of the queue with three quarters`);
    assert.match(await pair.muster("queues"), /^heavy\topen\t0\t0\t0\t.*\t\t3\t\t\t\d+$/m);
    const events = await pair.fleet.db.query<{ attributes: Record<string, string> }>(
      "select attributes from event where name = 'queue.weighted'",
    );
    assert.deepEqual([events[0]?.attributes.queue, events[0]?.attributes.weight], ["heavy", "3"]);
  });

  it("a bulk of one fairness key does not delay another one, and the explanation has the shares", async () => {
    await workers("keys", "keys");
    const bulk = sleeps(BULK, 5, { queue: "keys", fairness: { key: "tenant-1" } });
    const [late = ""] = await amid(bulk, sleeps(3, 1, { queue: "keys", fairness: { key: "tenant-2" } }));
    assert.match(await pair.muster("task", late), /^fairness\ttenant-2, weight 1$/m);
    const { gate, holders } = await held("keys");
    await pair.muster("fairness", "set", "tenant-2", "3", "--queue", "keys", "--reason", "they pay for it");
    const waiting = await pair.atTwo.submitMany([
      ...sleeps(5, 1, { queue: "keys", fairness: { key: "tenant-1" } }),
      ...sleeps(5, 1, { queue: "keys", fairness: { key: "tenant-2" } }),
    ]);
    const [first] = waiting;
    assert.ok(first);
    await pair.fleet.taskReason(first.id, "ALL_SLOTS_BUSY", 5_000);
    // The first scheduler reads them when it is notified, at the latest with its next poll.
    await until("the explanation has the shares", async () => {
      const { explanation } = await pair.atOne.tasks.explainTask({ taskId: first.id });
      return /its fairness key gets 25 % of the starts of the queue: tenant-1 \(weight 1\) shares them with tenant-2 \(weight 3\)/.test(
        explanation?.reasons[0]?.summary ?? "",
      )
        ? true
        : undefined;
    });
    const list = await pair.muster("fairness", "list", "--queue", "keys");
    assert.match(list, /^tenant-1\t1\t5\t0\t\d+\ntenant-2\t3\*\t5\t0\t\d+\n$/);
    assert.match(
      await pair.muster("fairness", "unset", "tenant-2", "--queue", "keys"),
      /^the weights of the tasks with tenant-2 in keys count; 5 ready to start, 0 active\n$/,
    );
    gate.open();
    await Promise.all([...holders, ...waiting].map((handle) => handle.result()));
  });

  it("a low priority that has waited goes before higher ones that have not, however many these are", async () => {
    const queue = "ageing";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("ageing", { queue, slots: 2, scheduler: pair.one.grpc });
    const holders = await pair.atOne.submitMany(
      Array.from({ length: 2 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    for (const { id } of holders) await pair.fleet.ran(id);
    const low = await pair.atOne.submit("sleep", { ms: 1 }, { queue });
    await until("the low one has waited for more than three levels", async () => {
      const [row] = await pair.fleet.db.query<{ waited: number }>(
        "select extract(epoch from now() - create_time)::float8 as waited from task where id = $1",
        [Number(low.id.replace("t-", ""))],
      );
      return (row?.waited ?? 0) > 4 * AGEING_S || undefined;
    });
    const high = await pair.atOne.submitMany(sleeps(DEEP, 0, { queue, priority: 3 }));
    const [fresh] = await pair.atOne.submitMany(sleeps(1, 0, { queue }));
    assert.ok(fresh);
    const { explanation } = await pair.atOne.tasks.explainTask({ taskId: fresh.id });
    assert.match(
      explanation?.reasons[0]?.summary ?? "",
      /tasks of priority 3 go first: it has priority 0, and goes before/,
    );
    // A run that begins after the submit has ended when a second one has.
    for (const _ of [1, 2]) await agedRead();
    const from = started().length;
    gate.open();
    await low.result();
    const order = started().slice(from);
    assert.ok(order.indexOf(low.id) <= 2, `${order.indexOf(low.id)} began before the low one`);
    assert.ok(!order.includes(fresh.id));
    await pair.fleet.worker("ageing-rest", { queue, slots: 500, scheduler: pair.one.grpc });
    // In one statement: waiting for 2,500 results while two run at a time takes most of the test's processor time.
    const ended = high.length + holders.length + 2;
    await until("all have succeeded", async () => {
      const [row] = await pair.fleet.db.query<{ count: number }>(
        `select count(*)::int from task_finished f join task_class c on c.id = f.class_id
          where c.queue = $1 and f.state = 3`,
        [queue],
      );
      return row?.count === ended || undefined;
    });
  });

  it("when a scheduler is killed, the other one goes on with the shares of all queues", async () => {
    await pair.muster("queue", "weight", "killed-other", "2");
    await pair.fleet.worker("mover", {
      queue: "killed-bulk,killed-other",
      slots: 4,
      scheduler: `${pair.two.grpc},${pair.one.grpc}`,
    });
    const { gate, holders } = await held("killed-bulk");
    const bulk = await pair.atOne.submitMany(
      sleeps(BULK, 5, { queue: "killed-bulk", fairness: { key: "bulk" } }),
    );
    const others = await pair.atTwo.submitMany(
      sleeps(3, 1, { queue: "killed-other", fairness: { key: "late" } }),
    );
    const from = started().length;
    await pair.two.program.end("SIGKILL");
    await keysRead(2, [pair.one]);
    gate.open();
    await until("the others have begun", () => others.every(({ id }) => started().includes(id)) || undefined);
    assertSoon(others, from);
    await pair.fleet.restart(pair.two);
    await Promise.all([...holders, ...bulk].map((handle) => handle.result()));
    const { queues } = await pair.atTwo.fleet.listQueues({});
    assert.equal(queues.find(({ name }) => name === "killed-other")?.weight, 2);
  });
});
