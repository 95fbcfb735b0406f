import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LaunchRecord, Served } from "../workers/launch.ts";
import type { Reason } from "./reason.ts";
import { withLaunches } from "./starting.ts";
import { ago, NOW, TASK } from "./testing/fixture.ts";

const NOBODY: Reason = { code: "NO_WORKERS", summary: "", evidence: [], remedy: "" };
const BUSY: Reason = { ...NOBODY, code: "ALL_SLOTS_BUSY" };
const LATER: Reason = { ...NOBODY, code: "SCHEDULED_FOR_LATER" };

function launch(workerId: string, pool = "", end?: LaunchRecord["end"]): LaunchRecord {
  const phase = { phase: "boot", outcome: "ok", elapsedMs: 1_000, detail: "", attributes: {} };
  return {
    rowId: 1,
    id: workerId,
    workerId,
    pool,
    phases: [phase],
    launchTime: ago(10_000),
    reportTime: NOW,
    end,
    command: "node worker.js",
    hostname: "box",
    pid: 7,
    supervisor: "muster run",
    startNumber: 1,
    registerTimeoutMs: 90_000,
    lastError: "",
  };
}

function served(workerId: string, pool: string, ...types: string[]): Served {
  return { workerId, pool, types, queues: ["default"] };
}

function tell(reason: Reason, launching: readonly LaunchRecord[], past: readonly Served[] = []): Reason[] {
  return withLaunches([reason], TASK, { launching, failed: [], served: past }, NOW);
}

describe("launches as a reason to wait", () => {
  it("says what is not known of a process that nobody knows", () => {
    const [first, second] = tell(NOBODY, [launch("w-9")]);
    assert.deepEqual([first?.code, second?.code], ["WORKERS_STARTING", "NO_WORKERS"]);
    assert.equal(
      first?.summary,
      "1 worker is starting and not connected yet; w-9: last phase boot, 9 s old, 80 s left to register; it has not said which types it serves",
    );
    assert.equal(
      first?.remedy,
      "it is given out when one registers that serves ocr from default, and that is known only then; how it stands: muster why w-9",
    );
  });

  it("goes by the past of the worker's id, then of its pool, the likely ones first", () => {
    const past = [served("w-1", "gpu", "ocr"), served("w-2", "gpu", "llm")];
    const launches = [launch("w-7"), launch("w-8", "gpu"), launch("w-1", "gpu"), launch("w-2", "gpu")];
    const [starting] = tell(NOBODY, launches, past);
    const facts = starting?.evidence.map(({ value }) => value) ?? [];
    assert.equal(facts.length, 3, "one that served other things is not among them");
    assert.match(facts[0] ?? "", /^w-8: .*workers of its pool gpu have served ocr from default before$/);
    assert.match(facts[1] ?? "", /^w-1: .*a worker of its id has served ocr from default before$/);
    assert.match(facts[2] ?? "", /^w-7: .*it has not said/);
  });

  it("does not raise hopes in a process whose like has served other things", () => {
    const past = [served("w-2", "gpu", "llm", "embed")];
    const alone = tell(NOBODY, [launch("w-2", "gpu")], past);
    assert.deepEqual(
      alone.map(({ code }) => code),
      ["NO_WORKERS", "WORKERS_STARTING"],
    );
    assert.match(
      alone[1]?.summary ?? "",
      /^1 worker is starting and not connected yet, but not for ocr in default by what is known; w-2: .*a worker of its id has served embed, llm, not ocr, before$/,
    );
    assert.match(alone[1]?.remedy ?? "", /^do not wait for it unless/);
    assert.deepEqual(
      tell(BUSY, [launch("w-2")], past),
      [BUSY],
      "beside other workers it is not worth a word",
    );
    const queue = tell(NOBODY, [launch("w-2")], [{ ...served("w-2", "", "ocr"), queues: ["night"] }]);
    assert.match(queue[1]?.summary ?? "", /has served ocr from night only, not from default, before$/);
  });

  it("is silent where no further worker would help", () => {
    assert.deepEqual(tell(LATER, [launch("w-9")]), [LATER]);
    assert.deepEqual(
      tell(BUSY, [launch("w-9")]).map(({ code }) => code),
      ["ALL_SLOTS_BUSY", "WORKERS_STARTING"],
    );
  });

  it("tells of failed starts by the same rule", () => {
    const exit = {
      signal: "",
      exitCode: 3,
      outOfMemory: false,
      outOfMemoryEvidence: "",
      startError: "",
      stopRequested: false,
      ranForMs: 2_000,
    };
    const over = { time: ago(5_000), reason: "launch_failed", restartTime: undefined, requeued: 0 } as const;
    const failed = [launch("w-2", "", { ...over, exit, logTail: undefined })];
    const past = [served("w-2", "", "ocr")];
    const [first] = withLaunches([NOBODY], TASK, { launching: [], failed, served: past }, NOW);
    assert.equal(first?.code, "WORKERS_FAILED_TO_START");
    assert.match(
      first?.summary ?? "",
      /w-2 \(launch_failed 5 s ago\): exited with code 3, last phase boot, 4 s old; a worker of its id has served ocr from default before$/,
    );
    const other = [served("w-2", "", "llm")];
    assert.deepEqual(withLaunches([BUSY], TASK, { launching: [], failed, served: other }, NOW), [BUSY]);
  });
});
