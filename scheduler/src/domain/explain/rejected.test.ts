import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_CLAIMS, REJECTION_CODES, type RejectedWorker } from "../workers/rejected-worker.ts";
import type { ReasonCode } from "./codes.ts";
import { explainRejections, withRejected } from "./rejected.ts";

const NOW = new Date("2026-01-02T12:00:00Z");
const ago = (ms: number) => new Date(NOW.getTime() - ms);

function rejection(fields: Partial<RejectedWorker> = {}): RejectedWorker {
  return {
    workerId: "w-1",
    code: "BAD_TOKEN",
    message: "no bearer token was sent",
    peer: "10.0.0.7:40122",
    claims: { ...NO_CLAIMS, types: ["ocr"] },
    schedulerProtocolVersion: 3,
    schedulerId: "s-1",
    count: 4,
    firstTime: ago(60_000),
    lastTime: ago(10_000),
    holder: "none",
    ...fields,
  };
}

describe("why a worker was refused", () => {
  it("names how often, when, from where and what to do, for each reason", () => {
    for (const code of REJECTION_CODES) {
      const [reason] = explainRejections([rejection({ code })], NOW);
      assert.equal(reason?.code, code);
      assert.match(reason?.summary ?? "", /^it was refused 4 times, last 10 s ago from 10\.0\.0\.7:40122: /);
      assert.deepEqual(reason?.since, ago(60_000));
      assert.match(reason?.remedy ?? "", /does not dial again by itself$/);
    }
  });

  it("tells which side is older, and what to upgrade", () => {
    const remedy = (protocolVersion: number) =>
      explainRejections(
        [rejection({ code: "VERSION_MISMATCH", claims: { ...NO_CLAIMS, protocolVersion } })],
        NOW,
      )[0]?.remedy;
    assert.match(remedy(2) ?? "", /^upgrade the worker's SDK .* version 3/);
    assert.match(
      remedy(4) ?? "",
      /^upgrade the scheduler .* version 4, or install an SDK that speaks version 3/,
    );
  });

  it("tells the registered process that dials again from another one in its name", () => {
    const [itself] = explainRejections([rejection({ holder: "itself" })], NOW);
    assert.match(itself?.summary ?? "", /^it lost its stream, dialled again and was refused 4 times/);
    assert.match(itself?.remedy ?? "", /it goes on dialling/);
    const [reason] = explainRejections([rejection({ holder: "another" })], NOW);
    assert.match(reason?.summary ?? "", /^another process in its name was refused/);
    assert.match(reason?.remedy ?? "", /the registered process is not affected$/);
  });
});

describe("a waiting task and the workers at the door", () => {
  const none = (code: ReasonCode) => ({ code, summary: "nobody", evidence: [], remedy: "start one" });
  const task = { type: "ocr" };

  it("names those that might have run it", () => {
    const list = ["a", "b", "c", "d", "e", "f"].map((workerId) => rejection({ workerId }));
    const [reason] = withRejected(
      [none("NO_WORKERS")],
      task,
      [...list, rejection({ workerId: "a", code: "VERSION_MISMATCH" })],
      NOW,
    );
    assert.equal(
      reason?.summary,
      "nobody; 6 workers were refused (bad token, protocol version not supported), the last 10 s ago: a, b, c, d, e and 1 more",
    );
    assert.equal(reason?.evidence.length, 5);
    assert.match(
      reason?.remedy ?? "",
      /^let the refused workers in .*MUSTER_TOKEN.*; muster why a\), or start one$/,
    );
  });

  it("leaves alone what a refused worker would not have changed", () => {
    const same = (code: ReasonCode, rejected: RejectedWorker[]) =>
      assert.deepEqual(withRejected([none(code)], task, rejected, NOW), [none(code)]);
    same("ALL_SLOTS_BUSY", [rejection()]);
    same("NO_WORKERS", []);
    same("NO_WORKERS", [rejection({ lastTime: ago(90_000_000) })]);
    same("NO_WORKERS", [rejection({ holder: "another" })]);
    same("NO_WORKER_FOR_TYPE", [rejection({ claims: NO_CLAIMS })]);
    const [reason] = withRejected([none("NO_WORKER_FOR_TYPE")], task, [rejection()], NOW);
    assert.match(reason?.summary ?? "", /1 worker was refused \(bad token\)/);
  });
});
