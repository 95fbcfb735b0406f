import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { TaskHandle } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

describe("T47: concurrency keys with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Fails unless every key is counted as its tasks are, and held by `count` of them. */
  async function assertHeld(key: string, count: number): Promise<void> {
    const [row] = await pair.fleet.db.query<{ held: number; tasks: number }>(
      `select k.held, (select count(*)::int from class_key ck join task t using (class_id)
                        where ck.key = k.key and t.state in (1, 2)) as tasks
         from concurrency_key k where k.key = $1`,
      [key],
    );
    assert.deepEqual(row, { held: count, tasks: count });
  }

  it("no more tasks run than the limit, wherever they were submitted and whoever runs them", async () => {
    const queue = "shared";
    const limit = 3;
    await Promise.all([
      pair.fleet.worker("shared-1", { queue, slots: 8, scheduler: pair.one.grpc }),
      pair.fleet.worker("shared-2", { queue, slots: 8, scheduler: pair.two.grpc }),
    ]);
    const specs = Array.from({ length: 60 }, (_, n) => ({
      type: "sleep",
      payload: { ms: 5 + (n % 7) },
      queue,
      concurrency: [{ key: "shared", limit }],
    }));
    const handles = (
      await Promise.all([pair.atOne.submitMany(specs.slice(0, 30)), pair.atTwo.submitMany(specs.slice(30))])
    ).flat();
    let most = 0;
    const over = new AbortController();
    const watched = (async () => {
      while (!over.signal.aborted) {
        const [row] = await pair.fleet.db.query<{ active: number; held: number }>(
          `select (select count(*)::int from task t join class_key ck using (class_id)
                    where ck.key = 'shared' and t.state in (1, 2)) as active,
                  (select held from concurrency_key where key = 'shared') as held`,
        );
        assert.equal(row?.active, row?.held, "the count and the rows of one snapshot");
        most = Math.max(most, row?.active ?? 0);
        await delay(1);
      }
    })();
    await Promise.all(handles.map((handle) => handle.result()));
    over.abort();
    await watched;
    assert.ok(most >= 1 && most <= limit, `${most} tasks held the key at once`);
    for (const { id } of handles) assert.equal(pair.fleet.runs(id).length, 1);
    await assertHeld("shared", 0);
  });

  it("the explanation names the holder at both schedulers, and `muster locks` lists it", async () => {
    const queue = "explained";
    const gate = pair.fleet.gate();
    const options = { queue, concurrency: [{ key: "customer 7", limit: 1 }] };
    await pair.fleet.worker("explained", { queue, slots: 4, scheduler: pair.one.grpc });
    const holder = await pair.atOne.submit("gate", { gate: gate.path }, options);
    await pair.fleet.ran(holder.id);
    const waiter = await pair.atTwo.submit("echo", 1, options);
    const found = await pair.fleet.taskReason(waiter.id, "CONCURRENCY_KEY_HELD", BOUND_MS, {
      evidence: { concurrency_key: /^customer 7$/, limit: /^1$/, held: /^1$/ },
      commands: [`muster why ${holder.id}`, "muster limit set 'customer 7' 2"],
    });
    assert.match(found.reason.summary, new RegExp(`${holder.id}\\.1 \\(gate\\) on explained for`));
    const { explanation } = await pair.atTwo.tasks.explainTask({ taskId: waiter.id });
    assert.equal(explanation?.reasons[0]?.code, "CONCURRENCY_KEY_HELD");
    const [line = ""] = (await pair.muster("locks", "--blocked")).split("\n");
    const [key, held, limit, attempt, , worker, waiting] = line.split("\t");
    assert.deepEqual(
      [key, held, limit, attempt, worker, waiting],
      ["customer 7", "1", "1", `${holder.id}.1`, "explained", "1"],
    );
    gate.open();
    assert.equal(await waiter.result(), 1);
    assert.equal(await pair.muster("locks", "--blocked"), "");
  });

  it("`muster limit set` counts over the limits of the tasks, until it is unset", async () => {
    const queue = "limited";
    const options = { queue, concurrency: [{ key: "limited", limit: 1 }] };
    await pair.fleet.worker("limited", { queue, slots: 8, scheduler: pair.two.grpc });
    await pair.muster("limit", "set", "limited", "0", "--reason", "a migration");
    const gate = pair.fleet.gate();
    const specs = Array.from({ length: 4 }, () => ({
      type: "gate",
      payload: { gate: gate.path },
      ...options,
    }));
    const handles = await pair.atOne.submitMany(specs);
    const [first] = handles as [TaskHandle];
    const { reason } = await pair.fleet.taskReason(first.id, "CONCURRENCY_KEY_HELD", BOUND_MS);
    assert.match(
      reason.summary,
      /the limit of the concurrency key "limited" is 0, set .* ago: a migration \(by /,
    );
    await pair.muster("limit", "set", "limited", "3");
    await until(
      "three of them run",
      () => handles.filter(({ id }) => pair.fleet.runs(id).length > 0).length === 3 || undefined,
    );
    await assertHeld("limited", 3);
    assert.match(
      await pair.muster("limit", "unset", "limited"),
      /the limits of the tasks .* held by 3 tasks, 1 waiting/,
    );
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    await assertHeld("limited", 0);
  });

  it("`cancelRunning`: the newest task ends older ones at the other scheduler, and starts when they have ended", async () => {
    const queue = "deploys";
    const gate = pair.fleet.gate();
    const options = { queue, concurrency: [{ key: "site-4", limit: 1, onLimit: "cancelRunning" }] } as const;
    await Promise.all([
      pair.fleet.worker("deploys-1", { queue, slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("deploys-2", { queue, slots: 4, scheduler: pair.two.grpc }),
    ]);
    // It does not end when it is asked to: the limit holds nevertheless.
    const first = await pair.atOne.submit("gate", { gate: gate.path, deaf: true }, options);
    await pair.fleet.eventually(first.id, "started");
    const second = await pair.atTwo.submit("echo", 2, options);
    assert.deepEqual(second.concurrency?.cancelledTaskIds, [first.id]);
    await pair.fleet.taskReason(first.id, "CANCELLING", BOUND_MS, {
      evidence: { cancel_reason: /newer task/ },
    });
    const third = await pair.atOne.submit("echo", 3, options);
    assert.deepEqual(third.concurrency?.cancelledTaskIds, [second.id]);
    await assert.rejects(second.result(), { name: "TaskCancelledError" });
    await pair.fleet.taskReason(second.id, "SUPERSEDED", BOUND_MS, {
      evidence: { concurrency_key: /^site-4$/, newer_task: new RegExp(`^${third.id}$`) },
      commands: [`muster retry ${second.id}`],
    });
    await pair.fleet.taskReason(third.id, "CONCURRENCY_KEY_HELD", BOUND_MS);
    assert.deepEqual(
      [second.id, third.id].flatMap((id) => pair.fleet.runs(id)),
      [],
    );
    gate.open();
    assert.equal(await third.result(), 3);
    assert.equal(pair.fleet.runs(second.id).length, 0);
    await assertHeld("site-4", 0);
  });

  it("`cancelRunning`: the submitting scheduler is killed before the worker of the other one was asked", async () => {
    const queue = "torn-deploys";
    const gate = pair.fleet.gate();
    const options = { queue, concurrency: [{ key: "site-5", limit: 1, onLimit: "cancelRunning" }] } as const;
    await pair.fleet.worker("torn-deploys", { queue, slots: 4, scheduler: pair.two.grpc });
    const first = await pair.atTwo.submit("gate", { gate: gate.path }, options);
    await pair.fleet.eventually(first.id, "started");
    pair.two.program.kill("SIGSTOP");
    const second = await pair.atOne.submit("echo", 2, options);
    assert.deepEqual(second.concurrency?.cancelledTaskIds, [first.id]);
    await pair.one.program.end("SIGKILL");
    pair.two.program.kill("SIGCONT");
    await assert.rejects(pair.atTwo.handle(first.id).result(), { name: "TaskCancelledError" });
    assert.equal(await pair.atTwo.handle(second.id).result(), 2);
    await pair.fleet.restart(pair.one, KEEPING);
    await assertHeld("site-5", 0);
  });

  it("`cancelNewest`: a task that finds the limit reached at the other scheduler ends with its submit", async () => {
    const queue = "newest";
    const gate = pair.fleet.gate();
    const options = { queue, concurrency: [{ key: "report 7", limit: 1, onLimit: "cancelNewest" }] } as const;
    await pair.fleet.worker("newest", { queue, slots: 4, scheduler: pair.two.grpc });
    const first = await pair.atOne.submit("gate", { gate: gate.path }, options);
    const { code, stdout, stderr } = await runMuster(pair.two.grpc, [
      ...["submit", "echo", "2", "--queue", queue, "--concurrency", "report 7=1,cancel-newest"],
    ]);
    assert.equal(code, 0, stderr);
    const id = stdout.trim();
    assert.match(
      stderr,
      new RegExp(
        `note: ${id} was cancelled: the limit of 1 for the concurrency key "report 7" .* ${first.id}`,
      ),
    );
    await pair.fleet.taskReason(id, "CONCURRENCY_LIMIT_REACHED", BOUND_MS, {
      evidence: { concurrency_key: /^report 7$/, limit: /^1$/, open_task: new RegExp(`^${first.id}$`) },
    });
    gate.open();
    await first.result();
    const next = await pair.atTwo.submit("echo", 3, options);
    assert.equal(next.concurrency, undefined);
    assert.equal(await next.result(), 3);
  });

  it("a scheduler killed with tasks that hold keys: what its workers keep holds on, what is lost is freed", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    const task = (key: string) => ({
      type: "gate",
      payload: { gate: gate.path },
      queue,
      concurrency: [{ key, limit: 1 }],
    });
    const mover = await pair.fleet.worker("mover", {
      queue,
      slots: 2,
      scheduler: `${pair.two.grpc},${pair.one.grpc}`,
    });
    const [kept, behindKept] = (await pair.atOne.submitMany([task("kept"), task("kept")])) as [
      TaskHandle,
      TaskHandle,
    ];
    await pair.fleet.eventually(kept.id, "started");
    const victim = await pair.fleet.worker("victim", {
      queue: "victims",
      slots: 1,
      scheduler: pair.two.grpc,
    });
    const lost = await pair.atOne.submit(
      "gate",
      { gate: gate.path },
      {
        queue: "victims",
        concurrency: [{ key: "lost", limit: 1 }],
      },
    );
    await pair.fleet.eventually(lost.id, "started");
    const behindLost = await pair.atOne.submit("echo", 2, {
      queue,
      concurrency: [{ key: "lost", limit: 1 }],
    });
    const mark = mover.mark();
    await pair.two.program.end("SIGKILL");
    await victim.end("SIGKILL");
    await mover.line("worker.reconnected", () => true, { after: mark });
    await assertHeld("kept", 1);
    await pair.fleet.eventually(lost.id, "requeued:stale");
    assert.equal(await pair.atOne.handle(behindLost.id).result(), 2);
    assert.equal(pair.fleet.runs(behindKept.id).length, 0, "its key is held still");
    gate.open();
    await Promise.all([kept.id, behindKept.id].map((id) => pair.atOne.handle(id).result()));
    assert.equal(pair.fleet.runs(kept.id).length, 1);
    await pair.fleet.worker("replacement", { queue: "victims", slots: 1, scheduler: pair.one.grpc });
    await pair.atOne.handle(lost.id).result();
    await assertHeld("kept", 0);
    await assertHeld("lost", 0);
  });
});
