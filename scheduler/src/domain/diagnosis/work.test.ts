import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { coverage } from "../matching/coverage.ts";
import type { FleetReport, TaskLine, WorkerGroup, WorkerLine } from "../reports.ts";
import { type Circuit, circuitLock } from "../tasks/limits/circuit.ts";
import { newCircuit } from "../tasks/limits/circuit-machine.ts";
import { NO_CLAIMS, type RejectedWorker } from "../workers/rejected-worker.ts";
import { workChecks } from "./work.ts";
import type { WorkFacts } from "./work-facts.ts";

const NOW = new Date("2026-01-02T12:00:00Z");
const ago = (ms: number) => new Date(NOW.getTime() - ms);

const GROUP: WorkerGroup = {
  types: ["ocr"],
  queues: ["default"],
  labels: { gpu: "t4" },
  resources: [],
  sdk: "@muster/worker 0.1.0 typescript",
  state: "ready",
  paused: false,
  workers: 2,
  slots: 4,
  slotsEach: 2,
  capacities: { gpu_memory_mb: 24_000 },
  active: 1,
};
const WORKER: WorkerLine = {
  workerId: "w-1",
  state: "ready",
  goneReason: "",
  fatal: "",
  pauseReason: "",
  loopAgeMs: 0,
  active: 0,
  slots: 2,
  pool: "",
  silentMs: 100,
};
const TASK: TaskLine = {
  taskId: 7,
  classId: 1,
  workerId: "w-1",
  phase: "model_load",
  ageMs: 400_000,
  stuck: true,
  progress: undefined,
  failureCode: "",
  failureMessage: "",
};
const FLEET: FleetReport = {
  groups: [GROUP],
  workers: [WORKER],
  running: [],
  stuckCount: 0,
  failures: [],
  failureCount: 0,
};
const REJECTED: RejectedWorker = {
  workerId: "stranger",
  code: "BAD_TOKEN",
  message: "no",
  peer: "10.0.0.7:1",
  claims: NO_CLAIMS,
  schedulerProtocolVersion: 1,
  schedulerId: "a",
  count: 3,
  firstTime: ago(20_000),
  lastTime: ago(10_000),
  holder: "none",
};

function waiting(type: string, oldestReadyAgeMs: number, queue = "default", labels = {}) {
  const taskClass = { id: 1, queue, type, requirements: { labels, resources: [] } };
  return { taskClass, ready: 3, active: 0, scheduled: 0, oldestReadyAgeMs };
}

describe("who could take what waits", () => {
  it("is decided by the filters that assign work, whatever workers do at the moment", () => {
    const groups = [
      GROUP,
      { ...GROUP, state: "suspect", slots: 8 } as const,
      { ...GROUP, paused: true, slots: 8 },
    ];
    const [fits] = coverage([waiting("ocr", 1)], groups);
    assert.deepEqual([fits?.eligible, fits?.freeSlots], [6, 3]);
    const none = [waiting("ocrr", 1), waiting("ocr", 1, "q"), waiting("ocr", 1, "default", { gpu: "a100" })];
    assert.deepEqual(
      coverage(none, groups).map(({ eligible }) => eligible),
      [0, 0, 0],
    );
  });
});

describe("the checks of work", () => {
  type Facts = Partial<Omit<WorkFacts, "classes" | "fleet">> & { fleet?: Partial<FleetReport> };

  function look(facts: Facts = {}, ...waits: ReturnType<typeof waiting>[]): string {
    const fleet = { ...FLEET, ...facts.fleet };
    const rest = {
      pausedQueues: [],
      held: { count: 0, tasks: [] },
      limitedQueues: [],
      pausedWorkers: [],
      quarantinedWorkers: [],
      rejected: [],
      contests: [],
      failedLaunches: [],
      circuits: [],
      pausedKeys: { count: 0, pauses: [] },
      keyDifferences: [],
      isKeyHeld: () => false,
      misfits: [],
      typeOf: () => "ocr",
      now: NOW,
    };
    return workChecks({ ...rest, ...facts, fleet, classes: coverage(waits, fleet.groups) })
      .filter(({ status }) => status !== "ok")
      .map(({ status, name, summary, remedy }) => {
        assert.notEqual(remedy, "", `${name} has no remedy`);
        return `${status} ${name}: ${summary}`;
      })
      .join("; ");
  }

  it("find nothing in a fleet that is well, with or without workers", () => {
    assert.equal(look(), "");
    assert.equal(look({ fleet: { groups: [], workers: [] } }), "");
    assert.equal(look({}, waiting("ocr", 2_000), waiting("other", 2_000)), "");
  });

  it("note tasks that are held, with the one that has been for longest", () => {
    const hold = (id: number, ms: number) => ({ id, hold: { reason: `why ${id} (by ada)`, since: ago(ms) } });
    assert.equal(
      look({ held: { count: 7, tasks: [hold(3, 300_000), hold(9, 1_000)] } }),
      "note work.held: 7 tasks are held: t-3 (why 3 (by ada)) for 5 min",
    );
  });

  it("find tasks without a worker, and tasks that wait although a slot is free", () => {
    assert.match(
      look({}, waiting("other", 60_000), waiting("ocr", 90_000, "nightly")),
      /^failed work\.unserved: 6 tasks wait .*ocr in queue nightly, has waited for 90 s$/,
    );
    assert.match(
      look({}, waiting("ocr", 60_000)),
      /^warning work\.delayed: ocr .* 3 eligible slots are free$/,
    );
    const pausedQueues = [{ name: "default", reason: "disk is full", since: ago(60_000) }];
    assert.match(
      look({ pausedQueues }, waiting("other", 60_000)),
      /^note work\.paused: 1 queue is paused: default \(disk is full\) for 60 s$/,
    );
  });

  it("find concurrency keys that are counted wrong, and no delay of a task whose key is held", () => {
    assert.match(
      look({ keyDifferences: [{ key: "customer 1", held: 3, tasks: 1 }] }),
      /^failed work\.concurrency_keys: the count of 1 concurrency key differs .*"customer 1" is counted 3 times and held by 1 task$/,
    );
    const circuit = look({ keyDifferences: [{ key: circuitLock("provider").key, held: 1, tasks: 2 }] });
    assert.match(circuit, /: the circuit "provider" is counted 1 time and held by 2 tasks$/);
    assert.equal(look({ isKeyHeld: () => true }, waiting("ocr", 60_000)), "");
  });

  it("note rate limit keys that are paused, with who asked", () => {
    const pause = { key: "mail out", until: NOW, leftMs: 90_000, reason: "429", time: ago(60_000) };
    const pauses = [{ ...pause, by: "t-7.1 on mail-3" }];
    assert.match(
      look({ pausedKeys: { count: 2, pauses } }),
      /^note work\.keys_paused: 2 rate limit keys are paused: "mail out" for another 90 s \(t-7\.1 on mail-3: 429\)$/,
    );
  });

  it("find circuits that are open, and warn of one that does not close", () => {
    const circuit: Circuit = {
      ...newCircuit("provider-a", ago(60_000).getTime()),
      state: "open",
      openCount: 1,
      notClosedSince: ago(60_000).getTime(),
    };
    const failures = [{ taskId: 7, epoch: 2, code: "DOWN", message: "503", at: 0 }];
    assert.match(
      look({ circuits: [{ ...circuit, failures }] }),
      /^note work\.circuits: 1 circuit is open or half-open: "provider-a" for 60 s \(DOWN of t-7\.2\)$/,
    );
    const long = { ...circuit, notClosedSince: ago(3_600_000).getTime(), openReason: "maintenance" };
    assert.match(
      look({ circuits: [circuit, long] }),
      /^warning work\.circuits: 2 .* for 60 min \(maintenance\)$/,
    );
  });

  it("find what is stuck and what failed", () => {
    assert.match(
      look({ fleet: { running: [TASK], stuckCount: 1 } }),
      /^warning work\.stuck: 1 task is stuck; the longest is t-7 \(ocr\) on w-1, in model_load for 6\.7 min$/,
    );
    assert.equal(look({ fleet: { running: [TASK] } }), "");
    const failed = { ...TASK, failureCode: "RETRIES_EXHAUSTED", ageMs: 5_000 };
    assert.match(
      look({ fleet: { failures: [failed], failureCount: 1 } }),
      /^note work\.failures: 1 task failed .*t-7 \(ocr\) with RETRIES_EXHAUSTED$/,
    );
  });

  it("find workers that do not answer, failed, are blocked or were refused", () => {
    const groups = [GROUP, { ...GROUP, state: "suspect", workers: 1 } as const];
    assert.match(look({ fleet: { groups } }), /^warning workers\.answering: 1 of 3 workers does not answer$/);
    const lost = { ...WORKER, state: "lost", goneReason: "lost", silentMs: 60_000 } as const;
    assert.match(
      look({ fleet: { workers: [lost] } }),
      /^warning workers\.ended: 1 worker .*w-1 lost 60 s ago$/,
    );
    const blocked = { ...WORKER, loopAgeMs: 45_000 };
    assert.match(look({ fleet: { workers: [blocked] } }), /^warning workers\.blocked: .*of w-1 for 45 s$/);
    assert.match(
      look({ rejected: [REJECTED] }),
      /^warning workers\.refused: 1 worker was refused .*stranger last, 10 s ago \(BAD_TOKEN/,
    );
    const harmless = [{ ...REJECTED, holder: "another" } as const, { ...REJECTED, lastTime: ago(7_200_000) }];
    assert.equal(look({ rejected: harmless }), "");
    const failedLaunches = [{ workerId: "gpu-7", reason: "startup_timeout", time: ago(30_000) }];
    assert.match(
      look({ failedLaunches }),
      /^warning workers\.launches: 1 supervised worker .*gpu-7 was the last, 30 s ago \(startup_timeout\)$/,
    );
    const newer = { ...GROUP, sdk: "@muster/worker 0.2.0 typescript" };
    assert.match(look({ fleet: { groups: [GROUP, newer] } }), /^note versions\.workers: .*2 versions/);
  });
});
