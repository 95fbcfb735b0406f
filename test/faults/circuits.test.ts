import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { CircuitOptions, TaskHandle } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

/** A circuit in the database, with the tasks that have it and are assigned or running, of one snapshot. */
interface Snapshot {
  readonly state: number;
  readonly active: number;
  readonly limit: number | null;
}

describe("T50: circuits with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  async function snapshot(key: string): Promise<Snapshot | undefined> {
    const [row] = await pair.fleet.db.query<Snapshot>(
      `select c.state,
         (select count(*)::int from task t join class_key ck using (class_id)
           where ck.key = k.key and t.state in (1, 2)) as active,
         k.limit_override as limit
         from circuit c join concurrency_key k on k.key = e'\\x01circuit:' || c.key where c.key = $1`,
      [key],
    );
    return row;
  }

  /** The time comes at which an open circuit probes: no test waits for it. */
  async function due(key: string): Promise<void> {
    await pair.fleet.db.query(
      `update circuit set probe_time = now(), record = record || jsonb_build_object('probeAt', 0)
        where key = $1 and state = 1`,
      [key],
    );
  }

  async function hasState(key: string, state: number): Promise<void> {
    await until(`the circuit ${key} has the state ${state}`, async () =>
      (await snapshot(key))?.state === state ? true : undefined,
    );
  }

  /** Opens a circuit: tasks of it fail at both schedulers. */
  async function trip(queue: string, circuit: CircuitOptions): Promise<readonly TaskHandle[]> {
    const specs = Array.from({ length: 2 }, () => ({ type: "refuse", queue, circuit }));
    const failing = (await Promise.all([pair.atOne.submitMany(specs), pair.atTwo.submitMany(specs)])).flat();
    await Promise.all(failing.map((handle) => assert.rejects(handle.result(), { code: "NEVER" })));
    return failing;
  }

  it("opens, starts nothing, lets no more probes run than the rule has, and closes with their success", async () => {
    const queue = "shared";
    const circuit = { key: "shared", minSamples: 4, openForS: 3_600, maxOpenForS: 7_200, probes: 2 };
    await Promise.all([
      pair.fleet.worker("shared-1", { queue, slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("shared-2", { queue, slots: 4, scheduler: pair.two.grpc }),
    ]);
    const failing = await trip(queue, circuit);
    assert.deepEqual(await snapshot("shared"), { state: 1, active: 0, limit: 0 });
    const most = { 0: 0, 1: 0, 2: 0 } as Record<number, number>;
    const over = new AbortController();
    const watched = (async () => {
      while (!over.signal.aborted) {
        const found = await snapshot("shared");
        if (found) most[found.state] = Math.max(most[found.state] ?? 0, found.active);
        await delay(2);
      }
    })();
    const waiting: TaskHandle[] = [];
    try {
      const gate = pair.fleet.gate();
      const specs = Array.from({ length: 4 }, () => ({
        ...{ type: "gate", payload: { gate: gate.path }, queue, circuit },
      }));
      const handles = await Promise.all([pair.atOne.submitMany(specs), pair.atTwo.submitMany(specs)]);
      waiting.push(...handles.flat());
      const [first] = waiting as [TaskHandle];
      const { reason } = await pair.fleet.taskReason(first.id, "CIRCUIT_OPEN", BOUND_MS, {
        evidence: { circuit: /^shared$/, state: /^open$/, failed: /^4$/, failure: /^NEVER of t-\d+\.1/ },
        commands: ["muster circuit reset shared --reason REASON"],
      });
      assert.match(
        reason.summary,
        /^the circuit "shared" has been open for .*: 4 of 4 results .* were failures/,
      );
      const { explanation } = await pair.atTwo.tasks.explainTask({ taskId: first.id });
      assert.equal(explanation?.reasons[0]?.code, "CIRCUIT_OPEN");
      const [line = ""] = (await pair.muster("circuits", "--open")).split("\n");
      const [key, state, , failed, rate, limit, , error = ""] = line.split("\t");
      assert.deepEqual([key, state, failed, rate, limit], ["shared", "open", "4/4", "1.00", "0.50"]);
      // On a busy machine an attempt may have been requeued before one failed.
      assert.ok(
        failing.some(({ id }) => error?.startsWith(`${id}.`) && error.endsWith(" NEVER")),
        error,
      );
      assert.equal(waiting.filter(({ id }) => pair.fleet.runs(id).length > 0).length, 0);
      await due("shared");
      const ran = () => waiting.filter(({ id }) => pair.fleet.runs(id).length > 0);
      await until("two probes run", () => (ran().length >= 2 ? true : undefined));
      await pair.fleet.taskReason(
        waiting.find(({ id }) => pair.fleet.runs(id).length === 0)?.id ?? "",
        "CIRCUIT_OPEN",
        BOUND_MS,
        { evidence: { state: /^half_open$/, active: /^2$/ } },
      );
      assert.equal(ran().length, 2);
      gate.open();
      await Promise.all(waiting.map((handle) => handle.result()));
    } finally {
      over.abort();
      await watched;
    }
    assert.equal(most[1], 0, "nothing was active while it was open");
    assert.equal(most[2], 2, "probes at once");
    assert.deepEqual(await snapshot("shared"), { state: 0, active: 0, limit: null });
    for (const { id } of [...waiting, ...failing]) assert.equal(pair.fleet.runs(id).length, 1);
  });

  it("a failed probe opens it again for longer, and `muster circuit reset` closes it", async () => {
    const queue = "again";
    const circuit = { key: "again", minSamples: 4, openForS: 3_600, maxOpenForS: 7_200 };
    await pair.fleet.worker("again", { queue, slots: 4, scheduler: pair.one.grpc });
    await trip(queue, circuit);
    const probe = await pair.atTwo.submit("refuse", {}, { queue, circuit });
    await due("again");
    await assert.rejects(probe.result(), { code: "NEVER" });
    const behind = await pair.atOne.submit("echo", 3, { queue, circuit });
    await pair.fleet.taskReason(behind.id, "CIRCUIT_OPEN", BOUND_MS, { evidence: { open_count: /^2$/ } });
    assert.match(
      await pair.muster("circuit", "open", "again", "--reason", "a migration"),
      /the circuit again is open; it stays open until/,
    );
    const { reason } = await pair.fleet.taskReason(behind.id, "CIRCUIT_OPEN", BOUND_MS, {
      evidence: { open_reason: /^a migration \(by / },
    });
    assert.match(reason.summary, /it waits for an operator$/);
    assert.equal(pair.fleet.runs(behind.id).length, 0);
    await pair.muster("circuit", "reset", "again", "--reason", "it is over");
    assert.equal(await behind.result(), 3);
    assert.match(await pair.muster("circuits", "again"), /^state\tclosed$/m);
  });

  it("a scheduler killed with a probe: its place is free again, and another probe closes the circuit", async () => {
    const circuit = { key: "killed", minSamples: 4, openForS: 3_600 };
    const victim = await pair.fleet.worker("victim", {
      queue: "victims",
      slots: 4,
      scheduler: pair.two.grpc,
    });
    await pair.fleet.worker("keeper", { queue: "kept", slots: 4, scheduler: pair.one.grpc });
    await trip("victims", circuit);
    const gate = pair.fleet.gate();
    const payload = { gate: gate.path };
    const probe = await pair.atOne.submit("gate", payload, { queue: "victims", circuit });
    await due("killed");
    await pair.fleet.eventually(probe.id, "started");
    const behind = await pair.atOne.submit("gate", payload, { queue: "kept", circuit });
    await pair.fleet.taskReason(behind.id, "CIRCUIT_OPEN", BOUND_MS, { evidence: { state: /^half_open$/ } });
    await pair.two.program.end("SIGKILL");
    await victim.end("SIGKILL");
    await pair.fleet.eventually(probe.id, "requeued:stale");
    await pair.fleet.eventually(behind.id, "started");
    assert.deepEqual(await snapshot("killed"), { state: 2, active: 1, limit: 1 });
    gate.open();
    await behind.result();
    await hasState("killed", 0);
    await pair.fleet.worker("replacement", { queue: "victims", slots: 1, scheduler: pair.one.grpc });
    await pair.atOne.handle(probe.id).result();
    const events = await pair.fleet.db.query<{ name: string }>(
      "select name from event where attributes ->> 'key' = 'killed' and name like 'circuit.%' order by id",
      [],
    );
    assert.deepEqual(
      events.map(({ name }) => name),
      ["circuit.opened", "circuit.half_opened", "circuit.closed"],
    );
  });
});
