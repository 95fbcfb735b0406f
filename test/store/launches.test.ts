import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import type { LaunchEndReason } from "../../scheduler/src/domain/workers/launch.ts";
import type { StartupPhaseRecord } from "../../scheduler/src/domain/workers/worker.ts";
import type { LaunchExit, LaunchReport, Store } from "../../scheduler/src/store/store.ts";
import { LONG_MS, openFixture, type StoreFixture, sessionOpen } from "./fixture.ts";

/** What a report of a launch without a session and without a notice gets. */
const UNREGISTERED = { registered: false, noticed: false, session: undefined };

describe("launches in the store", () => {
  let fixture: StoreFixture;
  let one: Store;
  let two: Store;

  before(async () => {
    fixture = await openFixture();
    [one, two] = [fixture.store, fixture.another()];
  });
  beforeEach(async () => {
    await fixture.db.query("truncate launch, session_lease, worker_session, event cascade");
  });
  after(() => fixture.close());

  function phase(name: string, elapsedMs = 0): StartupPhaseRecord {
    return { phase: name, outcome: "ok", elapsedMs, detail: "", attributes: {} };
  }

  function report(workerId: string, fields: Partial<LaunchReport> = {}): LaunchReport {
    return {
      launchId: `l-${workerId}`,
      workerId,
      pool: "",
      facts: {
        command: "node worker.js",
        hostname: "box",
        pid: 7,
        supervisor: "muster run (pid 6)",
        startNumber: 1,
        registerTimeoutMs: 90_000,
        lastError: "",
      },
      phases: [phase("boot")],
      ageMs: 1_000,
      ...fields,
    };
  }

  function exit(workerId: string, reason: LaunchEndReason, fields: Partial<LaunchExit> = {}): LaunchExit {
    const { ageMs: _, ...launch } = report(workerId);
    return {
      ...launch,
      exit: {
        exitCode: 3,
        signal: "",
        outOfMemory: false,
        outOfMemoryEvidence: "",
        startError: "",
        stopRequested: false,
        ranForMs: 2_000,
      },
      logTail: `the end of ${workerId}`,
      restartInMs: undefined,
      endedForMs: 500,
      classify: () => ({ reason, event: "worker.launch_failed", attributes: { reason } }),
      ...fields,
    };
  }

  async function register(
    workerId: string,
    hello: Partial<ReturnType<typeof sessionOpen>["hello"]> = {},
    schedulerId = "a",
  ): Promise<number> {
    const open = sessionOpen(workerId, randomUUID());
    const opens = [{ ...open, hello: { ...open.hello, ...hello } }];
    const [opened] = await one.openSessions(opens, schedulerId, LONG_MS);
    assert.ok(opened);
    return opened.sessionId;
  }

  const silence = (workerId: string) =>
    fixture.db.query("update launch set report_time = now() - interval '1 minute' where worker_id = $1", [
      workerId,
    ]);
  const eventsOf = async (workerId: string) =>
    (
      await fixture.db.query<{ name: string }>("select name from event where worker_id = $1 order by id", [
        workerId,
      ])
    ).map(({ name }) => name);

  it("a report is new once, at whichever scheduler, and phases only grow", async () => {
    const first = await one.reportLaunches([report("w")]);
    assert.deepEqual(first, [{ isNew: true, knownPhases: 0, ...UNREGISTERED }]);
    const more = report("w", { phases: [phase("boot"), phase("scheduler_connecting", 40)] });
    assert.deepEqual(await two.reportLaunches([more]), [{ isNew: false, knownPhases: 1, ...UNREGISTERED }]);
    // One that was overtaken takes nothing back.
    assert.deepEqual(await one.reportLaunches([report("w")]), [
      { isNew: false, knownPhases: 2, ...UNREGISTERED },
    ]);
    const [launch] = await two.waitingLaunches(10);
    assert.deepEqual(
      launch?.phases.map((each) => each.phase),
      ["boot", "scheduler_connecting"],
    );
    assert.deepEqual(await eventsOf("w"), ["worker.launched"]);
  });

  it("of one launch in a batch the latest report counts, and every report is answered", async () => {
    const reports = [report("w"), report("v"), report("w", { phases: [phase("boot"), phase("registered")] })];
    const answers = await one.reportLaunches(reports);
    assert.equal(answers.length, 3);
    const [waiting] = await one.waitingLaunches(1);
    assert.equal(waiting?.workerId, "v", "oldest first: rows are written in the order of their ids");
    assert.equal((await one.getWorker("w"))?.launch?.phases.length, 2);
  });

  it("racing reports of two schedulers make one launch and one event", async () => {
    const rounds = Array.from({ length: 40 }, (_, n) =>
      (n % 2 === 0 ? one : two).reportLaunches(
        // In opposite orders, which would deadlock if the statement did not sort.
        n % 4 < 2 ? [report("x"), report("y")] : [report("y"), report("x")],
      ),
    );
    const answers = (await Promise.all(rounds)).flat();
    assert.equal(answers.filter(({ isNew }) => isNew).length, 2);
    assert.deepEqual(await eventsOf("x"), ["worker.launched"]);
  });

  it("the first end counts; a later one may only take the restart back", async () => {
    await one.reportLaunches([report("w")]);
    const ended = await one.endLaunch(exit("w", "launch_failed", { restartInMs: 10_000 }));
    assert.deepEqual(ended, { isNew: true, reason: "launch_failed", requeued: 0, livingSessions: [] });
    const again = await two.endLaunch(exit("w", "killed", { logTail: "another story" }));
    assert.deepEqual([again.isNew, again.reason], [false, "launch_failed"]);
    const record = await two.getWorker("w");
    assert.equal(record?.launch?.end?.logTail, "the end of w");
    assert.equal(record?.launch?.end?.restartTime, undefined, "called off");
    assert.deepEqual(await eventsOf("w"), ["worker.launched", "worker.launch_failed"]);
    // A report that comes late does not bring it back to life.
    assert.deepEqual(await one.reportLaunches([report("w")]), [
      { isNew: false, knownPhases: 1, ...UNREGISTERED },
    ]);
    assert.deepEqual(await one.waitingLaunches(10), []);
  });

  it("a notice of the end of its machine is one event, and stays when a report without it comes late", async () => {
    const notice = {
      source: "aws",
      event: "terminate",
      detail: "at noon",
      receivedAfterMs: 500,
      endAfterMs: 120_500,
    };
    const { facts } = report("w");
    const noticed = report("w", { facts: { ...facts, notice } });
    await one.reportLaunches([report("w")]);
    const session = await register("w", { launchId: "l-w" });
    const [first] = await one.reportLaunches([noticed]);
    assert.deepEqual([first?.noticed, first?.session], [false, { id: session, draining: false }]);
    await one.recordStartup(session, [phase("ready")], true, true);
    const [again] = await two.reportLaunches([noticed]);
    assert.deepEqual([again?.noticed, again?.session], [true, { id: session, draining: true }]);
    await two.reportLaunches([report("w")]);
    assert.deepEqual((await one.getWorker("w"))?.launch?.notice, notice);
    assert.deepEqual(await eventsOf("w"), ["worker.launched", "worker.registered", "worker.machine_notice"]);
    const [event] = await fixture.db.query<{ attributes: object }>(
      "select attributes from event where name = 'worker.machine_notice'",
    );
    assert.deepEqual(event?.attributes, {
      ...{ launch_id: "l-w", source: "aws", event: "terminate", detail: "at noon", ends_in_ms: "120000" },
    });
    // An advice has no end.
    const advice = { source: "aws", event: "rebalance", detail: "", receivedAfterMs: 1 };
    await one.reportLaunches([report("v", { facts: { ...facts, notice: advice } })]);
    assert.deepEqual(await eventsOf("v"), ["worker.launched", "worker.machine_notice"]);
  });

  it("a request to end it is given to whichever scheduler its supervisor reports to, until it has ended", async () => {
    await one.reportLaunches([report("w"), report("other")]);
    const request = { reason: "hangs (by ada)", graceMs: 10_000, restart: false };
    const stop = await one.requestStop("l-w", request);
    assert.deepEqual({ ...stop, time: undefined }, { ...request, number: 1, time: undefined });
    const again = await two.requestStop("l-w", { ...request, graceMs: 0, restart: true });
    assert.deepEqual([again?.number, again?.graceMs, again?.restart], [2, 0, true]);
    const answers = await two.reportLaunches([report("w"), report("other")]);
    assert.deepEqual(
      answers.map((answer) => answer.stop),
      [again, undefined],
    );
    assert.deepEqual(await two.openStops(), [{ launchId: "l-w", stop: again }]);
    assert.deepEqual((await one.getWorker("w"))?.launch?.stop, again);
    assert.deepEqual(await eventsOf("w"), [
      "worker.launched",
      "worker.kill_requested",
      "worker.kill_requested",
    ]);
    await one.endLaunch(exit("w", "finished"));
    assert.deepEqual(await two.openStops(), []);
    assert.equal(await two.requestStop("l-w", request), undefined);
    assert.equal(await two.requestStop("l-unknown", request), undefined);
    assert.equal((await two.reportLaunches([report("w")]))[0]?.stop, undefined);
  });

  it("an end whose start was never reported is a launch, dated back by how late it comes", async () => {
    await two.endLaunch(exit("late", "launch_failed", { endedForMs: 60_000 }));
    const launch = (await one.getWorker("late"))?.launch;
    const now = await one.databaseTime();
    assert.ok(launch?.end);
    const ago = now.getTime() - launch.end.time.getTime();
    assert.ok(ago >= 60_000 && ago < 70_000, `${ago} ms ago`);
    assert.equal(launch.end.time.getTime() - launch.launchTime.getTime(), 2_000);
  });

  it("an end names the living sessions of its process, wherever they are, and sums up what was requeued", async () => {
    await one.reportLaunches([report("w")]);
    const session = await register("w", { launchId: "l-w" }, "b");
    assert.deepEqual(await two.reportLaunches([report("w")]), [
      {
        ...{ isNew: false, knownPhases: 1, registered: true, noticed: false },
        session: { id: session, draining: false },
      },
    ]);
    assert.deepEqual(await one.waitingLaunches(10), [], "it has registered");
    const ended = await two.endLaunch(exit("w", "killed"));
    assert.deepEqual(ended.livingSessions, [session]);
    assert.equal(await one.addRequeued("l-w", 2), 2);
    assert.equal(await two.addRequeued("l-w", 1), 3);
    assert.equal((await two.endLaunch(exit("w", "killed"))).requeued, 3);
    assert.equal(await one.addRequeued("no-such-launch", 4), 4);
  });

  it("silence ends a launch unless a session of it lives; a word takes it up again", async () => {
    await one.reportLaunches([report("silent"), report("lives"), report("speaks")]);
    await register("lives", { launchId: "l-lives" });
    await silence("silent");
    await silence("lives");
    const asOf = await one.databaseTime();
    const minuteAgo = new Date(asOf.getTime() - 60_000);
    assert.deepEqual(
      await one.giveUpLaunches(minuteAgo, 30_000, 10),
      [],
      "no time counts after the judgement's",
    );
    const given = (
      await Promise.all([one.giveUpLaunches(asOf, 30_000, 10), two.giveUpLaunches(asOf, 30_000, 10)])
    ).flat();
    assert.deepEqual(
      given.map(({ launchId, lastPhase }) => [launchId, lastPhase]),
      [["l-silent", "boot"]],
    );
    assert.ok((given[0]?.silentMs ?? 0) >= 60_000);
    assert.deepEqual(await eventsOf("silent"), ["worker.launched", "worker.lost"]);
    assert.equal((await one.getWorker("silent"))?.launch?.end?.reason, "lost");
    assert.deepEqual(
      (await one.waitingLaunches(10)).map(({ workerId }) => workerId),
      ["speaks"],
    );
    await two.reportLaunches([report("silent")]);
    assert.equal((await one.getWorker("silent"))?.launch?.end, undefined);
    assert.equal((await one.waitingLaunches(10)).length, 2);
  });

  it("lists what failed lately, until its worker is started again or has registered", async () => {
    const failed = async () =>
      (
        await one.listLaunches({
          workerId: undefined,
          pool: undefined,
          beforeId: undefined,
          failedWithinMs: 600_000,
          limit: 10,
        })
      ).map(({ workerId }) => workerId);
    for (const id of ["fails", "finishes", "long-ago", "again", "back"])
      await one.endLaunch(exit(id, id === "finishes" ? "finished" : "launch_failed"));
    await fixture.db.query(
      "update launch set launch_time = launch_time - interval '1 h', end_time = end_time - interval '1 h' where worker_id = 'long-ago'",
    );
    assert.deepEqual(await failed(), ["back", "again", "fails"]);
    await one.reportLaunches([report("again", { launchId: "l-again-2" })]);
    await register("back");
    assert.deepEqual(await failed(), ["fails"]);
  });

  it("knows what workers of an id or a pool served when they last registered", async () => {
    const types = (...names: string[]) => names.map((type) => ({ type, concurrency: 0 }));
    await register("w-1", { pool: "gpu", types: types("old") });
    await register("w-1", { pool: "gpu", types: types("ocr", "llm"), queues: ["night"] });
    await register("w-2", { pool: "gpu", types: types("embed") });
    await register("w-3", { pool: "cpu", types: types("zip") });
    await register("w-4", { types: types("none") });
    const known = async (workerId: string, pool: string) =>
      (await two.servedBefore([{ workerId, pool }])).map(
        (each) => `${each.workerId}: ${each.types.join("+")}`,
      );
    assert.deepEqual(await known("new", "gpu"), ["w-1: ocr+llm", "w-2: embed"]);
    assert.deepEqual(await known("w-3", ""), ["w-3: zip"], "no pool is not a pool");
    assert.deepEqual(await known("new", ""), []);
    assert.deepEqual(await two.servedBefore([{ workerId: "w-1", pool: "" }]), [
      { workerId: "w-1", pool: "gpu", types: ["ocr", "llm"], queues: ["night"] },
    ]);
    assert.deepEqual(await two.servedBefore([]), []);
  });
});
