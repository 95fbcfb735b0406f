import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { madeBeat } from "../../domain/testing/made-records.ts";
import { Tally } from "../../telemetry/metrics/tally.ts";
import { madeSession } from "../testing/made-session.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { SessionReportHandler } from "./session-report-handler.ts";
import { StartupRecorder } from "./startup-recorder.ts";

const FATAL = { phase: "run", exceptionClass: "E", exceptionMessage: "m", traceback: "", exitCode: 1 };

function setUp(options: { ready?: boolean; failWith?: Error } = {}) {
  const session = madeSession({ types: { t: 0 }, slots: 2, ready: options.ready ?? true });
  const { log, events } = recordedLog();
  const appended: string[] = [];
  const written: unknown[] = [];
  const terminated: string[] = [];
  const seen = { pumps: 0, changes: 0 };
  const workerPauses = new Tally(10);
  const eventWriter = { appendEvent: ({ name }: { name: string }) => void appended.push(name) };
  const startup = new StartupRecorder({
    store: {
      recordStartup: async (_, phases, ready, draining) => {
        if (options.failWith) throw options.failWith;
        written.push([phases.map(({ phase }) => phase), ready, draining]);
      },
    },
    eventWriter,
    log,
  });
  const handler = new SessionReportHandler({
    classes: {
      change: (_, change) => {
        seen.changes++;
        change();
      },
    },
    dispatcher: { pump: () => void seen.pumps++ },
    terminator: { terminateSession: async (_, reason) => void terminated.push(reason) },
    startup,
    slotReports: { noteBeat: () => {} },
    eventWriter,
    clock: { monotonic: () => 9 },
    log,
    counters: { heartbeats: 0, workerPauses },
  });
  return { session, handler, seen, events, appended, written, terminated, workerPauses };
}

const phase = (name: string) => ({ phase: name, outcome: "ok", elapsedMs: 3, attributes: {} }) as never;

describe("a worker's report of itself", () => {
  it("that changes what it may be assigned makes the dispatcher run, and no other", () => {
    const { session, handler, seen } = setUp();
    const runs = (beat: Parameters<typeof madeBeat>[0]) => {
      const before = seen.pumps;
      handler.handleHeartbeat(session, madeBeat(beat));
      return seen.pumps - before;
    };
    assert.equal(runs({}), 0);
    assert.equal(runs({ paused: true }), 0);
    assert.equal(runs({}), 1, "it is no longer paused");
    session.linger({ key: { taskId: 1, epoch: 1 }, type: "t", cost: undefined, since: 0, reason: "revoked" });
    assert.equal(runs({}), 1, "a revoked handler has returned");
    assert.equal(runs({ resources: ["model:x"] }), 1);
    assert.equal(runs({ resources: ["model:x"] }), 0, "the same resources");
    assert.deepEqual([seen.changes, [...session.resources], session.lastBeatAt], [1, ["model:x"], 9]);
  });

  it("that it pauses is recorded and counted once, by what it measured, and so is the end", () => {
    const { session, handler, appended, workerPauses } = setUp();
    const pressures = [{ measure: "memory", detail: "97 %", value: 0.97, high: 0.9, low: 0.8, ageMs: 0 }];
    for (const value of [0.97, 0.95])
      handler.handleHeartbeat(session, madeBeat({ paused: true, pauseReason: `memory ${value}`, pressures }));
    handler.handleHeartbeat(session, madeBeat({}));
    handler.handleHeartbeat(session, madeBeat({ paused: true, pauseReason: "its program says so" }));
    assert.deepEqual(appended, ["worker.paused", "worker.resumed", "worker.paused"]);
    const counts = Object.fromEntries(workerPauses);
    assert.deepEqual([counts.memory, counts.program], [1, 1]);
  });

  it("that a requested resource is loaded ends the request, and is recorded", () => {
    const { session, handler, appended } = setUp();
    session.noteAsk("model:x", 1);
    handler.handleHeartbeat(session, madeBeat({ resources: ["model:x"] }));
    assert.deepEqual([session.asks.size, appended], [0, ["resource.loaded"]]);
  });

  it("that its startup is over makes it ready once", async () => {
    const { session, handler, seen, written, appended } = setUp({ ready: false });
    await handler.handleStartupPhase(session, phase("model"));
    assert.deepEqual([session.ready, seen.pumps], [false, 0]);
    await handler.handleStartupPhase(session, phase("ready"));
    await handler.handleStartupPhase(session, phase("ready"));
    assert.deepEqual([session.ready, seen.pumps], [true, 1]);
    assert.deepEqual(written.at(-1), [["model", "ready", "ready"], true, false]);
    assert.equal(appended.length, 3);
  });

  it("of a startup phase beyond the first 200 is not kept, save the end of the startup", async () => {
    const { session, handler } = setUp({ ready: false });
    for (let count = 0; count < 210; count++) await handler.handleStartupPhase(session, phase("step"));
    assert.equal(session.phases.length, 200);
    await handler.handleStartupPhase(session, phase("ready"));
    assert.deepEqual([session.phases.length, session.ready], [201, true]);
  });

  it("that the database does not take is noted as unwritten only while the database is away", async () => {
    for (const [error, unwritten] of [
      [new DatabaseUnavailableError("away", false, undefined), true],
      [new Error("refused"), false],
    ] as const) {
      const { session, handler } = setUp({ failWith: error });
      await assert.rejects(handler.handleDraining(session, "SIGTERM"), error);
      assert.deepEqual([session.startupUnwritten, session.draining], [unwritten, true]);
    }
  });

  it("of a drain, a goodbye or a fatal error counts once", async () => {
    const { session, handler, terminated, appended, events } = setUp();
    for (let time = 0; time < 2; time++) {
      await handler.handleDraining(session, "SIGTERM");
      await handler.handleFatal(session, FATAL);
      await handler.handleGoodbye(session, "done");
    }
    assert.deepEqual(terminated, ["fatal", "finished"]);
    assert.deepEqual(appended, ["worker.draining"]);
    assert.deepEqual(events, ["worker.draining", "worker.fatal", "worker.goodbye"]);
    assert.equal(session.fatal, FATAL);
  });
});
