import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { MusterError } from "@muster/worker/client";
import { LOCKER, type Locker, lockTable, openTransaction } from "../support/database/locker.ts";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { within } from "../support/waits.ts";

/** A lock is reported after a wait of two seconds, and the scheduler checks ten times a second. */
const REPORTED_MS = 3_000;

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

/** Leases that run out while they cannot be renewed must mean nothing: the lock is held for that long. */
async function outlastLeases(locker: Locker): Promise<void> {
  await within("lease and grace are over", L + G + H, async () => {
    const over = await locker.rows(
      `select from session_lease where lease_until < clock_timestamp() - interval '${G} ms'`,
    );
    return over.length > 0 ? true : undefined;
  });
}

describe("a lock of another session in the database", () => {
  let fleet: Fleet;
  let worker: Program;
  let locker: Locker | undefined;

  beforeEach(async () => {
    fleet = await Fleet.start();
    worker = await fleet.worker("waiting", { slots: 4 });
  });

  afterEach(async () => {
    await locker?.release();
    locker = undefined;
    await killAll();
    await fleet.stop();
  });

  /** A task that runs until its gate is opened. */
  async function running() {
    const gate = fleet.gate();
    const handle = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.eventually(handle.id, "started");
    return { gate, handle };
  }

  for (const table of ["task", "session_lease", "event"]) {
    it(`on the table ${table}: every answer has its holder, and running tasks continue`, async () => {
      const { gate, handle } = await running();
      locker = await lockTable(fleet.db.url, table);
      // A statement has to need the table; heartbeats of a worker need its lease.
      const submit = fleet.client
        .submit("gate", { gate: "/" }, { uniqueKey: "once" })
        .catch(MusterError.from);
      const found = await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS);
      assert.deepEqual(
        found.explanation.reasons.map(({ code }) => code),
        ["DATABASE_UNAVAILABLE", "RUNNING"],
      );
      assertReason(found.reason, {
        evidence: {
          locked_by_pid: new RegExp(`^${locker.pid}$`),
          locked_by: new RegExp(`^${LOCKER}$`),
          waiting_statements: /^[1-9]\d*$/,
          running_tasks: /^1$/,
        },
        commands: [`pg_terminate_backend(${locker.pid})`],
      });
      const { explanation: queue } = await fleet.client.fleet.explainQueue({ queue: "default" });
      assert.equal(queue?.reasons[0]?.code, "DATABASE_UNAVAILABLE");
      await fleet.workerReason("waiting", "DATABASE_UNAVAILABLE", REPORTED_MS);
      const ready = await fetch(`${fleet.scheduler.http}/readyz`);
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), new RegExp(`held by process ${locker.pid} \\(${LOCKER}`));
      const refused = await fleet.client.submit("gate", { gate: "/" }).then(
        () => assert.fail("the call was accepted"),
        (error: unknown) => MusterError.from(error),
      );
      assert.deepEqual([refused.codeName, refused.reason], ["Unavailable", "DATABASE_UNAVAILABLE"]);
      gate.open();
      await worker.line("task.completed", ({ task_id }) => task_id === handle.id);
      if (table === "session_lease") await outlastLeases(locker);
      await locker.release();
      locker = undefined;
      await within("callers are served again", REPORTED_MS, async () =>
        (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? true : undefined,
      );
      assert.deepEqual(await handle.result(), { worker: "waiting", attempt: 1 });
      assert.equal(fleet.runs(handle.id).length, 1);
      assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
      // Whether it was accepted before or not: with its key it is there once.
      await submit;
      const again = await fleet.client.submit("gate", { gate: "/" }, { uniqueKey: "once" });
      await again.result();
      assert.equal((await fleet.db.query("select from muster.task_key")).length, 1);
      // Once it has judged a worker that is lost indeed, it has judged this one too.
      await (await fleet.worker("lost-indeed")).end("SIGKILL");
      await within("the scheduler judges", L + G + L, async () =>
        (await fleet.workerEvents("lost-indeed")).includes("worker.lost") ? true : undefined,
      );
      assert.ok(!(await fleet.workerEvents("waiting")).includes("worker.lost"));
    });
  }

  it("is found by muster doctor too", async () => {
    await running();
    locker = await lockTable(fleet.db.url, "task");
    await within("/readyz says so", REPORTED_MS, async () =>
      (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? undefined : true,
    );
    const doctor = await runMuster(fleet.scheduler.grpc, ["doctor"]);
    assert.equal(doctor.code, 1);
    assert.match(
      doctor.stdout,
      new RegExp(`^failed\\tdatabase\\.locks\\t.* held by process ${locker.pid}`, "m"),
    );
  });

  it("on a task's row: its result waits, its explanation has the holder, and nothing is refused", async () => {
    const { gate, handle } = await running();
    locker = await openTransaction(
      fleet.db.url,
      `update task set priority = priority where id = ${handle.id.slice(2)}`,
    );
    const { pid } = locker;
    gate.open();
    const { value: reason } = await within("the holder is named", REPORTED_MS, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
      return explanation?.reasons.find(
        ({ code, evidence }) =>
          code === "RESULT_PENDING" &&
          evidence.some(({ key, value }) => key === "locked_by_pid" && value === String(pid)),
      );
    });
    assertReason(reason, {
      evidence: { locked_by_pid: new RegExp(`^${pid}$`), locked_by: new RegExp(`^${LOCKER}$`) },
      commands: [`pg_terminate_backend(${pid})`],
    });
    assert.equal((await fetch(`${fleet.scheduler.http}/readyz`)).status, 200);
    await fleet.client.submit("gate", { gate: "/" });
    await locker.release();
    locker = undefined;
    assert.deepEqual(await handle.result(), { worker: "waiting", attempt: 1 });
  });

  it("is reported for as long as it is held, also while no statement waits for it", async () => {
    const { gate, handle } = await running();
    locker = await lockTable(fleet.db.url, "task");
    await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS);
    // As the statements' own timeout does after a quarter of a minute.
    const ended = await fleet.db.query(
      "select pg_cancel_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    assert.ok(ended.length > 0);
    for (let looks = 0; looks < 20; looks += 1) {
      assert.equal((await fetch(`${fleet.scheduler.http}/readyz`)).status, 503);
      await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", 0);
    }
    await locker.release();
    locker = undefined;
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "waiting", attempt: 1 });
    const found = fleet.scheduler.program.lines.filter(({ event }) => event === "database.unavailable");
    assert.equal(found.length, 1, "it came and went");
  });

  it("by a backup: partitions are dropped later, and nothing waits behind it", async () => {
    await fleet.db.query(
      `create table muster.event_20200101 partition of muster.event
         for values from ('2020-01-01 00:00:00+00') to ('2020-01-02 00:00:00+00')`,
    );
    locker = await openTransaction(fleet.db.url, "select from event");
    await fleet.scheduler.program.end();
    const scheduler = await fleet.restart(fleet.scheduler);
    const failed = await scheduler.program.line("loop.failed", ({ loop }) => loop === "retention");
    assert.match(JSON.stringify(failed), /another session holds a lock on them \(a backup, a long query\)/);
    const quick = await fleet.client.submit("gate", { gate: "/" });
    await quick.result();
    assert.equal(fleet.runs(quick.id).length, 1);
    await locker.release();
    locker = undefined;
    await fleet.scheduler.program.end();
    const next = await fleet.restart(fleet.scheduler);
    await next.program.line("retention.dropped", ({ partitions }) => partitions === 1);
  });
});
