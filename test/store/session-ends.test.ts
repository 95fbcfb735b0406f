import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { formatAttemptId } from "../../scheduler/src/domain/ids.ts";
import { workerLost } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import { madeBeat, madeRunning } from "../../scheduler/src/domain/testing/made-records.ts";
import {
  commitRequest,
  decideLost,
  expireLease,
  LONG_MS,
  openFixture,
  type StoreFixture,
  sessionOpen,
} from "./fixture.ts";

describe("store: ends of sessions", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("T24: counts the deaths of processes, and has a task run in a class of its own after them", async () => {
    const { store } = fixture;
    const [first, second] = await fixture.submit("poison", 2);
    for (const deaths of [1, 2]) {
      const sessionId = await fixture.session();
      const held = [
        await fixture.claimOne(first ?? 0, sessionId),
        await fixture.claimOne(second ?? 0, sessionId),
      ];
      assert.deepEqual(
        held.map(({ requeueCounts, attemptCount }) => [requeueCounts?.deaths ?? 0, attemptCount]),
        [
          [deaths - 1, 1],
          [deaths - 1, 1],
        ],
      );
      const [gone] = await store.endSessions(
        [{ sessionId, reason: "lost", fatal: undefined }],
        (row, { workerId, held: all }) => {
          assert.deepEqual(
            all.map(({ taskId, accepted }) => [taskId, accepted]),
            held.map(({ taskId }) => [taskId, false]),
          );
          const outcome = {
            kind: "lost",
            reason: "stale",
            failure: workerLost(workerId, "vanished"),
          } as const;
          return commitRequest(row, { ...outcome, blame: "suspect" }).decision;
        },
      );
      assert.equal(gone?.endedAttempts.length, 2);
      await fixture.db.query("update task set wake_time = null where id = any($1)", [[first, second]]);
    }
    const [one, two] = [await store.getTask(first ?? 0), await store.getTask(second ?? 0)];
    assert.deepEqual([one?.alone, one?.requeueCounts, one?.attemptCount], [true, { deaths: 2 }, 0]);
    assert.equal(two?.classId, one?.classId);
    const made = (await store.classesAfter(0)).find(({ id }) => id === one?.classId);
    assert.deepEqual([made?.type, made?.alone], ["poison", true]);
    const waiting = await store.waitingTasks([one?.classId ?? 0], 10);
    assert.deepEqual(
      waiting.map(({ id }) => id),
      [first, second],
    );
    const [plain] = await store.resolveClasses([
      { queue: "default", type: "poison", requirements: one?.requirements ?? { labels: {}, resources: [] } },
    ]);
    assert.notEqual(plain?.id, one?.classId);
  });

  it("T24: says of what a session held which attempts waited without their slots by its last heartbeat", async () => {
    const { store } = fixture;
    const [first, second] = await fixture.submit("waits", 2);
    const sessionId = await fixture.session();
    const held = [
      await fixture.claimOne(first ?? 0, sessionId),
      await fixture.claimOne(second ?? 0, sessionId),
    ];
    const [waits, runs] = held.map((row) => formatAttemptId(row));
    const slotRelease = { ageMs: 5, taskIds: ["t-1"], taskCount: 1, reason: "", returning: false };
    const running = [{ ...madeRunning(waits ?? ""), slotRelease }, madeRunning(runs ?? "")];
    await store.renewLeases([{ sessionId, beat: madeBeat({ running }) }], "a", 30_000);
    const seen: unknown[] = [];
    await store.endSessions([{ sessionId, reason: "lost", fatal: undefined }], (row, { held: all }) => {
      seen.push(all.map((each) => each.waits ?? false));
      return commitRequest(row, { kind: "released", reason: "drain" }).decision;
    });
    assert.deepEqual(seen, [
      [true, false],
      [true, false],
    ]);
  });

  it("T24: counts the earlier losses of a worker id, and no planned stop", async () => {
    const { store, db } = fixture;
    const seen: number[] = [];
    const end = async (reason: string, planned = false) => {
      const sessionId = await fixture.session("w-losing");
      const [taskId = 0] = await fixture.submit("loss");
      await fixture.claimOne(taskId, sessionId);
      if (planned) await store.recordStartup(sessionId, [], true, true);
      await store.endSessions([{ sessionId, reason, fatal: undefined }], (row, { lossesBefore }) => {
        seen.push(lossesBefore);
        return commitRequest(row, { kind: "released", reason }).decision;
      });
    };
    await end("lost");
    await end("finished");
    await end("killed", true);
    await end("fatal");
    await end("lost");
    assert.deepEqual(seen, [0, 1, 1, 1, 2]);
    await db.query(
      "update worker_session set gone_time = gone_time - interval '6 min' where worker_id = 'w-losing'",
    );
    await end("lost");
    assert.equal(seen.at(-1), 0);
  });

  it("T25: gives an attempt that was taken back to its session, unless another was assigned its task", async () => {
    const { store } = fixture;
    const [mine, other] = [await fixture.session(), await fixture.session()];
    const [taskId = 0] = await fixture.submit("late");
    const held = await fixture.claimOne(taskId, mine);
    const key = { taskId, epoch: held.epoch };
    const lapse = async (row: typeof held) =>
      store.commitResults([commitRequest(row, { kind: "unaccepted" })]);
    await lapse(held);
    assert.deepEqual((await store.getTask(taskId))?.requeueCounts, { unaccepted: 1 });
    // Asked twice, as after an answer that was lost.
    assert.deepEqual([await store.retake(key, mine), await store.retake(key, mine)], [true, true]);
    const taken = await store.getTask(taskId);
    assert.deepEqual([taken?.state, taken?.attemptCount, taken?.epoch], ["running", 1, held.epoch]);
    assert.deepEqual(await store.getAttempts(taskId), []);
    assert.equal(await store.retake(key, other), false);
    await lapse(held);
    const again = await fixture.claimOne(taskId, other);
    assert.equal(again.requeueCounts?.unaccepted, 2);
    assert.equal(await store.retake(key, mine), false);
    await lapse(again);
    assert.equal(await store.retake(key, mine), false);
    const [gone = 0] = await fixture.submit("late");
    const lost = await fixture.claimOne(gone, other);
    await store.commitResults([commitRequest(lost, { kind: "unaccepted" })]);
    await store.endSessions([{ sessionId: other, reason: "finished", fatal: undefined }], decideLost);
    assert.equal(await store.retake({ taskId: gone, epoch: lost.epoch }, other), false);
  });

  it("reaps only what is silent for longer than lease and grace, and requeues what it held", async () => {
    const { store, db } = fixture;
    const [lost, inGrace, alive] = [
      await fixture.session("lost"),
      await fixture.session("in-grace"),
      await fixture.session("alive"),
    ];
    const [a, b, c, bystander] = await fixture.submit("reap", 4);
    await fixture.claimOne(a ?? 0, lost);
    await fixture.claimOne(b ?? 0, inGrace);
    await fixture.claimOne(c ?? 0, alive);
    await expireLease(db, lost, 10_001);
    await expireLease(db, inGrace, 9_000);
    const gone = await store.reapSessions(
      { asOf: await store.databaseTime(), graceMs: 10_000, heldBy: undefined },
      100,
      decideLost,
    );
    const [own] = gone.filter(({ workerId }) => workerId === "lost");
    assert.equal(own?.sessionId, lost);
    assert.deepEqual(
      own?.endedAttempts.map(({ row }) => row.taskId),
      [a],
    );
    assert.equal((await store.getWorker("lost"))?.goneReason, "lost");
    assert.equal((await store.getTask(a ?? 0))?.state, "queued");
    assert.equal((await store.getAttempts(a ?? 0))[0]?.outcome, "requeued:stale");
    for (const id of [b, c]) assert.equal((await store.getTask(id ?? 0))?.state, "assigned");
    assert.equal((await store.getTask(bystander ?? 0))?.epoch, 0);
    for (const name of ["in-grace", "alive"])
      assert.equal((await store.getWorker(name))?.goneTime, undefined);
  });

  it("reaps no lease that was renewed after the database's clock was set back", async () => {
    const { store } = fixture;
    const [living, dead] = [await fixture.session(), await fixture.session()];
    // The last renewal of the reaper's scheduler, before the clock was set.
    const hourAhead = new Date((await store.databaseTime()).getTime() + 3_600_000);
    const reaped = async () =>
      (await store.reapSessions({ asOf: hourAhead, graceMs: 0, heldBy: undefined }, 100, decideLost))
        .map(({ sessionId }) => sessionId)
        .filter((id) => id === living || id === dead);
    assert.deepEqual(await reaped(), []);
    // A worker that died before: its lease was granted by the clock as it was.
    await fixture.db.query(
      "update session_lease set lease_until = now() + interval '1 hour' where session_id = $1",
      [dead],
    );
    await store.shortenLeases(LONG_MS);
    const leases = await fixture.db.query<{ id: number; isLong: boolean }>(
      `select session_id::float8 as id, lease_until > now() + $1::float8 * interval '1 ms' as "isLong"
         from session_lease where session_id = any($2::bigint[]) order by session_id`,
      [LONG_MS, [living, dead]],
    );
    assert.deepEqual(leases, [
      { id: living, isLong: false },
      { id: dead, isLong: false },
    ]);
    await expireLease(fixture.db, dead, 1_000);
    assert.deepEqual(await reaped(), [dead]);
  });

  it("counts no time after the moment as of which it is judged, however late the judgement comes", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session("judged-late");
    const asOf = await store.databaseTime();
    // On its way the judgement stood still for a minute, and so did the renewal that overtakes it by nothing.
    await expireLease(db, sessionId, 60_000);
    const minuteAgo = new Date(asOf.getTime() - 60_000);
    const early = await store.reapSessions(
      { asOf: minuteAgo, graceMs: 1_000, heldBy: undefined },
      100,
      decideLost,
    );
    assert.ok(!early.some((session) => session.sessionId === sessionId));
    const late = await store.reapSessions({ asOf, graceMs: 1_000, heldBy: undefined }, 100, decideLost);
    assert.ok(late.some((session) => session.sessionId === sessionId));
  });

  it("of another scheduler is left alone by one that asks for its own", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session("of-this-scheduler");
    await expireLease(db, sessionId, 60_000);
    const asOf = await store.databaseTime();
    const [holder] = (await store.leaseHolders([sessionId])).values();
    const reaps = async (heldBy: string | undefined) =>
      (await store.reapSessions({ asOf, graceMs: 1_000, heldBy }, 100, decideLost)).some(
        (session) => session.sessionId === sessionId,
      );
    assert.equal(await reaps("another-scheduler"), false);
    assert.equal(await reaps(holder), true);
  });

  it("is reaped once by two schedulers at once, and every attempt ends once", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const sessions: number[] = [];
    const tasks: number[] = [];
    for (let n = 0; n < 12; n++) {
      const sessionId = await fixture.session(`reaped-${n}`);
      sessions.push(sessionId);
      for (const taskId of await fixture.submit("reap-race", 10)) {
        tasks.push(taskId);
        await store.claim([{ taskId, sessionId }]);
      }
      await expireLease(db, sessionId, 60_000);
    }
    const asOf = await store.databaseTime();
    const gone = (
      await Promise.all(
        Array.from({ length: 6 }, (_, n) =>
          (n % 2 === 0 ? store : other).reapSessions(
            { asOf, graceMs: 1_000, heldBy: undefined },
            5,
            decideLost,
          ),
        ),
      )
    ).flat();
    gone.push(...(await store.reapSessions({ asOf, graceMs: 1_000, heldBy: undefined }, 100, decideLost)));
    assert.deepEqual(
      gone
        .filter(({ workerId }) => workerId.startsWith("reaped-"))
        .map(({ sessionId }) => sessionId)
        .sort((x, y) => x - y),
      sessions,
    );
    const ended = gone
      .filter(({ workerId }) => workerId.startsWith("reaped-"))
      .flatMap((session) => session.endedAttempts.map(({ row }) => row.taskId));
    assert.deepEqual(
      ended.sort((x, y) => x - y),
      tasks,
    );
    for (const taskId of tasks) {
      const attempts = await store.getAttempts(taskId);
      assert.equal(attempts.length, 1, `task ${taskId}`);
    }
  });

  it("is recorded once for each lease that expired, by one of two schedulers, and keeps what it holds", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const sessionId = await fixture.session("observed");
    const [taskId = 0] = await fixture.submit("observed", 1);
    await fixture.claimOne(taskId, sessionId);
    await expireLease(db, sessionId, 60_000);
    const observe = async () => {
      const asOf = await store.databaseTime();
      const seen = await Promise.all(
        [store, other, store, other].map((each) =>
          each.observeExpired({ asOf, graceMs: 1_000, heldBy: undefined }, 100),
        ),
      );
      return seen.flat().filter(({ workerId }) => workerId === "observed");
    };
    const [first, ...more] = await observe();
    assert.deepEqual(
      [first?.sessionId, first?.held.map((row) => row.taskId), more],
      [sessionId, [taskId], []],
    );
    assert.deepEqual(await observe(), []);
    assert.equal((await store.getTask(taskId))?.state, "assigned");
    assert.equal((await store.getWorker("observed"))?.goneTime, undefined);
    await store.renewLeases([{ sessionId, beat: madeBeat({}) }], "a", 30_000);
    assert.deepEqual(await observe(), [], "it lives");
    await expireLease(db, sessionId, 60_000);
    assert.equal((await observe()).length, 1, "it was lost again");
    const gone = await store.reapSessions(
      { asOf: await store.databaseTime(), graceMs: 1_000, heldBy: undefined },
      100,
      decideLost,
    );
    assert.ok(
      gone.some((session) => session.sessionId === sessionId),
      "mode act takes up what was left",
    );
  });

  it("does not reap a worker that returns or sends a heartbeat at the same moment", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    for (let round = 0; round < 20; round++) {
      const uuid = randomUUID();
      const sessionId = await fixture.session(`phoenix-${round}`, { uuid });
      const [taskId] = await fixture.submit("phoenix");
      await fixture.claimOne(taskId ?? 0, sessionId);
      await expireLease(db, sessionId, 60_000);
      const asOf = await store.databaseTime();
      const [gone, [opened]] = await Promise.all([
        store.reapSessions({ asOf, graceMs: 1_000, heldBy: undefined }, 100, decideLost),
        other.openSessions([sessionOpen(`phoenix-${round}`, uuid)], "b", LONG_MS),
      ]);
      const reaped = gone.some((session) => session.sessionId === sessionId);
      const task = await store.getTask(taskId ?? 0);
      const lease = (await store.leaseHolders([sessionId])).get(sessionId);
      const record = await store.getWorker(`phoenix-${round}`);
      // Whichever came first: a session that is answered as living has a lease, and holds the attempts of the answer.
      assert.equal(lease !== undefined, record?.goneTime === undefined, `round ${round}`);
      if (lease === undefined) assert.ok(reaped);
      const reported = opened?.attempts.some((attempt) => attempt.taskId === taskId) ?? false;
      if (task?.state === "assigned") assert.equal(task.sessionId, sessionId);
      if (reported && lease !== undefined && !reaped) assert.equal(task?.state, "assigned");
      assert.equal(task?.state === "queued", reaped, `round ${round}: the task is queued only when reaped`);
    }
  });

  it("ends sessions with their reason and fatal error, once", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("fatal");
    const bystander = await fixture.session("fatal-bystander");
    const [taskId, other] = await fixture.submit("fatal", 2);
    await fixture.claimOne(taskId ?? 0, sessionId);
    await fixture.claimOne(other ?? 0, bystander);
    const fatal = {
      phase: "inference",
      exceptionClass: "TypeError",
      exceptionMessage: "x is not a function",
      traceback: "at y",
      exitCode: 1,
    };
    const end = { sessionId, reason: "fatal", fatal };
    const answers = await Promise.all([
      store.endSessions([end], decideLost),
      fixture.another().endSessions([end], decideLost),
    ]);
    assert.equal(answers.flat().length, 1);
    const record = await store.getWorker("fatal");
    assert.equal(record?.goneReason, "fatal");
    assert.deepEqual(record?.fatal, fatal);
    assert.equal(record?.leaseUntil, undefined);
    assert.equal((await store.getTask(taskId ?? 0))?.state, "queued");
    assert.equal((await store.getTask(other ?? 0))?.sessionId, bystander);
    assert.equal((await store.getWorker("fatal-bystander"))?.goneTime, undefined);
  });

  it("keeps what a session held at its fatal error when the report is repeated on a new stream", async () => {
    const { store, db } = fixture;
    const uuid = randomUUID();
    const open = () => store.openSessions([sessionOpen("reports-twice", uuid)], "a", LONG_MS);
    const [opened] = await open();
    const sessionId = opened?.sessionId ?? 0;
    const [taskId] = await fixture.submit("reports-twice");
    await fixture.claimOne(taskId ?? 0, sessionId);
    const fatal = {
      phase: "inference",
      exceptionClass: "LinkError",
      exceptionMessage: "the thread died",
      traceback: "",
      exitCode: 1,
    };
    await store.endSessions([{ sessionId, reason: "fatal", fatal }], decideLost);
    assert.deepEqual((await open())[0]?.attempts, []);
    const again = await store.endSessions([{ sessionId, reason: "fatal", fatal }], decideLost);
    assert.deepEqual(
      again.map(({ endedAttempts }) => endedAttempts),
      [[]],
    );
    assert.equal((await store.getWorker("reports-twice"))?.goneReason, "fatal");
    const events = await db.query<{ held: string }>(
      "select attributes ->> 'held' as held from event where name = 'worker.fatal' and worker_id = 'reports-twice'",
    );
    assert.deepEqual(
      events.map(({ held }) => held),
      [`t-${taskId}.1`],
    );
  });
});
