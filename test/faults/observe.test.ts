/** Mechanisms that have a mode: the faults that they answer, in mode `act` and in mode `observe`. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CheckStatus, MechanismMode } from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { MECHANISM_NAMES, MECHANISMS } from "../../scheduler/src/domain/mechanisms/mechanism.ts";
import { factOf } from "../support/fleet/expected-reasons.ts";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { acted, counted, recorded, times, totalOf } from "../support/fleet/mechanism-counts.ts";
import type { Driven } from "../support/fleet/mechanism-fault.ts";
import { FAULT_GROUPS, MECHANISM_FAULTS } from "../support/fleet/mechanism-faults.ts";
import { answer, cancel, connect, SUCCEEDED } from "../support/fleet/mechanism-peers.ts";
import { cutAll } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler } from "../support/programs/scheduler.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until } from "../support/waits.ts";

const QUARANTINE = ["--quarantine-after", "4", "--quarantine-window", "120"];
const OBSERVE = ["--modes", "all=observe"];

after(async () => {
  cutAll();
  await killAll();
});

/** Waits until the last heartbeat of every connected worker says that it holds so many attempts. */
const heartbeatsCount = (fleet: Fleet, count: number) =>
  until(`the heartbeats count ${count}`, async () => {
    const rows = await fleet.db.query<{ held: string | null }>(
      `select heartbeat -> 'seen' ->> 'outstanding' as held
         from session_lease join worker_session s on s.id = session_id where s.gone_time is null`,
    );
    return rows.every(({ held }) => held === String(count)) || undefined;
  });

describe("T59: the faults that mechanisms answer, in mode act and in mode observe", () => {
  let acting: Fleet;
  let observing: Fleet;
  /** Each fault in both fleets, by its key. */
  const driven = new Map<string, readonly [Driven, Driven]>();

  before(async () => {
    [acting, observing] = await Promise.all([
      Fleet.start({ args: QUARANTINE }),
      Fleet.start({ args: [...QUARANTINE, ...OBSERVE] }),
    ]);
  });

  after(async () => {
    cutAll();
    await killAll();
    await acting.stop();
    await observing.stop();
  });

  for (const [group, faults] of Object.entries(FAULT_GROUPS))
    describe(group, () => {
      // Together: each waits for leases or deadlines.
      before(async () => {
        await Promise.all(
          faults.map(async ({ key, drive }) => {
            driven.set(key, await Promise.all([drive(acting, key), drive(observing, key)]));
          }),
        );
      });

      for (const { key, fault, expected } of faults)
        it(`${fault}: nothing is done, and as much is recorded as is done in mode act`, async () => {
          await until(
            `${key} is acted on`,
            async () => times(await acted(acting), key, expected) || undefined,
          );
          await until(
            `${key} is observed`,
            async () => times(await recorded(observing), key, expected) || undefined,
          );
          assert.deepEqual((await acted(acting)).get(key), expected);
          for (const each of driven.get(key) ?? []) await each.end();
          const [act, observe] = driven.get(key) ?? [];
          assert.ok(act && observe);
          await act.afterAct?.();
          await observe.afterObserve?.();
          assert.deepEqual((await recorded(observing)).get(key), expected);
          assert.equal((await acted(observing)).get(key), undefined);
        });
    });

  it("no mechanism has changed anything in mode observe, and each action is logged and counted once", async () => {
    assert.deepEqual(await acted(observing), new Map());
    const [lost] = await observing.db.query<{ count: number }>(
      "select count(*)::int as count from worker_session where gone_reason = 'lost'",
    );
    assert.equal(lost?.count, 0);
    assert.deepEqual(await recorded(acting), new Map());
    const lines = observing.scheduler.program.lines.filter(({ event }) => event === "mechanism.observed");
    for (const name of MECHANISM_NAMES) {
      const total = totalOf(name, MECHANISM_FAULTS);
      assert.ok(total > 0, `no fault is answered by ${name}`);
      const logged = lines.filter(({ mechanism }) => mechanism === name);
      for (const line of logged) {
        const subject = MECHANISMS[name].counts === "worker" ? line.worker_id : line.attempt_id;
        assert.ok(subject && line.reason && line.would, JSON.stringify(line));
      }
      assert.equal(logged.length, total, name);
      assert.equal(await counted(observing, name), total, name);
      assert.equal(await counted(acting, name), 0, name);
    }
  });
});

describe("T59: two schedulers in mode observe, and then in mode act", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2, args: OBSERVE });
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("a lost worker is recorded once, by one of them, is explained, and is recovered after the restart", async () => {
    const worker = await connect(fleet, "left", "left");
    const mute = await connect(fleet, "left-mute", "left-mute", { autoAccept: false });
    const task = await fleet.client.submit("echo", 1, { queue: "left" });
    const unanswered = await fleet.client.submit("echo", 1, { queue: "left-mute" });
    await worker.assignment(task.id);
    const { attemptId } = await mute.assignment(unanswered.id);
    await heartbeatsCount(fleet, 1);
    worker.cut();
    const facts = { mechanism: /^recovery$/, mode: /^observe$/, set_at: /, /, worker: /^left$/ };
    await fleet.taskReason(task.id, "MECHANISM_NOT_ACTING", 10_000, { evidence: facts });
    await fleet.workerReason("left", "MECHANISM_NOT_ACTING", 0);
    await fleet.taskReason(unanswered.id, "MECHANISM_NOT_ACTING", 10_000, {
      evidence: { mechanism: /^unaccepted$/, worker: /^left-mute$/ },
    });
    await until("the loss is recorded", async () => (await recorded(fleet)).get("left")?.recovery);
    const { diagnosis } = await fleet.client.fleet.diagnose({});
    const check = diagnosis?.checks.find(({ name }) => name === "configuration.modes");
    assert.deepEqual(
      [check?.status, check?.evidence.filter(({ key }) => key === "scheduler").length],
      [CheckStatus.NOTE, 2],
    );

    // Both are killed one after the other; what was recorded stays recorded.
    for (const scheduler of [...fleet.schedulers]) {
      scheduler.program.kill("SIGKILL");
      await scheduler.program.ended;
      await fleet.restart(scheduler, OBSERVE);
    }
    await until("a scan of each", async () => {
      const scans = await Promise.all(fleet.schedulers.map(({ http }) => Scrape.of(http)));
      const ran = scans.every(
        (each) => each.sum("muster_loop_last_run_timestamp_seconds", { loop: "recovery" }) > 0,
      );
      return ran || undefined;
    });
    const times = (await fleet.events(task.id)).filter((event) => event === "mechanism.observed").length;
    assert.equal(times, 1);
    for (const scheduler of [...fleet.schedulers]) {
      scheduler.program.kill("SIGTERM");
      await scheduler.program.ended;
      await fleet.restart(scheduler);
    }
    await fleet.eventually(task.id, "requeued:stale");
    const other = await connect(fleet, "takes-over", "left");
    other.succeed((await other.assignment(task.id)).attemptId);
    await task.result();
    // Its worker did not come back, so it was lost as well.
    await fleet.eventually(unanswered.id, "requeued:stale");
    assert.equal(attemptId, `${unanswered.id}.1`);
    other.cut();
    await cancel(fleet, unanswered.id);
  });
});

describe("T59: a scan for lost workers at an interval of its own", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ args: ["--recovery-interval", "3600"] });
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("recovers nothing before the interval is over, whatever the renewals of leases", async () => {
    const worker = await connect(fleet, "between", "between");
    const task = await fleet.client.submit("echo", 1, { queue: "between" });
    await worker.assignment(task.id);
    worker.cut();
    await until("the grace is over", async () => {
      const { reason } = await fleet.taskReason(task.id, "WORKER_SUSPECT", 10_000);
      return factOf(reason, "grace_left") === "0 ms" || undefined;
    });
    const renewed = async () =>
      (await Scrape.of(fleet.scheduler.http)).sum("muster_loop_last_run_timestamp_seconds", {
        loop: "renew",
      });
    const before = await renewed();
    await until("leases were renewed since", async () => (await renewed()) > before + H / 1_000 || undefined);
    assert.ok(!(await fleet.events(task.id)).includes("requeued:stale"));
    const old = fleet.scheduler;
    old.program.kill("SIGTERM");
    await old.program.ended;
    await fleet.restart(old, ["--recovery-interval", "0.1"]);
    await fleet.eventually(task.id, "requeued:stale");
    await cancel(fleet, task.id);
  });
});

describe("T59: two schedulers with different modes", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
    fleet.schedulers.push(await startTestScheduler({ databaseUrl: fleet.db.url, args: OBSERVE }));
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("the one in mode act recovers the workers of both; what a stream shows is left to its scheduler", async () => {
    const [acting, observing] = fleet.schedulers;
    assert.ok(acting && observing);
    const lost = await connect(fleet, "lost", "lost", { at: observing });
    const task = await fleet.client.submit("echo", 1, { queue: "lost" });
    await lost.assignment(task.id);
    lost.cut();
    await fleet.eventually(task.id, "requeued:stale");

    const [atActing, atObserving] = await Promise.all(
      [acting, observing].map(async (at, index) => {
        const queue = `mute-${index}`;
        const worker = await connect(fleet, queue, queue, { at, autoAccept: false });
        const handle = await fleet.client.submit("echo", 1, { queue });
        return { worker, handle, attemptId: (await worker.assignment(handle.id)).attemptId };
      }),
    );
    assert.ok(atActing && atObserving);
    await fleet.eventually(atActing.handle.id, "requeued:unaccepted");
    await fleet.eventually(atObserving.handle.id, "mechanism.observed");
    await fleet.taskReason(atObserving.handle.id, "MECHANISM_NOT_ACTING", 1_000, {
      evidence: { mechanism: /^unaccepted$/, set_at: new RegExp(`^${observing.id}$`) },
    });
    assert.ok(!(await fleet.events(atObserving.handle.id)).includes("requeued:unaccepted"));
    const { diagnosis } = await fleet.client.fleet.diagnose({});
    const check = diagnosis?.checks.find(({ name }) => name === "configuration.modes");
    assert.equal(check?.status, CheckStatus.WARNING);
    // A queue's own mode goes before that of the scheduler.
    using atOne = new Client({ scheduler: acting.grpc });
    await atOne.fleet.configureQueue({
      queue: "own-mode",
      settings: { unacceptedMode: MechanismMode.OBSERVE },
      reason: "a new handler",
    });
    const own = await connect(fleet, "own-mode", "own-mode", { at: acting, autoAccept: false });
    const ofQueue = await fleet.client.submit("echo", 1, { queue: "own-mode" });
    const sent = await own.assignment(ofQueue.id);
    await fleet.eventually(ofQueue.id, "mechanism.observed");
    await fleet.taskReason(ofQueue.id, "MECHANISM_NOT_ACTING", 1_000, {
      evidence: { mechanism: /^unaccepted$/, set_at: /^queue own-mode$/ },
      commands: ["muster queue set own-mode --mode unaccepted=act"],
    });
    own.accept(sent.attemptId);
    answer(own, sent.attemptId, SUCCEEDED);
    await ofQueue.result();
    for (const { worker, handle, attemptId } of [atActing, atObserving]) {
      worker.accept(attemptId);
      answer(worker, attemptId, SUCCEEDED);
      await handle.result();
    }
    // Another scheduler has the number of attempts from the last heartbeat.
    await heartbeatsCount(fleet, 0);
    for (const { worker } of [{ worker: own }, atActing, atObserving]) worker.cut();
    await cancel(fleet, task.id);
  });
});
