/** Where supervised starts stand among the reasons of a waiting task. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LaunchRecord, Served } from "../../workers/launch.ts";
import type { Reason } from "../reason.ts";
import { ago, NOW, TASK } from "../testing/fixture.ts";
import { launch } from "../testing/made-facts.ts";
import { withLaunches } from "./starting.ts";

const NONE: Reason = { code: "NO_WORKERS", summary: "", evidence: [], remedy: "" };
const BUSY: Reason = { ...NONE, code: "ALL_SLOTS_BUSY" };
const LATER: Reason = { ...NONE, code: "SCHEDULED_FOR_LATER" };

function launched(workerId: string, pool = "", end?: LaunchRecord["end"]): LaunchRecord {
  return launch({ id: workerId, workerId, pool, end });
}

function served(workerId: string, pool: string, ...types: string[]): Served {
  return { workerId, pool, types, queues: ["default"] };
}

function explain(reason: Reason, launching: readonly LaunchRecord[], past: readonly Served[] = []): Reason[] {
  return withLaunches([reason], TASK, { launching, failed: [], served: past }, NOW);
}

describe("launches as a reason to wait", () => {
  it("come first when no worker is connected", () => {
    const [first, second] = explain(NONE, [launched("w-9")]);
    assert.deepEqual([first?.code, second?.code], ["WORKERS_STARTING", "NO_WORKERS"]);
    assert.deepEqual(
      first?.evidence.map(({ key }) => key),
      ["launch"],
    );
  });

  it("are ordered by what workers of the id or the pool served before, the likely ones first", () => {
    const past = [served("w-1", "gpu", "ocr"), served("w-2", "gpu", "llm")];
    const launches = [
      launched("w-7"),
      launched("w-8", "gpu"),
      launched("w-1", "gpu"),
      launched("w-2", "gpu"),
    ];
    const [starting] = explain(NONE, launches, past);
    const facts = starting?.evidence.map(({ value }) => value) ?? [];
    assert.equal(facts.length, 3, "one that served other things is not among them");
    assert.deepEqual(
      facts.map((value) => value.split(":")[0]),
      ["w-8", "w-1", "w-7"],
    );
  });

  it("come after the cause when workers of the id served other types or queues", () => {
    const past = [served("w-2", "gpu", "llm", "embed")];
    const alone = explain(NONE, [launched("w-2", "gpu")], past);
    assert.deepEqual(
      alone.map(({ code }) => code),
      ["NO_WORKERS", "WORKERS_STARTING"],
    );
    assert.deepEqual(
      explain(BUSY, [launched("w-2")], past),
      [BUSY],
      "left out while other workers are connected",
    );
    const queue = explain(NONE, [launched("w-2")], [{ ...served("w-2", "", "ocr"), queues: ["night"] }]);
    assert.equal(queue[1]?.code, "WORKERS_STARTING");
  });

  it("are left out where no further worker would help", () => {
    assert.deepEqual(explain(LATER, [launched("w-9")]), [LATER]);
    assert.deepEqual(
      explain(BUSY, [launched("w-9")]).map(({ code }) => code),
      ["ALL_SLOTS_BUSY", "WORKERS_STARTING"],
    );
  });

  it("that failed are ordered by the same rule", () => {
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
    const failed = [launched("w-2", "", { ...over, exit, logTail: undefined })];
    const past = [served("w-2", "", "ocr")];
    const [first] = withLaunches([NONE], TASK, { launching: [], failed, served: past }, NOW);
    assert.equal(first?.code, "WORKERS_FAILED_TO_START");
    assert.match(first?.evidence[0]?.value ?? "", /^w-2 \(launch_failed /);
    const other = [served("w-2", "", "llm")];
    assert.deepEqual(withLaunches([BUSY], TASK, { launching: [], failed, served: other }, NOW), [BUSY]);
  });
});
