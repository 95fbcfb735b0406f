import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { HoldKind, OverviewSchema, WorkerState } from "@muster/protocol";
import pc from "picocolors";
import { renderFrame, type View } from "./frame.ts";
import { shareRows } from "./layout.ts";

const EMPTY = { schedulerVersion: "0.1.0", schedulerCount: 1 };

const HOLDS: MessageInitShape<typeof OverviewSchema> = {
  holdCount: 5n,
  holds: [
    {
      key: "provider a",
      kind: HoldKind.CIRCUIT_OPEN,
      age: durationFromMs(90_000),
      remaining: durationFromMs(12_000),
      problem: "9 of 10 failed, last ECONNREFUSED of t-7.1",
    },
    { key: "provider-b", kind: HoldKind.CIRCUIT_HALF_OPEN, age: durationFromMs(61_000) },
    {
      key: "smtp",
      kind: HoldKind.KEY_PAUSED,
      age: durationFromMs(5_000),
      remaining: durationFromMs(55_000),
      problem: "t-8.1 on mail-3: 429",
    },
    {
      key: "gpu",
      kind: HoldKind.POOL_SUSPENDED,
      age: durationFromMs(60_000),
      remaining: durationFromMs(30_000),
      problem: "6 of 6 starts failed, 6 with CANNOT_REACH",
    },
    { key: "cpu", kind: HoldKind.POOL_AT_MAX, problem: "5 of at most 5 processes exist" },
  ],
};

const BUSY: MessageInitShape<typeof OverviewSchema> = {
  ...EMPTY,
  schedulerCount: 2,
  workerStates: [
    { state: WorkerState.READY, workerCount: 9_998n },
    { state: WorkerState.SUSPECT, workerCount: 1n },
    { state: WorkerState.REFUSED, workerCount: 3n },
  ],
  slotCount: 20_000n,
  activeSlotCount: 14n,
  readyCount: 1_200_000n,
  scheduledCount: 3n,
  activeCount: 14n,
  stuckCount: 1n,
  recentFailureCount: 40n,
  queueCount: 30n,
  queues: Array.from({ length: 30 }, (_, n) => ({
    queue: {
      name: `queue-${n}`,
      readyCount: 40_000n,
      oldestReadyAge: durationFromMs(75_000),
      paused: n === 1,
      pauseReason: "disk is full",
    },
    ...(n === 0 ? { unservableCount: 12n, unservableTaskType: "ocr.page" } : {}),
  })),
  workers: [
    {
      workerId: "suspect-worker.example.internal",
      state: WorkerState.SUSPECT,
      problem: "does not answer",
      slotCount: 2,
      heartbeatAge: durationFromMs(7_000),
    },
    ...Array.from({ length: 40 }, (_, n) => ({
      workerId: `gpu-${n}`,
      state: WorkerState.READY,
      activeCount: 1,
      slotCount: 2,
    })),
  ],
  running: Array.from({ length: 14 }, (_, n) => ({
    taskId: `t-${n}`,
    taskType: "inference.with.a.long.name",
    workerId: `gpu-${n}`,
    phase: "model_load",
    age: durationFromMs(400_000 - n),
    stuck: n === 0,
    progress: 0.25,
  })),
  failures: Array.from({ length: 20 }, (_, n) => ({
    taskId: `t-9${n}`,
    taskType: "ocr",
    age: durationFromMs(n * 1_000),
    failureCode: "RETRIES_EXHAUSTED",
    failureMessage: "\u001b[31mit failed\nwith a line break and a message that is longer than any screen",
  })),
};

function frame(
  overview: MessageInitShape<typeof OverviewSchema> | undefined,
  view: Partial<View> = {},
): string[] {
  return renderFrame({
    overview: overview && create(OverviewSchema, overview),
    failure: undefined,
    silentMs: 0,
    address: "127.0.0.1:7070",
    time: "03:04:05",
    columns: 80,
    rows: 23,
    colors: pc.createColors(false),
    help: "q quits",
    ...view,
  });
}

describe("a frame of muster top", () => {
  it("says of an empty fleet that it is empty", () => {
    const lines = frame(EMPTY);
    assert.equal(lines[0], `muster top  127.0.0.1:7070  1 scheduler  0.1.0${" ".repeat(26)}03:04:05`);
    assert.deepEqual(lines.slice(1, 8), [
      "workers none",
      "tasks   0 ready, 0 later, 0 active, 0 stuck",
      "",
      "no queues yet: the first submit creates one",
      "no workers: `muster why queue:NAME` shows what waits for one",
      "nothing is running",
      "no task failed within the last hour",
    ]);
    assert.equal(lines.at(-1), "q quits");
    assert.equal(lines.length, 23);
  });

  it("shows what needs attention of everything on 80 by 24, and how much more there is", () => {
    const text = frame(BUSY).join("\n");
    for (const part of [
      /^workers 9998 ready, 1 suspect, 3 refused {3}slots 14\/20000$/m,
      /^tasks {3}1200000 ready, 3 later, 14 active, 1 stuck {3}40 failed within 1 h$/m,
      /^QUEUE .*NOTE {2}\+27 more$/m,
      /^queue-0 .*no worker for 12 ocr\.page$/m,
      /^queue-1 .*paused: disk is full$/m,
      /^WORKER .*\+999\d more$/m,
      /^suspect-wo\S* +suspect +0\/2 +7\.0 s +does not answer$/m,
      /^t-0 .*6 min 40 s {2}stuck 25%$/m,
      /^t-90 .*RETRIES_EXHAUSTED {2}\[31mit failed with/m,
    ])
      assert.match(text, part);
  });

  it("shows what holds tasks back, and no section for it when nothing does", () => {
    const text = frame({ ...BUSY, ...HOLDS }, { rows: 40, columns: 100 }).join("\n");
    for (const part of [
      /^HELD BACK BY +WHICH IS +FOR +LEFT +NOTE$/m,
      /^provider a +an open circuit +1 min 30 s +12 s +9 of 10 failed, last ECONNREFUSED of t-7\.1$/m,
      /^provider-b +a half-open circuit +1 min 1 s *$/m,
      /^gpu +a suspended pool +1 min +30 s +6 of 6 starts failed/m,
      /^cpu +a pool at its maximum +5 of at most 5 processes exist *$/m,
      /^smtp +a paused key +5\.0 s +55 s +t-8\.1 on mail-3: 429$/m,
    ])
      assert.match(text, part);
    assert.doesNotMatch(frame(BUSY).join("\n"), /HELD BACK/);
  });

  it("has what was completed of late, and for how long workers are idle, on a wide screen", () => {
    const overview: MessageInitShape<typeof OverviewSchema> = {
      ...EMPTY,
      recentCompletedCount: 12n,
      queues: [{ queue: { name: "ocr", recentCompletedCount: 7n } }],
      workers: [
        {
          workerId: "gpu-1",
          state: WorkerState.READY,
          slotCount: 2,
          completions: { completedCount: 40n, recentCompletedCount: 5n, idleAge: durationFromMs(61_000) },
        },
        { workerId: "older", state: WorkerState.READY, slotCount: 2 },
      ],
    };
    const wide = frame(overview, { columns: 100, rows: 30 }).join("\n");
    assert.match(wide, /12 completed in 5 min/);
    assert.match(wide, /^QUEUE +READY +LATER +ACTIVE +OLDEST +5 MIN +NOTE$/m);
    assert.match(wide, /^ocr +0 +0 +0 +7$/m);
    assert.match(wide, /^gpu-1 +ready +0\/2 +5 +1 min 1 s$/m);
    assert.match(wide, /^older +ready +0\/2$/m);
    assert.doesNotMatch(frame(overview, { columns: 99, rows: 30 }).join("\n"), /5 MIN|IDLE/);
  });

  it("fits every screen, and the worst comes first on a low one", () => {
    for (const colors of [pc.createColors(true), pc.createColors(false)])
      for (const columns of [20, 40, 60, 80, 120, 200])
        for (const rows of [1, 2, 5, 8, 12, 23, 39, 100])
          for (const failure of [undefined, "the connection broke"]) {
            const lines: string[] = frame({ ...BUSY, ...HOLDS }, { columns, rows, colors, failure }).map(
              stripVTControlCharacters,
            );
            const shown = `${columns}x${rows}`;
            assert.equal(lines.length, rows, shown);
            assert.ok(
              lines.every((line) => !line.includes("\n")),
              shown,
            );
            if (columns >= 60)
              for (const line of lines) assert.ok([...line].length <= columns, `${shown}: ${line}`);
          }
    const low = frame(BUSY, { rows: 9 }).join("\n");
    assert.match(low, /queue-0/);
    assert.doesNotMatch(low, /FAILED/);
  });

  it("says that the scheduler is away, for how long, and that what is shown is old", () => {
    const lines = frame(BUSY, { failure: "no scheduler answers: ECONNREFUSED", silentMs: 12_000 });
    assert.deepEqual(lines.slice(3, 5), [
      "no answer for 12 s, retrying; the rest is the last answer",
      "  no scheduler answers: ECONNREFUSED",
    ]);
    const never = frame(undefined, { failure: "ECONNREFUSED", silentMs: 3_000 });
    assert.deepEqual(never.slice(1, 3), ["no answer for 3.0 s, retrying", "  ECONNREFUSED"]);
    assert.equal(never.length, 23);
  });

  it("has no height of its own when it is shown once", () => {
    const lines = frame(BUSY, { rows: undefined, help: "" });
    assert.equal(lines.filter((line) => line.startsWith("queue-")).length, 10);
    assert.equal(lines.at(-1)?.startsWith("t-99"), true);
  });
});

describe("rows of a screen", () => {
  it("are shared in turns, and no section gets more than it has", () => {
    assert.deepEqual(shareRows([1, 10, 3, 0], 8), [1, 4, 3, 0]);
    assert.deepEqual(shareRows([5, 5], 1), [1, 0]);
    assert.deepEqual(shareRows([1, 1], 100), [1, 1]);
    assert.deepEqual(shareRows([], 5), []);
    assert.deepEqual(shareRows([3], 0), [0]);
  });
});
