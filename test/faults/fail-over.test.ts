import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { Client, MusterError } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { Gate } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

let db: TestDatabase;
let scheduler: TestScheduler;
let client: Client;
const folder = mkdtempSync(join(tmpdir(), "muster-gates-"));

before(async () => {
  db = await createDatabase();
  scheduler = await startTestScheduler({ databaseUrl: db.url });
  client = new Client({ scheduler: scheduler.grpc });
  await startTestWorker({ scheduler: scheduler.grpc, id: "fail-over-1" });
});

after(async () => {
  client.close();
  cutAll();
  await killAll();
  await db.drop();
  rmSync(folder, { recursive: true });
});

it("says so while the database takes no writes, holds on to results, and goes on when it does", async () => {
  const { program } = scheduler;
  const gate = new Gate(join(folder, "gate"));
  const running = await client.submit("gate", { gate: gate.path });
  await until("it runs", async () => (await running.get()).state === "running" || undefined);
  const before = program.mark();
  await readOnly(true);
  await program.line("database.unavailable", undefined, { after: before });
  assert.equal((await fetch(`${scheduler.http}/readyz`)).status, 503);
  assert.equal((await fetch(`${scheduler.http}/livez`)).status, 200);
  await assert.rejects(client.submit("echo", 1), (error: unknown) => {
    assert.ok(error instanceof MusterError);
    assert.equal(error.reason, "DATABASE_UNAVAILABLE");
    return true;
  });
  gate.open();
  await program.line("results.waiting_for_database", undefined, { after: before });
  await readOnly(false);
  await program.line("database.available", undefined, { after: before });
  assert.deepEqual(await running.result(), { worker: "fail-over-1", attempt: 1 });
  assert.equal((await running.get()).attemptCount, 1);
  assert.equal(await (await client.submit("echo", 2)).result(), 2);
  assert.equal((await fetch(`${scheduler.http}/readyz`)).status, 200);
});

it("records afterwards what workers became while the database took no writes", async () => {
  const { program } = scheduler;
  const one = await RawWorker.connect(scheduler.grpc, { workerId: "late-ready", hello: { ready: false } });
  const other = await RawWorker.connect(scheduler.grpc, { workerId: "late-draining" });
  const before = program.mark();
  await readOnly(true);
  await program.line("database.unavailable", undefined, { after: before });
  one.send({ case: "startupPhase", value: { phase: "ready" } });
  other.send({ case: "draining", value: { reason: "the test says so" } });
  for (const id of ["late-ready", "late-draining"]) {
    await program.line("worker.report_not_recorded", ({ worker_id }) => worker_id === id, { after: before });
  }
  await readOnly(false);
  await until("both are recorded", async () => {
    const rows = await db.query<{ worker_id: string; ready: boolean; draining: boolean }>(
      "select worker_id, ready, draining from worker_session where worker_id like 'late-%' order by worker_id",
    );
    const [draining, ready] = rows;
    return (ready?.ready && draining?.draining) || undefined;
  });
});

/** What a session sees of an old primary after a fail-over: it answers, and refuses to write. */
async function readOnly(on: boolean): Promise<void> {
  const name = new URL(db.url).pathname.slice(1);
  // A superuser's own session may write whatever the default says.
  await db.query("set default_transaction_read_only = off");
  await db.query(`alter database ${name} set default_transaction_read_only = ${on ? "on" : "off"}`);
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'muster %'",
  );
}
