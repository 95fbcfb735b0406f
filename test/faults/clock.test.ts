import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { migrateDatabase } from "@muster/scheduler";
import { ClockServer, findFaketime } from "../support/database/clock-server.ts";
import { openTestDatabase } from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { answer, connect, SUCCEEDED } from "../support/fleet/mechanism-peers.ts";
import { KEEPING } from "../support/fleet/scheduler-pair.ts";
import { cutAll, type RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const HOUR_S = 3_600;
const TICK_S = 600;

const faketime = findFaketime();

describe("T66: the database's clock is set", {
  skip: typeof faketime === "string" ? faketime : false,
}, () => {
  let server: ClockServer;
  let fleet: Fleet;
  /** A worker of each scheduler, with a task that runs. */
  let steady: { worker: RawWorker; taskId: string; attemptId: string }[];

  before(async () => {
    assert.ok(typeof faketime !== "string");
    server = await ClockServer.start(faketime.library);
    await migrateDatabase(server.url);
    const db = openTestDatabase(server.url);
    fleet = await Fleet.start({
      ...{ schedulers: 2, args: KEEPING, truth: false },
      database: { url: server.url, query: db.query, drop: () => db.close() },
    });
    steady = await Promise.all(
      fleet.schedulers.map(async (at, index) => {
        const queue = `steady-${index}`;
        const worker = await connect(fleet, queue, queue, { at });
        const { id: taskId } = await fleet.client.submit("echo", 1, { queue });
        const { attemptId } = await worker.assignment(taskId);
        await fleet.eventually(taskId, "accepted");
        return { worker, taskId, attemptId };
      }),
    );
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
    await server.stop();
  });

  /** Sets the clock, and waits until both schedulers have noticed. */
  async function setClock(offsetS: number, byS: number): Promise<void> {
    const marks = fleet.schedulers.map(({ program }) => program.mark());
    server.setClock(offsetS);
    await Promise.all(
      fleet.schedulers.map(({ program }, index) =>
        program.line("database.clock_set", ({ by_ms: by }) => Math.abs(Number(by) / 1_000 - byS) < 60, {
          after: marks[index] ?? 0,
        }),
      ),
    );
  }

  /** A worker whose stream drops; returns when its task has been recovered. */
  async function recovered(workerId: string, meanwhile: () => Promise<void>): Promise<void> {
    const worker = await connect(fleet, workerId, workerId);
    const { id } = await fleet.client.submit("echo", 1, { queue: workerId });
    await worker.assignment(id);
    await fleet.eventually(id, "accepted");
    await meanwhile();
    worker.cut();
    await until(`the task of ${workerId} is requeued`, async () => {
      const rows = await fleet.db.query(
        "select from task_attempt where task_id = $1 and outcome = 'requeued:stale'",
        [Number(id.replace("t-", ""))],
      );
      return rows.length === 1 || undefined;
    });
    await fleet.client.tasks.cancelTask({ taskId: id, reason: "over" });
  }

  async function assertSteady(): Promise<void> {
    const ids = steady.map(({ taskId }) => Number(taskId.replace("t-", "")));
    const ended = await fleet.db.query(
      "select task_id, outcome from task_attempt where task_id = any($1::bigint[])",
      [ids],
    );
    assert.deepEqual(ended, []);
    const gone = await fleet.db.query(
      "select worker_id, gone_reason from worker_session where worker_id like 'steady-%' and gone_time is not null",
    );
    assert.deepEqual(gone, []);
  }

  it("T66: by an hour forward and back, no living worker is lost, and a dead one is at once", async () => {
    // The reaper acts again a lease after the change, or the dead worker would not be recovered.
    await recovered("dead-after", () => setClock(HOUR_S, HOUR_S));
    await assertSteady();
    await recovered("dead-before", () => setClock(-HOUR_S, -2 * HOUR_S));
    await assertSteady();
    await setClock(0, HOUR_S);
    for (const { worker, attemptId } of steady) answer(worker, attemptId, SUCCEEDED);
    for (const { taskId } of steady) await fleet.client.handle(taskId).result();
    await assertSteady();
  });

  it("T66: no tick of a schedule comes twice, and none is left out", async () => {
    const every = { type: "echo", queue: "ticks", overlap: "allow", catchUp: "all" } as const;
    const ticks = async () =>
      (
        await fleet.db.query<{ tick: number }>(
          `select (options -> 'tick' ->> 'tickMs')::float8 / 1000 as tick from task
            where options -> 'tick' ->> 'schedule' = 'jumps' order by id`,
        )
      ).map(({ tick }) => tick);
    /** When a schedule that is set now has a tick, both schedulers have looked at what is due since the clock was set. */
    const looked = async (name: string) => {
      await fleet.client.schedules.set(name, { ...every, everyS: 1 });
      await until(`a tick of ${name}`, async () => (await fleet.client.schedules.get(name)).ticks[0]);
      await fleet.client.schedules.delete(name);
    };
    await fleet.client.schedules.set("jumps", { ...every, everyS: TICK_S });
    await setClock(HOUR_S, HOUR_S);
    await looked("forward");
    await until("the ticks of the hour", async () => ((await ticks()).length >= 6 ? true : undefined));
    const first = await ticks();
    await setClock(0, -HOUR_S);
    await looked("back");
    assert.deepEqual(await ticks(), first);
    await setClock(HOUR_S, HOUR_S);
    await looked("forward-again");
    const [start = 0] = first;
    const last = await ticks();
    // A further one at most, where the test runs at its time.
    assert.ok(last.length - first.length <= 1, `${first.join()} became ${last.join()}`);
    assert.deepEqual(
      last,
      last.map((_, index) => start + index * TICK_S),
    );
    await setClock(0, -HOUR_S);
  });
});
