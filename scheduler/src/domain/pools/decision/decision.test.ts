import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  idle,
  known,
  madeFacts,
  madeObservation,
  madePool,
  madeSession,
  madeSpec,
  madeSupervised,
  NOW_MS,
} from "../../testing/made-pools.ts";
import { NEW_GUARD } from "../guard.ts";
import { plannedSteps } from "../plan.ts";
import type { KnownLaunch } from "../pool-launch.ts";
import { decide } from "./decision.ts";
import type { LaunchChange } from "./pool-decision.ts";

const EXITED = madeObservation({ phase: "ended", exitCode: 1, logTail: "boom" });

const kinds = (changes: readonly LaunchChange[]) =>
  changes.map(
    (change) => `${change.launch.launchId} ${change.kind === "ended" ? change.outcome : change.kind}`,
  );

describe("launches that are decided", () => {
  it("are as many as are missing, with the reason", () => {
    const { launches, limits } = decide(madeFacts({ waiting: 2 }));
    assert.deepEqual(
      launches.map(({ reason, probe }) => [reason, probe]),
      Array.from({ length: 2 }, () => ["2 tasks could start and wait for a worker", false]),
    );
    assert.deepEqual(limits, []);
  });

  it("are none for work that launches on their way will take", () => {
    assert.deepEqual(
      decide(madeFacts({ waiting: 2, open: [known(), known({ launchId: "gpu-2" })] })).launches,
      [],
    );
  });

  it("stop at the maximum, those that are stopping counted, and at the most that may start at once", () => {
    const stopping = known({
      launchId: "gpu-9",
      readyMs: 1,
      stop: { kind: "scale_down", reason: "", atMs: NOW_MS, endMs: NOW_MS },
    });
    const full = decide(madeFacts({ waiting: 50, open: [stopping] }));
    assert.equal(full.launches.length, 4);
    assert.deepEqual(full.limits, [{ code: "POOL_AT_MAX", text: "1 of at most 5 processes exist" }]);
    const slow = decide(
      madeFacts({ pool: madePool({ spec: madeSpec({ maxStarting: 2 }) }), waiting: 5, open: [known()] }),
    );
    assert.equal(slow.launches.length, 1);
    assert.deepEqual(slow.limits, [{ code: "STARTING_LIMIT", text: "1 of at most 2 launches are starting" }]);
  });

  it("are none above the maximum, which is named as long as the work alone would want more", () => {
    const busy = (n: number) => idle(`gpu-${n}`, 0, { held: 1, idleMs: undefined });
    const full = decide(madeFacts({ waiting: 1, open: [1, 2, 3, 4, 5].map(busy) }));
    assert.deepEqual(
      [full.launches, full.limits],
      [[], [{ code: "POOL_AT_MAX", text: "5 of at most 5 processes exist" }]],
    );
    const enough = decide(madeFacts({ waiting: 0, open: [1, 2, 3, 4, 5].map(busy) }));
    assert.deepEqual(enough.limits, []);
  });

  it("need a launcher, and a pool that is not paused", () => {
    const gone = { id: "host-1", session: "s", hostname: "host", untilMs: NOW_MS - 5_000 };
    const without = decide(madeFacts({ pool: madePool({ launcher: gone }), waiting: 1 }));
    assert.deepEqual(without.limits, [
      { code: "NO_LAUNCHER", text: "launcher host-1 was last connected 5 s ago" },
    ]);
    assert.deepEqual(without.launches, []);
    const pause = { reason: "maintenance", atMs: 0 };
    const paused = decide(madeFacts({ pool: madePool({ pause }), waiting: 1, open: [idle("gpu-1", 1e9)] }));
    assert.deepEqual([paused.launches, paused.changes], [[], []]);
  });

  it("are not made in place of failed starts while none has succeeded, beyond what the guard needs", () => {
    const samples = [{ atMs: NOW_MS, launchId: "gpu-0", cause: "EXITED" }];
    const memory = { guard: { ...NEW_GUARD, samples }, wanted: [] };
    const one = decide(madeFacts({ pool: madePool({ memory }), waiting: 5, open: [known()] }));
    assert.equal(one.launches.length, 1, "1 failed, 1 is starting, and 3 decide");
    assert.deepEqual(one.limits, [
      { code: "STARTING_LIMIT", text: "1 start failed and none has succeeded; 1 launch is starting" },
    ]);
    const all = decide(
      madeFacts({ pool: madePool({ memory }), waiting: 5, open: [known(), known({ launchId: "gpu-2" })] }),
    );
    assert.deepEqual(all.launches, []);
    const proven = [known(), idle("gpu-2", 0, { held: 1, idleMs: undefined })];
    assert.equal(
      decide(madeFacts({ pool: madePool({ memory }), waiting: 5, open: proven })).launches.length,
      3,
    );
  });

  it("make up the minimum without any work", () => {
    const { launches } = decide(madeFacts({ pool: madePool({ spec: madeSpec({ minWorkers: 2 }) }) }));
    assert.deepEqual(
      launches.map(({ reason }) => reason),
      ["the pool has a minimum of 2 workers", "the pool has a minimum of 2 workers"],
    );
  });
});

describe("a ready worker that never accepts", () => {
  const wedged = (launchId: string, session: Parameters<typeof madeSession>[0] = {}) =>
    idle(launchId, 5_000, { unaccepted: 3, loopAgeMs: 40_000, ...session });

  it("is ended and replaced, and its launch is a failed start with its cause", () => {
    const open = [wedged("gpu-1"), idle("gpu-2", 0, { held: 1, idleMs: undefined })];
    const { changes, guard, launches } = decide(madeFacts({ open, waiting: 1 }));
    assert.deepEqual(kinds(changes), ["gpu-1 stop"]);
    const [change] = changes;
    assert.ok(change?.kind === "stop");
    assert.deepEqual([change.stop.kind, change.stop.endMs, change.drain], ["never_accepts", NOW_MS, 7]);
    assert.match(
      change.stop.diagnosis?.summary ?? "",
      /^it became ready, and did not accept 3 assignments in a row in time; its main loop has not run for 40 s$/,
    );
    assert.deepEqual(
      guard.samples.map(({ launchId, cause }) => [launchId, cause]),
      [["gpu-1", "NEVER_ACCEPTS"]],
    );
    assert.equal(launches.length, 1);
    const { launch } = wedged("gpu-1");
    const ended = known(
      { ...launch, stop: change.stop, observation: EXITED },
      { session: madeSession({ live: false, goneMs: NOW_MS }) },
    );
    assert.deepEqual(kinds(decide(madeFacts({ open: [ended], waiting: 1 })).changes), ["gpu-1 failed_start"]);
  });

  it("is left alone while it holds something, drains, or has not left enough unanswered", () => {
    for (const session of [{ accepted: true }, { draining: true }, { live: false }, { unaccepted: 2 }])
      assert.deepEqual(
        decide(madeFacts({ open: [wedged("gpu-1", session)], waiting: 1 })).changes,
        [],
        JSON.stringify(session),
      );
  });

  it("costs at most 4 launches an hour when every one is like that", () => {
    let guard = NEW_GUARD;
    const orders: number[] = [];
    for (let at = 0; at < 4 * 3_600_000; at += 60_000) {
      const nowMs = NOW_MS + at;
      const pool = madePool({
        memory: { guard, wanted: [] },
        launcher: { id: "host-1", session: "s", hostname: "host", untilMs: nowMs + 1 },
      });
      const look = (open: readonly KnownLaunch[]) =>
        decide(madeFacts({ pool: { ...pool, memory: { guard, wanted: [] } }, open, waiting: 1, nowMs }));
      const { launches, guard: before } = look([]);
      guard = before;
      for (const { launchId: id } of launches) {
        const launchId = `${id}-${at}`;
        guard =
          guard.now.state === "half_open"
            ? { ...guard, now: { ...guard.now, probeLaunchId: launchId } }
            : guard;
        orders.push(nowMs);
        const launch = { launchId, orderMs: nowMs, sendMs: nowMs };
        guard = look([known(launch, { session: madeSession() })]).guard;
        guard = look([
          known({ ...launch, readyMs: nowMs }, { session: madeSession({ unaccepted: 3 }) }),
        ]).guard;
      }
    }
    const last = orders.filter((at) => at > NOW_MS + 2 * 3_600_000);
    assert.ok(orders.length >= 10 && orders.length <= 22, `${orders.length} in four hours`);
    assert.ok(last.length <= 8, `${last.length} in the last two hours`);
  });
});

describe("the end of a launch", () => {
  const outcome = (launch: KnownLaunch) => kinds(decide(madeFacts({ open: [launch] })).changes);

  it("before it is ready is a failed start, which the guard counts", () => {
    const { changes, guard } = decide(madeFacts({ open: [known({ observation: EXITED })] }));
    assert.deepEqual(kinds(changes), ["gpu-1 failed_start"]);
    assert.deepEqual(
      guard.samples.map(({ cause }) => cause),
      ["EXITED"],
    );
  });

  it("that was planned is not counted: a stop, a drain by an operator, an exit after work", () => {
    const stop = { kind: "scale_down" as const, reason: "", atMs: NOW_MS, endMs: NOW_MS };
    const exit = {
      exitCode: 0,
      signal: "",
      outOfMemory: false,
      outOfMemoryEvidence: "",
      startError: "",
      ranForMs: 1,
    };
    const end = { time: new Date(NOW_MS), restartTime: undefined, logTail: "", requeued: 0 };
    const asked = madeSupervised({
      end: { ...end, reason: "finished", exit: { ...exit, stopRequested: true } },
    });
    const done = madeSupervised({
      end: { ...end, reason: "finished", exit: { ...exit, stopRequested: false } },
    });
    const open = [
      known({ launchId: "gpu-1", stop, observation: EXITED }),
      known({ launchId: "gpu-2" }, { supervised: asked }),
      known({ launchId: "gpu-3", readyMs: 1 }, { supervised: done }),
    ];
    const { changes, guard } = decide(madeFacts({ open }));
    assert.deepEqual(kinds(changes), ["gpu-1 stopped", "gpu-2 finished", "gpu-3 finished"]);
    assert.equal(guard, NEW_GUARD);
  });

  it("that its engine decided is a loss, which the guard does not count: an eviction, a lost machine", () => {
    for (const reason of ["Evicted", "Preempted", "NodeLost", "NodeShutdown", "Deleted"]) {
      const { changes, guard } = decide(
        madeFacts({ open: [known({ observation: { ...EXITED, reason, exitCode: 137 } })] }),
      );
      assert.deepEqual(kinds(changes), ["gpu-1 lost"], reason);
      assert.equal(guard, NEW_GUARD);
    }
  });

  it("because its machine is taken away stops it without a drain of the pool's own, and starts another one beyond the maximum", () => {
    const notice = { source: "aws", event: "terminate", detail: "", receivedAfterMs: 0, endAfterMs: 120_000 };
    const supervised = { ...madeSupervised(), notice, launchTime: new Date(NOW_MS) };
    const leaving = known({ readyMs: 1 }, { session: madeSession(), supervised });
    const facts = madeFacts({
      open: [leaving],
      pool: madePool({ spec: madeSpec({ minWorkers: 1, maxWorkers: 1 }) }),
    });
    const { changes, launches, guard, limits } = decide(facts);
    assert.deepEqual(kinds(changes), ["gpu-1 stop"]);
    const [stop] = changes;
    assert.ok(stop?.kind === "stop");
    assert.deepEqual(
      [stop.stop.kind, stop.stop.reason, stop.drain],
      ["machine_ends", "aws ends its machine (terminate)", undefined],
    );
    assert.equal(launches.length, 1);
    assert.deepEqual(limits, []);
    assert.equal(guard, NEW_GUARD);
    // The drain of the scheduler that received the notice may be lost.
    const stopped = known({ readyMs: 1, stop: stop.stop }, { session: madeSession(), supervised });
    const [drain] = decide({ ...facts, open: [stopped] }).changes;
    assert.ok(drain?.kind === "drain");
    assert.equal(drain.timeoutMs, 110_000);
  });

  it("after it was ready is a loss, and no failed start", () => {
    const { changes, guard } = decide(madeFacts({ open: [known({ readyMs: 1, observation: EXITED })] }));
    assert.deepEqual(kinds(changes), ["gpu-1 lost"]);
    assert.equal(guard, NEW_GUARD);
    const brief = known(
      { observation: EXITED },
      { session: madeSession({ goneMs: NOW_MS, live: false, goneReason: "fatal" }) },
    );
    assert.deepEqual(outcome(brief), ["gpu-1 lost"], "it was ready for less time than between two looks");
  });

  it("is a failed start when it is not ready in time: counted once, and its process is ended", () => {
    const late = known({ sendMs: NOW_MS - 60_000 });
    const { changes, guard } = decide(madeFacts({ open: [late] }));
    assert.deepEqual(kinds(changes), ["gpu-1 stop"]);
    const [change] = changes;
    assert.ok(
      change?.kind === "stop" && change.stop.kind === "startup_timeout" && change.stop.endMs === NOW_MS,
    );
    assert.equal(guard.samples.length, 1);
    const after = known({ ...late.launch, stop: change.stop, observation: EXITED });
    const next = decide(madeFacts({ pool: madePool({ memory: { guard, wanted: [] } }), open: [after] }));
    assert.deepEqual(kinds(next.changes), ["gpu-1 failed_start"]);
    assert.equal(next.guard, guard, "counted once");
  });

  it("is recorded after ten minutes when nothing reports it", () => {
    const stop = { kind: "startup_timeout" as const, reason: "", atMs: 0, endMs: NOW_MS - 600_001 };
    assert.deepEqual(outcome(known({ stop })), ["gpu-1 failed_start"]);
    assert.deepEqual(outcome(known({ stop: { ...stop, endMs: NOW_MS - 500_000 } })), []);
  });

  it("of an earlier template does not count for the guard", () => {
    const pool = madePool({ templateVersion: 2 });
    const { changes, guard } = decide(madeFacts({ pool, open: [known({ observation: EXITED })] }));
    assert.deepEqual(kinds(changes), ["gpu-1 failed_start"]);
    assert.equal(guard, NEW_GUARD);
  });
});

describe("a ready launch", () => {
  it("is recorded once, and closes an open guard", () => {
    const open = [known({}, { session: madeSession() })];
    const suspended = {
      ...{
        sinceMs: 0,
        openings: 1,
        starts: 3,
        failed: 3,
        cause: "EXITED",
        causeCount: 3,
        exampleLaunchId: "x",
      },
    };
    const guard = { now: { state: "half_open" as const, probeLaunchId: "gpu-1", ...suspended }, samples: [] };
    const decided = decide(madeFacts({ pool: madePool({ memory: { guard, wanted: [] } }), open }));
    assert.deepEqual(kinds(decided.changes), ["gpu-1 ready"]);
    assert.equal(decided.guard.now.state, "closed");
    const later = decide(madeFacts({ open: [known({ readyMs: NOW_MS }, { session: madeSession() })] }));
    assert.deepEqual(later.changes, []);
  });

  it("whose session is gone for a minute is ended, and lost", () => {
    const gone = madeSession({ live: false, goneMs: NOW_MS - 60_001, goneReason: "lost", held: 1 });
    const [change] = decide(madeFacts({ open: [known({ readyMs: 1 }, { session: gone })] })).changes;
    assert.ok(change?.kind === "stop" && change.stop.kind === "lost" && change.stop.endMs === NOW_MS);
  });
});

describe("stops that are decided", () => {
  it("are of the workers that have been idle longest, and of none that holds work or is idle too briefly", () => {
    const open = [
      idle("gpu-1", 40_000),
      idle("gpu-2", 90_000),
      idle("gpu-3", 29_000),
      idle("gpu-4", 0, { held: 1, idleMs: undefined }),
    ];
    const { changes } = decide(madeFacts({ open }));
    assert.deepEqual(kinds(changes), ["gpu-2 stop", "gpu-1 stop"]);
    const [first] = changes;
    assert.ok(
      first?.kind === "stop" && first.drain === 7 && first.stop.endMs === undefined,
      "it drains first",
    );
  });

  it("wait for the stabilization window", () => {
    const spec = madeSpec({ scale: { stabilizationMs: 60_000, minTaskAgeMs: 0 } });
    const wanted = [{ count: 1, untilMs: NOW_MS - 10_000 }];
    const pool = madePool({ spec, memory: { guard: NEW_GUARD, wanted } });
    assert.deepEqual(decide(madeFacts({ pool, open: [idle("gpu-1", 90_000)] })).changes, []);
    const later = { pool, open: [idle("gpu-1", 90_000)], nowMs: NOW_MS + 60_000 };
    const first = decide(madeFacts(later));
    const second = decide(
      madeFacts({
        ...later,
        pool: madePool({ spec, memory: { guard: NEW_GUARD, wanted: first.wanted } }),
        nowMs: NOW_MS + 120_001,
      }),
    );
    assert.deepEqual(kinds(second.changes), ["gpu-1 stop"]);
  });

  it("withdraw launches that no launcher has received", () => {
    const open = [known({ sendMs: undefined, launcherId: undefined })];
    assert.deepEqual(kinds(decide(madeFacts({ open })).changes), ["gpu-1 withdrawn"]);
  });

  it("end the process when the worker has drained, or its time for that is over", () => {
    const stop = { kind: "scale_down" as const, reason: "idle", atMs: NOW_MS - 1_000, endMs: undefined };
    const step = (session: Parameters<typeof madeSession>[0], at = stop) =>
      decide(madeFacts({ open: [known({ readyMs: 1, stop: at }, { session: madeSession(session) })] }))
        .changes;
    assert.deepEqual(
      kinds(step({ draining: false })),
      ["gpu-1 drain"],
      "the drain is asked again until it is seen",
    );
    assert.deepEqual(step({ draining: true }), []);
    const [drained] = step({ goneMs: NOW_MS, live: false });
    assert.ok(drained?.kind === "end_process" && !drained.overdue);
    const [overdue] = step({ draining: true, held: 1 }, { ...stop, atMs: NOW_MS - 120_000 });
    assert.ok(overdue?.kind === "end_process" && overdue.overdue);
  });

  it("are of all workers when the pool is deleted, and it is removed after the last", () => {
    const deletion = { reason: "replaced", atMs: 0 };
    const pool = madePool({ deletion });
    const open = [idle("gpu-1", 0, { held: 1, idleMs: undefined }), known({ launchId: "gpu-2" })];
    const decided = decide(madeFacts({ pool, open, waiting: 5 }));
    assert.deepEqual(kinds(decided.changes).sort(), ["gpu-1 stop", "gpu-2 stop"]);
    assert.deepEqual([decided.launches, decided.remove], [[], false]);
    assert.equal(decide(madeFacts({ pool })).remove, true);
  });
});

describe("a plan", () => {
  it("has the launches by reason, then the stops", () => {
    const decision = decide(madeFacts({ waiting: 3, open: [] }));
    assert.deepEqual(plannedSteps(decision), [
      { action: "launch", launchId: "", count: 3, reason: "3 tasks could start and wait for a worker" },
    ]);
    const stops = plannedSteps(decide(madeFacts({ open: [idle("gpu-1", 90_000)] })));
    assert.deepEqual(
      stops.map(({ action, launchId }) => [action, launchId]),
      [["stop", "gpu-1"]],
    );
  });
});

describe("a pool over hours", () => {
  it("has at most its maximum of processes, and launches nothing twice, whatever its launches do", () => {
    const fates = fc.array(fc.constantFrom("ready", "dies", "hangs", "ready then dies"), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(fates, fc.array(fc.nat(12), { minLength: 5, maxLength: 60 }), (fate, work) => {
        let open: KnownLaunch[] = [];
        let memory = madePool().memory;
        let made = 0;
        const seen = new Set<string>();
        work.forEach((waiting, step) => {
          const nowMs = NOW_MS + step * 20_000;
          const launcher = { id: "host-1", session: "s", hostname: "host", untilMs: nowMs + 10_000 };
          const newId = () => `gpu-${++made}`;
          const decision = decide(
            madeFacts({ pool: madePool({ memory, launcher }), open, waiting, nowMs, newId }),
          );
          memory = { guard: decision.guard, wanted: decision.wanted };
          open = open.flatMap((each) => {
            const mine = decision.changes.filter(({ launch }) => launch.launchId === each.launch.launchId);
            let { launch } = each;
            for (const change of mine) {
              if (change.kind === "ended") return [];
              if (change.kind === "ready") launch = { ...launch, readyMs: nowMs };
              if (change.kind === "stop") launch = { ...launch, stop: change.stop };
              if (change.kind === "end_process" && launch.stop)
                launch = { ...launch, stop: { ...launch.stop, endMs: nowMs } };
            }
            return [{ ...each, launch }];
          });
          for (const { launchId } of decision.launches) {
            assert.ok(!seen.has(launchId));
            seen.add(launchId);
            open.push(known({ launchId, orderMs: nowMs, sendMs: nowMs }));
          }
          assert.ok(open.length <= 5, `${open.length} processes`);
          open = open.map((each) =>
            live(each, fate[Number(each.launch.launchId.slice(4)) % fate.length] ?? "ready", nowMs),
          );
        });
      }),
      { numRuns: 60 },
    );
  });
});

function live(each: KnownLaunch, fate: string, nowMs: number): KnownLaunch {
  const { launch } = each;
  const ended =
    launch.stop?.endMs !== undefined ||
    fate === "dies" ||
    (fate === "ready then dies" && launch.readyMs !== undefined);
  if (ended) return { ...each, launch: { ...launch, observation: { ...EXITED, atMs: nowMs } } };
  if (fate === "hangs") return each;
  return { ...each, session: madeSession({ idleMs: 60_000, draining: launch.stop !== undefined }) };
}
