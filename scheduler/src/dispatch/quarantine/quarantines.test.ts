import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { FleetMember } from "../../domain/explain/fleet.ts";
import { removedBy, type TaskClass } from "../../domain/matching/match.ts";
import { MatchLog } from "../../domain/matching/match-log.ts";
import type { Mode } from "../../domain/mechanisms/mechanism.ts";
import { WaitingWindow } from "../../domain/tasks/window.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import type { Attempt } from "../attempts/attempt.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { Quarantines } from "./quarantines.ts";

const TYPE = "t";
const SUCCESS = {
  kind: "succeeded",
  output: new Uint8Array(),
  contentType: "",
  warnings: [],
} as const;
const FAILURE = {
  kind: "failed",
  failure: { failureClass: "retryable", code: "CUDA", message: "no device" },
} as const;

const CLASS: TaskClass = {
  id: 1,
  queue: "default",
  type: TYPE,
  requirements: { labels: {}, resources: [] },
};

/** Two workers of this scheduler; what is written, sent to workers and logged, in order. */
function setUp(classes: readonly TaskClass[] = [CLASS], mode: { now: Mode } = { now: "act" }) {
  const clock = new ManualClock();
  const registry = new Registry();
  const { log, events } = recordedLog();
  const written: string[] = [];
  let outage = false;
  const inDatabase = new Set<number>();
  const write = async (what: string) => {
    if (outage) throw new Error("the database is away");
    written.push(what);
  };
  const join = (id: number): Session => {
    const session = madeSession({ id, types: { [TYPE]: 0 }, slots: 100 });
    registry.add(session);
    return session;
  };
  const member = (session: Session) =>
    ({
      record: { sessionId: session.id },
      state: session.ready ? "ready" : "suspect",
      candidate: session,
      elsewhere: false,
    }) as unknown as FleetMember;
  const entries = classes.map(
    (taskClass): ClassEntry => ({
      taskClass,
      window: new WaitingWindow(),
      mayHaveMore: true,
      floor: undefined,
      eligible: [],
      lowSize: 0,
      shape: "",
      turn: 0,
      log: new MatchLog(),
      usedAt: 0,
      parked: false,
    }),
  );
  const quarantines = new Quarantines({
    store: {
      beginQuarantine: async (id, _, { failed, finished }, probeMs) => {
        await write(`begin ${id} ${failed}/${finished} ${probeMs}`);
        inDatabase.add(id);
      },
      extendQuarantine: (id, { failedProbes }, probeMs) => write(`extend ${id} ${failedProbes} ${probeMs}`),
      endQuarantines: async (ids, reason) => {
        await write(`end ${ids.join()} ${reason}`);
        for (const id of ids) inDatabase.delete(id);
      },
      quarantinedSessions: async (ids) => ids.filter((id) => inDatabase.has(id)),
      quarantinedSessionsOf: async () => [...inDatabase],
      quarantinedWorkers: async () => [],
      databaseTime: async () => new Date(clock.now()),
      leaseHolders: async () => new Map([[1, "other"]]),
      notify: async (hint) => void written.push(`hint ${JSON.stringify(hint)}`),
    },
    registry,
    classes: { all: () => entries },
    fleet: { own: () => [...registry.all()].map(member), elsewhere: async () => [] },
    peers: { count: 0 },
    dispatcher: { pump: () => void written.push("pump"), pumpSoon: () => undefined },
    counters: { quarantines: 0 },
    mechanisms: {
      mode: () => mode.now,
      observed: ({ mechanism, would, reason }, { workerId }) =>
        void events.push(`${mechanism} ${would} ${workerId}: ${reason}`),
    },
    clock,
    log,
    settings: { minSamples: 10, windowMs: 60_000, probeMs: 1_000 },
    schedulerId: "self",
  });
  const [bad, good] = [join(1), join(2)];
  const report = (session: Session, outcome: typeof SUCCESS | typeof FAILURE, count = 1) => {
    for (let n = 0; n < count; n++) quarantines.reported(session, sent(), outcome, clock.monotonic());
  };
  /** An attempt that was assigned just now. */
  const sent = () => Object.assign(madeAttempt(), { sentAt: clock.monotonic() });
  return {
    ...{ quarantines, clock, bad, good, report, sent, written, events, registry, join },
    setOutage: (away: boolean) => {
      outage = away;
    },
    release: (id: number) => inDatabase.delete(id),
    /** Until the first worker is quarantined. */
    quarantine: async () => {
      report(bad, FAILURE, 10);
      report(good, SUCCESS, 10);
      await quarantines.runOnce();
      assert.ok(bad.quarantine);
      written.length = 0;
    },
  };
}

describe("quarantines", () => {
  it("quarantine a worker after enough attempts, and only the one that fails", async () => {
    const { quarantines, bad, good, report, written, events, clock } = setUp();
    report(good, SUCCESS, 10);
    report(bad, FAILURE, 9);
    await quarantines.runOnce();
    assert.equal(bad.quarantinedUntil, 0);
    report(bad, FAILURE);
    await quarantines.runOnce();
    assert.deepEqual([bad.quarantinedUntil, good.quarantine], [clock.monotonic() + 1_000, undefined]);
    assert.deepEqual(written, ["begin 1 10/10 1000"]);
    assert.deepEqual(events, ["worker.quarantined"]);
    assert.equal(bad.quarantine?.record.errors.at(-1)?.code, "CUDA");
  });

  it("leave the worker in the modes observe and off, and record it once while it fails", async () => {
    const { quarantines, bad, good, report, written, events, clock } = setUp([CLASS], { now: "observe" });
    for (let run = 0; run < 3; run++) {
      report(good, SUCCESS, 10);
      report(bad, FAILURE, 10);
      await quarantines.runOnce();
      await clock.pass(1_000);
    }
    assert.deepEqual([written, bad.quarantine], [[], undefined]);
    const record =
      "quarantine quarantine w-1: 10 of 10 attempts failed (100 %) within 60 s, at its 1 peer 0 of 10 (0 %)";
    assert.deepEqual(events, [record]);
    await clock.pass(400_000);
    await quarantines.runOnce();
    report(good, SUCCESS, 10);
    report(bad, FAILURE, 10);
    await quarantines.runOnce();
    assert.deepEqual(events, [record, record], "it had recovered between");
    const off = setUp([CLASS], { now: "off" });
    off.report(off.good, SUCCESS, 10);
    off.report(off.bad, FAILURE, 10);
    await off.quarantines.runOnce();
    assert.deepEqual([off.written, off.events], [[], []]);
  });

  it("end what was quarantined in mode act when the mode is another", async () => {
    const mode: { now: Mode } = { now: "act" };
    const { quarantine, quarantines, bad, written, events } = setUp([CLASS], mode);
    await quarantine();
    mode.now = "observe";
    await quarantines.runOnce();
    assert.equal(bad.quarantine, undefined);
    assert.deepEqual([written, events.at(-1)], [["end 1 switched_off"], "worker.quarantine_ended"]);
  });

  it("leave all of them when the tasks are at fault, also when every worker is compared again and again", async () => {
    const { quarantines, bad, good, report, written, clock } = setUp();
    for (let run = 0; run < 5; run++) {
      report(bad, FAILURE, 20);
      report(good, FAILURE, 20);
      await quarantines.runOnce();
      await clock.pass(1_000);
    }
    assert.deepEqual(written, []);
  });

  it("count rejections, and neither cancelled attempts nor what the worker was asked to reject", async () => {
    const { quarantines, bad, good, report, sent, clock } = setUp();
    report(good, SUCCESS, 10);
    const cancelled = Object.assign(madeAttempt({ cancelReason: "not needed" }), { sentAt: 0 });
    for (let n = 0; n < 10; n++) {
      quarantines.rejected(bad, sent(), "paused", "", clock.monotonic());
      quarantines.reported(bad, cancelled, FAILURE, clock.monotonic());
    }
    await quarantines.runOnce();
    assert.equal(bad.quarantinedUntil, 0);
    for (let n = 0; n < 10; n++) quarantines.rejected(bad, sent(), "no_slot", "", clock.monotonic());
    await quarantines.runOnce();
    assert.equal(bad.quarantine?.record.errors[0]?.code, "REJECTED_NO_SLOT");
  });

  it("never take the last worker of a class that is in use, and give it back when the others leave", async () => {
    const own = { ...CLASS, id: 2, requirements: { labels: { gpu: "a100" }, resources: [] } };
    const labelled = setUp([CLASS, own]);
    Object.assign(labelled.bad, { labels: { gpu: "a100" } });
    labelled.report(labelled.bad, FAILURE, 10);
    labelled.report(labelled.good, SUCCESS, 10);
    await labelled.quarantines.runOnce();
    assert.equal(labelled.bad.quarantine, undefined);

    const { quarantine, quarantines, bad, good, registry, written, events } = setUp();
    await quarantine();
    good.drop(0);
    await quarantines.runOnce();
    assert.ok(bad.quarantine, "the other one may be back in a moment");
    good.end();
    registry.remove(good);
    await quarantines.runOnce();
    assert.equal(bad.quarantine, undefined);
    assert.deepEqual([written, events.at(-1)], [["end 1 last_worker"], "worker.quarantine_ended"]);
  });

  it("probe again after longer waits while probes fail, and end with the first that succeeds", async () => {
    const { quarantine, quarantines, bad, report, clock, written } = setUp();
    await quarantine();
    await clock.pass(999);
    await quarantines.runOnce();
    assert.deepEqual(written, []);
    await clock.pass(1);
    await quarantines.runOnce();
    assert.deepEqual(written.splice(0), ["pump"]);
    report(bad, FAILURE);
    assert.equal(bad.quarantinedUntil, clock.monotonic() + 2_000);
    await clock.pass(2_000);
    report(bad, FAILURE);
    assert.equal(bad.quarantinedUntil, clock.monotonic() + 4_000);
    await clock.pass(4_000);
    report(bad, SUCCESS);
    assert.equal(bad.quarantine, undefined);
    await quarantines.runOnce();
    assert.deepEqual(written, ["extend 1 1 2000", "extend 1 2 4000", "end 1 probe_succeeded"]);
    assert.equal(bad.outcomes.totals(clock.monotonic()).size, 0, "what it failed before counts no longer");
  });

  it("let a worker that fails everything have the probes that its waits allow, one at a time, and no more", async () => {
    const step = fc.oneof(
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 1_000 }) },
      { weight: 3, arbitrary: fc.constantFrom("assign", "end") },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 200, size: "max" }), async (steps) => {
        const { quarantine, quarantines, bad, clock } = setUp();
        await quarantine();
        const began = clock.monotonic();
        const held: Attempt[] = [];
        let probes = 0;
        for (const what of steps) {
          if (typeof what === "number") {
            await clock.pass(what);
            await quarantines.runOnce();
          } else if (what === "end") {
            const ending = held.shift();
            if (!ending) continue;
            bad.release(ending, clock.monotonic());
            quarantines.reported(bad, ending, FAILURE, clock.monotonic());
          } else if (removedBy(CLASS, bad, clock.monotonic()) === undefined) {
            const attempt = Object.assign(madeAttempt({ taskId: ++probes }), { sentAt: clock.monotonic() });
            bad.hold(attempt, false);
            held.push(attempt);
          }
          // 1, 2, 4, ... seconds before each of them.
          const allowed = Math.floor(Math.log2((clock.monotonic() - began) / 1_000 + 1));
          assert.ok(probes <= allowed, `${probes} probes, ${allowed} are allowed`);
          assert.ok(held.length <= 1, "one at a time");
        }
      }),
      { numRuns: 200 },
    );
  });

  it("ignore what was assigned before the quarantine", async () => {
    const { quarantine, quarantines, bad, sent, clock } = setUp();
    const before = sent();
    await clock.pass(1);
    await quarantine();
    const until = bad.quarantinedUntil;
    quarantines.reported(bad, before, SUCCESS, clock.monotonic());
    quarantines.reported(bad, before, FAILURE, clock.monotonic());
    assert.equal(bad.quarantinedUntil, until);
  });

  it("are written in their order once the database is back, and decided without it", async () => {
    const { quarantines, bad, good, report, clock, written, setOutage } = setUp();
    report(bad, FAILURE, 10);
    report(good, SUCCESS, 10);
    setOutage(true);
    await assert.rejects(quarantines.runOnce());
    await clock.pass(1_000);
    report(bad, SUCCESS);
    assert.equal(bad.quarantine, undefined);
    await clock.pass(1);
    setOutage(false);
    await quarantines.runOnce();
    assert.deepEqual(written, ["begin 1 10/10 1000", "end 1 probe_succeeded"]);
  });

  it("end when an operator asks, here and at the scheduler that holds the worker", async () => {
    const here = setUp();
    await here.quarantine();
    await here.quarantines.release("w-1", "repaired (by ada)");
    assert.equal(here.bad.quarantine, undefined);
    assert.deepEqual(here.written, ["end 1 released", 'hint {"kind":"command","schedulerId":"other"}']);

    const there = setUp();
    await there.quarantine();
    await there.quarantines.refresh();
    assert.ok(there.bad.quarantine);
    there.release(1);
    await there.quarantines.refresh();
    assert.equal(there.bad.quarantine, undefined);
  });
});
