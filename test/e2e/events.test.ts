import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

/** What a follower shows of an event. */
interface Shown {
  readonly id: string;
  readonly name: string;
  readonly taskId?: string;
  readonly attemptId?: string;
}

const EXIT_NOT_FOUND = 3;

describe("muster events over time", () => {
  let fleet: Fleet;

  beforeEach(async () => {
    fleet = await Fleet.start({ args: ["--reconnect-grace", "20", "--lease", "20"] });
  });

  afterEach(async () => {
    await killAll();
    await fleet.stop();
  });

  const muster = (...args: string[]) => runMuster(fleet.scheduler.grpc, args);

  function follow(...args: string[]): Program {
    return Program.start("muster events --follow", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["events", ...args, "--follow", "--json", "--limit", "1000", "--scheduler", fleet.scheduler.grpc],
    });
  }

  const shownBy = (program: Program): Shown[] =>
    program.stdout
      .split("\n")
      .filter((line) => line.endsWith("}"))
      .map((line) => JSON.parse(line));

  const word = ({ id, name, taskId = "", attemptId = "" }: Shown) => `${id} ${name} ${taskId} ${attemptId}`;
  const inFeedOrder = (events: readonly Shown[]) =>
    events.toSorted((a, b) => Number(a.id) - Number(b.id)).map(word);
  const step = ({ name, taskId = "", attemptId = "" }: Shown) => `${name} ${attemptId || taskId}`;

  async function recorded(...args: string[]): Promise<Shown[]> {
    const { code, stdout, stderr } = await muster("events", ...args, "--json", "--limit", "10000");
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).events ?? [];
  }

  it("--follow goes on across a restart of the scheduler, loses nothing and repeats nothing", async () => {
    // It begins before there is anything to follow.
    const all = follow();
    await fleet.worker("followed", { slots: 4 });
    const gate = fleet.gate();
    const held = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.ran(held.id);
    const one = follow(held.id);
    await until("the one task is followed", () => (shownBy(one).length > 0 ? true : undefined));
    const submitShort = (count: number) =>
      fleet.client.submitMany(Array.from({ length: count }, () => ({ type: "sleep", payload: { ms: 5 } })));
    const before = await submitShort(60);
    await before[20]?.result();
    // In the middle of the work, with a task that outlives it.
    await fleet.scheduler.program.end("SIGKILL");
    await fleet.restart(fleet.scheduler, ["--reconnect-grace", "20", "--lease", "20"]);
    const later = await submitShort(20);
    await Promise.all([...before, ...later].map((handle) => handle.result()));
    gate.open();
    await held.result();
    await fleet.client.fleet.pauseQueue({ queue: "the-last-word", reason: "test over" });
    await until(
      "the last event has come",
      () => (shownBy(all).some(({ name }) => name === "queue.paused") ? true : undefined),
      () => `: ${all.stderr}`,
    );
    // Each message of the stream is shown in the order of its times, the list as a whole: they agree in the order of the feed.
    let record: Shown[] = [];
    await until(
      "everything recorded is shown",
      async () => {
        record = await recorded();
        return isDeepStrictEqual(inFeedOrder(shownBy(all)), inFeedOrder(record)) || undefined;
      },
      () => {
        const shown = new Set(shownBy(all).map(word));
        return `: lost ${record.map(word).filter((each) => !shown.has(each))} of ${record.length}, shown ${shown.size}`;
      },
    );
    for (const [taskId, events] of Map.groupBy(record, ({ taskId = "" }) => taskId)) {
      if (taskId === "") continue;
      const shown = shownBy(all).filter((each) => each.taskId === taskId);
      assert.deepEqual(shown.map(word), events.map(word), "the order of a task's events");
    }
    await until("the task's last event has come", () =>
      shownBy(one).some(({ name }) => name === "succeeded") ? true : undefined,
    );
    const steps = shownBy(one).map(step);
    assert.equal(new Set(steps).size, steps.length, `repeated: ${steps.join(", ")}`);
    // The steps that are read from the task's row have no place in the feed, so the stream need not bring them.
    const life = (await recorded(held.id)).map(step);
    assert.deepEqual(
      steps.filter((each) => !life.includes(each)),
      [],
    );
    for (const name of ["created", "assigned", "succeeded"])
      assert.ok(
        steps.some((each) => each.startsWith(`${name} `)),
        `${name} is missing: ${steps.join(", ")}`,
      );
    for (const { program, found } of [
      { program: all, found: "everything" },
      { program: one, found: "the task" },
    ]) {
      assert.ok(program.alive, `following ${found} ended: ${program.stderr}`);
      program.kill("SIGINT");
      await program.ended;
    }
  });

  it("what is older than --keep-days is dropped with its day, and the rest is read and followed on", async () => {
    const worker = await fleet.worker("remembered", { queue: "kept" });
    const old = await fleet.client.submit("echo", "old", { queue: "kept" });
    await old.result();
    const young = await fleet.client.submit("echo", "young", { queue: "kept" });
    await young.result();
    const all = follow();
    await until("the young one is followed", () =>
      shownBy(all).some(({ name, taskId }) => name === "succeeded" && taskId === young.id) ? true : undefined,
    );
    await fleet.scheduler.program.end();
    // Its day is made, and it is moved there: a day is dropped when it has been over for --keep-days.
    const id = Number(old.id.slice(2));
    for (const table of ["event", "task_finished"])
      await fleet.db.query(
        `do $$ declare day date := (now() at time zone 'utc')::date - 3; begin
           execute format('create table %I partition of ${table} for values from (%L) to (%L)',
             '${table}_' || to_char(day, 'YYYYMMDD'), day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00'); end $$`,
      );
    await fleet.db.query(
      "update task_finished set finish_time = finish_time - interval '3 days' where id = $1",
      [id],
    );
    const moved = await fleet.db.query<{ id: string }>(
      "update event set time = time - interval '3 days' where task_id = $1 or task_ids = array[$1::bigint] returning id",
      [id],
    );
    assert.ok(moved.length > 0);
    const restarted = await fleet.restart(fleet.scheduler, [
      ...["--keep-days", "1", "--reconnect-grace", "20", "--lease", "20"],
    ]);
    const dropped = await restarted.program.line("retention.dropped");
    assert.deepEqual([dropped.partitions, dropped.keep_days], [2, 1]);
    const left = await recorded();
    assert.ok(!left.some(({ taskId }) => taskId === old.id), "an event of the dropped day is still told");
    assert.ok(left.some(({ taskId }) => taskId === young.id));
    const gone = await muster("events", old.id);
    assert.equal(gone.code, EXIT_NOT_FOUND, gone.stderr);
    assert.match(gone.stderr, new RegExp(`${old.id}`));
    assert.deepEqual((await recorded(young.id)).map(step).at(-1), `succeeded ${young.id}.1`);
    // The feed goes on for who followed it across the drop.
    const next = await fleet.client.submit("echo", "next", { queue: "kept" });
    assert.equal(await next.result(), "next");
    await until("the next one is followed", () =>
      shownBy(all).some(({ name, taskId }) => name === "succeeded" && taskId === next.id) ? true : undefined,
    );
    const seen = shownBy(all).map(word);
    assert.equal(new Set(seen).size, seen.length, "an event was printed twice");
    assert.ok(worker.alive);
  });
});
