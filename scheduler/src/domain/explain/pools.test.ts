import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TaskClass } from "../matching/match.ts";
import { decide } from "../pools/decision/decision.ts";
import type { PoolFacts } from "../pools/decision/pool-decision.ts";
import type { Diagnosis } from "../pools/pool-launch.ts";
import { idle, known, madeFacts, madeLaunch, madePool, madeSpec, NOW_MS } from "../testing/made-pools.ts";
import { type ExplainedPool, explainPool, withPools } from "./pools.ts";
import type { Reason } from "./reason.ts";

const OCR: TaskClass = { id: 1, queue: "default", type: "ocr", requirements: { labels: {}, resources: [] } };

const reason = (code: Reason["code"]): Reason => ({ code, summary: code, evidence: [], remedy: "wait" });

function explained(given: Partial<PoolFacts> = {}): ExplainedPool {
  const facts = madeFacts(given);
  const open = facts.open.map(({ launch }) => launch);
  return { pool: facts.pool, decision: decide(facts), open, usualStartMs: facts.usualStartMs };
}

const diagnosis = (cause: Diagnosis["cause"], logTail: string): Diagnosis => ({
  cause,
  summary: `it failed with ${cause}`,
  evidence: [{ key: "exit_code", value: "1" }],
  remedy: `fix ${cause}`,
  logTail,
});

const SUSPENDED = {
  now: {
    ...{ state: "open" as const, sinceMs: NOW_MS - 60_000, probeMs: NOW_MS + 90_000, openings: 2 },
    ...{ starts: 6, failed: 6, cause: "CANNOT_REACH", causeCount: 4, exampleLaunchId: "gpu-6" },
  },
  samples: [],
};

describe("the explanation of a pool", () => {
  it("groups its last launches by cause, the most frequent first, each with one example", () => {
    const failed = (n: number, cause: Diagnosis["cause"]) =>
      madeLaunch({
        launchId: `gpu-${n}`,
        end: {
          atMs: NOW_MS - n * 1_000,
          outcome: "failed_start",
          diagnosis: diagnosis(cause, `output of ${n}`),
        },
      });
    const last = [
      failed(1, "EXITED"),
      failed(2, "CANNOT_REACH"),
      failed(3, "CANNOT_REACH"),
      madeLaunch({ launchId: "gpu-4" }),
    ];
    const { reasons, state } = explainPool({ ...explained(), last, nowMs: NOW_MS });
    assert.equal(state, "active");
    assert.deepEqual(
      reasons.map(({ code, summary, remedy }) => [code, summary, remedy]),
      [
        [
          "LAUNCHES_FAILED",
          "2 of the last 4 launches failed with CANNOT_REACH; of gpu-2, 2 s ago: it failed with CANNOT_REACH",
          "fix CANNOT_REACH",
        ],
        [
          "LAUNCHES_FAILED",
          "1 of the last 4 launches failed with EXITED; of gpu-1, 1 s ago: it failed with EXITED",
          "fix EXITED",
        ],
      ],
    );
    assert.equal(reasons[0]?.evidence.find(({ key }) => key === "log_tail")?.value, "output of 2");
  });

  it("has the suspension first, with counts, cause and the next probe", () => {
    const pool = madePool({ memory: { guard: SUSPENDED, wanted: [] } });
    const { reasons, state } = explainPool({ ...explained({ pool, waiting: 1 }), last: [], nowMs: NOW_MS });
    assert.equal(state, "suspended");
    assert.equal(
      reasons[0]?.summary,
      "launches of pool gpu are suspended: 6 of the last 6 starts failed, 4 of them with CANNOT_REACH; the next probe is launched in 90 s",
    );
  });

  it("says that nothing is missing, and never nothing at all", () => {
    const { reasons } = explainPool({ ...explained(), last: [], nowMs: NOW_MS });
    assert.deepEqual(
      reasons.map(({ code }) => code),
      ["POOL_SATISFIED"],
    );
  });

  it("names a pause and a deletion with who asked", () => {
    const pause = { reason: "maintenance (by ada)", atMs: NOW_MS - 5_000 };
    const deletion = { reason: "replaced (by ada)", atMs: NOW_MS - 5_000 };
    const codes = (pool: ReturnType<typeof madePool>) =>
      explainPool({ ...explained({ pool }), last: [], nowMs: NOW_MS }).reasons.map(({ code, summary }) => [
        code,
        summary,
      ]);
    assert.deepEqual(codes(madePool({ pause })), [
      ["POOL_PAUSED", "pool gpu launches and stops nothing: it was paused 5 s ago: maintenance (by ada)"],
    ]);
    assert.deepEqual(codes(madePool({ deletion })), [
      ["POOL_DELETING", "the pool is being deleted (replaced (by ada)); 0 launches have not ended"],
    ]);
  });
});

describe("pools among the reasons of a waiting task", () => {
  const codes = (reasons: readonly Reason[], pools: readonly ExplainedPool[]) =>
    withPools(reasons, OCR, pools, NOW_MS).map(({ code }) => code);

  it("are none where there are no pools, or where another worker would not help", () => {
    const suspended = explained({ pool: madePool({ memory: { guard: SUSPENDED, wanted: [] } }), waiting: 1 });
    assert.deepEqual(codes([reason("NO_WORKERS")], []), ["NO_WORKERS"]);
    assert.deepEqual(codes([reason("QUEUE_PAUSED")], [suspended]), ["QUEUE_PAUSED"]);
  });

  it("come first when no worker could run it, and last when all are busy", () => {
    const suspended = explained({ pool: madePool({ memory: { guard: SUSPENDED, wanted: [] } }), waiting: 1 });
    assert.deepEqual(codes([reason("NO_WORKERS")], [suspended]), ["LAUNCHES_SUSPENDED", "NO_WORKERS"]);
    const open = Array.from({ length: 5 }, (_, n) => idle(`gpu-${n}`, 0, { held: 1, idleMs: undefined }));
    const full = explained({ open, waiting: 3 });
    assert.deepEqual(codes([reason("ALL_SLOTS_BUSY")], [full]), ["ALL_SLOTS_BUSY", "POOL_AT_MAX"]);
  });

  it("have the workers that are starting, with the usual time once it is known", () => {
    const summaries = (usualStartMs: number | undefined) =>
      withPools(
        [reason("NO_WORKERS")],
        OCR,
        [explained({ open: [known()], waiting: 1, usualStartMs })],
        NOW_MS,
      ).map(({ summary }) => summary);
    assert.deepEqual(summaries(42_000), [
      "1 worker is starting in pool gpu, the first for 10 s; usually ready 42 s after its launch",
      "NO_WORKERS",
    ]);
    assert.match(summaries(undefined)[0] ?? "", /the usual time is not known$/);
  });

  it("say that no pool offers what it needs, and which come near", () => {
    const other = explained({
      pool: madePool({ spec: madeSpec({ offer: { ...madeSpec().offer, types: ["asr"] } }) }),
    });
    assert.deepEqual(codes([reason("NO_WORKERS")], [other]), ["NO_WORKERS", "NO_POOL_OFFERS"]);
    const [, offered] = withPools([reason("NO_WORKERS")], { ...OCR, queue: "other" }, [explained()], NOW_MS);
    assert.match(
      offered?.summary ?? "",
      /^no pool launches workers for ocr in other: gpu offers the type, but not /,
    );
  });
});
