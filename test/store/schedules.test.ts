/** What only PostgreSQL has of schedules: transactions that meet, and one that ends in the middle. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Schedule } from "../../scheduler/src/domain/schedules/schedule.ts";
import { tickKey } from "../../scheduler/src/domain/schedules/schedule.ts";
import type { Store, TickRun } from "../../scheduler/src/store/store.ts";
import { openTransaction } from "../support/database/locker.ts";
import { until } from "../support/waits.ts";
import { newTask, openFixture, type StoreFixture } from "./fixture.ts";

const HOUR_MS = 3_600_000;

/** Held by the test, so that a transaction waits with its tasks inserted and its schedule not advanced. */
const GATE = 51_000_051;

describe("store: schedules on PostgreSQL", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const set = (name: string) =>
    fixture.store.setSchedule(
      {
        ...{ name, queue: "default", type: "echo", timing: { kind: "interval", everyMs: HOUR_MS } },
        ...{ jitterMs: 0, catchUp: "last", catchUpLimit: 100, overlap: "allow" },
      },
      Uint8Array.of(1),
      "a test",
    );

  async function runOf({ name, version, nextMs = 0 }: Schedule): Promise<TickRun> {
    const task = newTask({
      uniqueKey: tickKey(name, nextMs),
      options: { tick: { schedule: name, tickMs: nextMs } },
    });
    const inserts = [{ task, classId: await fixture.classOf("echo"), assignTo: undefined }];
    const then = nextMs + HOUR_MS;
    const plan = { submit: [nextMs], missed: undefined, positionMs: nextMs, nextMs: then, dueMs: then };
    return { name, version, plan, inserts };
  }

  async function tasksOf(name: string): Promise<number> {
    const [row] = await fixture.db.query<{ count: number }>(
      "select count(*)::int as count from task where options -> 'tick' ->> 'schedule' = $1",
      [name],
    );
    return row?.count ?? 0;
  }

  it("submits each tick once when two stores run the same schedules at the same moment", async () => {
    const stores: readonly Store[] = [fixture.store, fixture.another()];
    const made = await Promise.all(Array.from({ length: 20 }, (_, index) => set(`both-${index}`)));
    const runs = await Promise.all(made.map(runOf));
    const results = await Promise.all(runs.flatMap((run) => stores.map((store) => store.runTicks(run))));
    assert.equal(results.filter((result) => result !== undefined).length, runs.length);
    for (const { name } of made) assert.equal(await tasksOf(name), 1, name);
  });

  it("has done nothing when the session ends between the insert and the advance", async () => {
    const made = await set("cut");
    const run = await runOf(made);
    await fixture.db.query(
      `create function wait_at_gate() returns trigger language plpgsql as
         $$ begin perform pg_advisory_xact_lock(${GATE}); return new; end $$`,
    );
    await fixture.db.query(
      `create trigger gate before update on schedule for each row when (new.name = 'cut')
         execute function wait_at_gate()`,
    );
    const holder = await openTransaction(fixture.db.url, `select pg_advisory_xact_lock(${GATE})`);
    const failed = assert.rejects(fixture.store.runTicks(run), { name: "DatabaseUnavailableError" });
    const pid = await until("the run waits at the gate", async () => {
      const [row] = await fixture.db.query<{ pid: number }>(
        `select pid from pg_locks where locktype = 'advisory' and not granted and objid = ${GATE}
           and database = (select oid from pg_database where datname = current_database())`,
      );
      return row?.pid;
    });
    await fixture.db.query("select pg_terminate_backend($1, 5000)", [pid]);
    await failed;
    await holder.release();
    await fixture.db.query("drop trigger gate on schedule");
    assert.equal(await tasksOf("cut"), 0);
    assert.deepEqual((await fixture.store.getSchedule("cut"))?.schedule, made, "it is due as before");
    const result = await fixture.store.runTicks(run);
    assert.equal(result?.records[0]?.outcome, "submitted");
    assert.equal(await tasksOf("cut"), 1);
  });

  it("finds what is due by its index, among schedules that are not", async () => {
    await fixture.db.query(
      `insert into schedule (name, due_time, record, template)
         select 'far-' || n, now() + n * interval '1 minute', jsonb_build_object('name', 'far-' || n), ''
           from generate_series(1, 5000) n`,
    );
    await fixture.db.query("analyze schedule");
    const plan = await fixture.db.query<{ "QUERY PLAN": string }>(
      "explain select record from schedule where due_time <= now() order by due_time limit 20",
    );
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    assert.match(text, /Index Scan using schedule_due/);
    const { schedules, nextDueInMs = 0 } = await fixture.store.dueSchedules(20);
    assert.deepEqual(schedules, []);
    assert.ok(nextDueInMs > 0 && nextDueInMs <= 60_000, `${nextDueInMs}`);
  });
});
