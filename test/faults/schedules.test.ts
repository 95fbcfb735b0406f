import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Client, type ScheduleOptions, TaskCancelledError } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

const DAY_MS = 86_400_000;

const WAIT = { timeoutS: 60 };

/** Ticks whose time a test sets. */
const DAILY = { everyS: 86_400 } as const;

describe("T52: schedules with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** The ticks whose tasks were submitted, in the order of the tasks. */
  async function submitted(name: string): Promise<{ id: string; tick: number }[]> {
    return pair.fleet.db.query(
      `select 't-' || id as id, (options -> 'tick' ->> 'tickMs')::float8 as tick
         from (select id, options from task union all select id, options from task_finished) t
        where options -> 'tick' ->> 'schedule' = $1 order by t.id`,
      [name],
    );
  }

  /** As if the schedule had been set so long ago and no scheduler had run since: no test waits for it. */
  async function wasDown(name: string, ms: number): Promise<void> {
    await pair.fleet.db.query(
      `update schedule set due_time = now(), record = record || jsonb_build_object(
           'positionMs', (record ->> 'positionMs')::float8 - $2::float8, 'dueMs', floor(extract(epoch from now()) * 1000))
        where name = $1`,
      [name, ms],
    );
    await pair.fleet.db.query(`select pg_notify('muster', '{"kind":"schedules"}')`);
  }

  async function decided(name: string, count: number) {
    return until(`schedule ${name} has decided ${count} ticks`, async () => {
      const schedule = await pair.atOne.schedules.get(name);
      return schedule.ticks.length >= count ? schedule : undefined;
    });
  }

  const daily = (options: Partial<ScheduleOptions> = {}): ScheduleOptions => ({
    ...{ type: "none", queue: "ticks", ...DAILY, overlap: "allow" },
    ...options,
  });

  it("submits every tick exactly once, also while one scheduler is killed and started again", async () => {
    await pair.fleet.worker("ticker", { queue: "seconds", slots: 4, scheduler: pair.one.grpc });
    const { spec } = await pair.atOne.schedules.set("seconds", {
      ...{ type: "echo", queue: "seconds", everyS: 1, overlap: "allow", catchUp: "all" },
    });
    assert.equal(spec?.name, "seconds");
    const reaches = (count: number) =>
      until(`${count} ticks`, async () => ((await submitted("seconds")).length >= count ? true : undefined));
    await reaches(3);
    pair.two.program.kill("SIGKILL");
    await reaches(6);
    await pair.fleet.restart(pair.two);
    await reaches(9);
    await pair.atTwo.schedules.pause("seconds", "the test has seen enough");
    const ticks = (await submitted("seconds")).map(({ tick }) => tick);
    const [first = 0] = ticks;
    assert.deepEqual(
      ticks,
      ticks.map((_, index) => first + index * 1_000),
      "no tick twice, none left out",
    );
    const { ticks: records } = await pair.atOne.schedules.get("seconds");
    assert.ok(records.every(({ outcome }) => outcome === "submitted"));
    const [last] = (await submitted("seconds")).slice(-1);
    assert.ok(last);
    const task = await pair.atOne.get(last.id);
    assert.deepEqual(
      [task.scheduleTick?.schedule, task.scheduleTick?.tickTime?.getTime()],
      ["seconds", last.tick],
    );
    assert.match(await pair.muster("task", last.id), /^schedule\tseconds, tick of \d{4}-/m);
    assert.deepEqual((await pair.fleet.events(last.id)).slice(0, 2), ["created", "schedule.fired"]);
    assert.match(await pair.muster("why", last.id), /schedule.*seconds, tick of \d{4}-/);
    const reason = await pair.muster("why", "schedule:seconds");
    assert.match(reason, /SCHEDULE_PAUSED.*the test has seen enough/s);
  });

  it("hands the name and the tick of the schedule to the handler, also of a run on request", async () => {
    await pair.fleet.worker("told", { queue: "told", scheduler: pair.two.grpc });
    await pair.atOne.schedules.set("told", { type: "tick", queue: "told", ...DAILY });
    await wasDown("told", DAY_MS);
    const { ticks } = await decided("told", 1);
    const [{ taskId, tickTime } = { taskId: "", tickTime: undefined }] = ticks;
    assert.deepEqual(await pair.atOne.handle(taskId).result(WAIT), {
      ...{ name: "told", manual: false },
      tickTime: tickTime?.toISOString(),
    });
    const id = await pair.atTwo.schedules.runNow("told");
    const asked = Object(await pair.atTwo.handle(id).result(WAIT));
    assert.deepEqual([asked.name, asked.manual], ["told", true]);
  });

  it("submits once for all requests with one id, at both schedulers and while the task is open", async () => {
    await pair.atOne.schedules.set("asked", { type: "tick", queue: "asked", ...DAILY, overlap: "skip" });
    const run = (client: Client, requestId: string) => client.schedules.runNow("asked", { requestId });
    const ids = await Promise.all(
      [pair.atOne, pair.atTwo, pair.atOne, pair.atTwo].map((client) => run(client, "release-41")),
    );
    assert.equal(new Set(ids).size, 1, ids.join());
    const said = await runMuster(pair.one.grpc, [
      ...["schedule", "run-now", "asked"],
      ...["--request-id", "release-41"],
    ]);
    assert.equal(said.stdout.trim(), ids[0]);
    assert.match(said.stderr, /an earlier call with this request id submitted the task/);
    await assert.rejects(run(pair.atTwo, "release-42"), { reason: "SCHEDULE_OVERLAPS" });
    await assert.rejects(
      run(pair.atTwo, "a:b"),
      /request_id "a:b" is not a request id: it must hold 1 to 128/,
    );
    const { ticks } = await pair.atOne.schedules.get("asked");
    assert.equal(ticks.length, 1);
    await pair.fleet.worker("asked", { queue: "asked" });
    await pair.atOne.handle(ids[0] ?? "").result(WAIT);
    assert.equal(await run(pair.atTwo, "release-41"), ids[0]);
    assert.equal(pair.fleet.runs(ids[0] ?? "").length, 1);
  });

  it("after a week without a scheduler submits what the catch-up policy allows", async () => {
    for (const catchUp of ["none", "last", "all"] as const) {
      await pair.atOne.schedules.set(`week-${catchUp}`, daily({ catchUp, startTime: new Date(0) }));
      await wasDown(`week-${catchUp}`, 7 * DAY_MS);
    }
    const { ticks: none } = await decided("week-none", 1);
    // Where the test runs within a minute of midnight, the last tick is on time.
    const onTime = none.filter(({ outcome }) => outcome === "submitted").length;
    const missed = none.find(({ outcome }) => outcome === "missed");
    assert.equal(Number(missed?.count) + onTime, 7);
    const { ticks: last } = await decided("week-last", 2);
    assert.deepEqual(
      last.map(({ outcome, count }) => [outcome, Number(count)]),
      [
        ["submitted", 1],
        ["missed", 6],
      ],
    );
    const { ticks: all, nextTimes } = await decided("week-all", 7);
    assert.ok(all.every(({ outcome }) => outcome === "submitted"));
    const days = (await submitted("week-all")).map(({ tick }) => tick / DAY_MS);
    assert.deepEqual(
      days,
      days.map((_, index) => (days[0] ?? 0) + index),
      "the oldest first",
    );
    assert.equal(nextTimes[0]?.getTime(), ((days.at(-1) ?? 0) + 1) * DAY_MS);
    assert.match(await pair.muster("events", "--json"), /"schedule\.missed"/);
  });

  it("says why its ticks are refused, keeps them, and submits them when there is room", async () => {
    await pair.atOne.fleet.limitQueue({ queue: "narrow", maxWaitingCount: 1n, reason: "by the test" });
    const filler = await pair.atOne.submit("none", undefined, { queue: "narrow" });
    await pair.atOne.schedules.set("narrow", daily({ queue: "narrow" }));
    await wasDown("narrow", DAY_MS);
    const failing = await until("it fails", async () => {
      const schedule = await pair.atTwo.schedules.get("narrow");
      return schedule.state === "failing" ? schedule : undefined;
    });
    assert.equal(failing.failure?.code, "QUEUE_FULL");
    assert.match(
      await pair.muster("why", "schedule:narrow"),
      /SCHEDULE_FAILING.*QUEUE_FULL.*muster why queue:narrow/s,
    );
    const { stdout } = await runMuster(pair.two.grpc, ["doctor"]);
    assert.match(stdout, /work\.schedules.*narrow has been refused/);
    await filler.cancel("to make room");
    const { ticks, failure } = await decided("narrow", 1);
    assert.deepEqual([ticks[0]?.outcome, failure], ["submitted", undefined]);
    assert.equal((await submitted("narrow")).length, 1);
  });

  it("skips a tick while a task is open, or cancels the task for it", async () => {
    await pair.fleet.worker("overlaps", { queue: "overlaps", slots: 4, scheduler: pair.one.grpc });
    const gate = pair.fleet.gate();
    const payload = { gate: gate.path };
    const firsts: string[] = [];
    for (const overlap of ["skip", "cancel_running"] as const) {
      await pair.atOne.schedules.set(overlap, {
        type: "gate",
        payload,
        queue: "overlaps",
        ...DAILY,
        overlap,
      });
      await wasDown(overlap, DAY_MS);
      const taskId = (await decided(overlap, 1)).ticks[0]?.taskId ?? "";
      await pair.fleet.started(taskId);
      firsts.push(taskId);
    }
    const [open = "", older = ""] = firsts;
    await wasDown("skip", DAY_MS);
    const [skipped] = (await decided("skip", 2)).ticks;
    assert.deepEqual([skipped?.outcome, skipped?.taskId], ["skipped", open]);
    assert.match(await pair.muster("why", "schedule:skip"), new RegExp(`SCHEDULE_OVERLAPS.*${open}`, "s"));
    const held = await runMuster(pair.one.grpc, ["schedule", "run-now", "skip"]);
    assert.deepEqual([held.code, /SCHEDULE_OVERLAPS/.test(held.stderr)], [4, true], held.stderr);
    const newer = (await pair.muster("schedule", "run-now", "cancel_running")).trim();
    await assert.rejects(pair.atTwo.handle(older).result(WAIT), TaskCancelledError);
    await pair.fleet.ran(newer);
    gate.open();
    for (const id of [open, newer]) await pair.atTwo.handle(id).result(WAIT);
  });
});
