/** Rejected workers: their own explanations, and what they add to those of waiting tasks. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_CLAIMS, REJECTION_CODES, type RejectedWorker } from "../../workers/rejected-worker.ts";
import type { ReasonCode } from "../codes.ts";
import type { Reason } from "../reason.ts";
import { ago, NOW } from "../testing/fixture.ts";
import { rejected } from "../testing/made-facts.ts";
import { explainRejections, withRejected } from "./rejected.ts";

describe("the explanation of a rejected worker", () => {
  it("has how often, when and from where it was refused, for each code", () => {
    for (const code of REJECTION_CODES) {
      const [reason] = explainRejections([rejected({ code })], NOW);
      assert.equal(reason?.code, code);
      assert.equal(factOf(reason, "refused_count"), "4");
      assert.equal(factOf(reason, "peer"), "10.0.0.7:40122");
      assert.deepEqual(reason?.since, ago(60_000));
    }
  });

  it("has which process of the id is registered", () => {
    const [itself] = explainRejections([rejected({ holder: "itself" })], NOW);
    assert.equal(factOf(itself, "registered_process"), "itself");
    const [reason] = explainRejections([rejected({ holder: "another" })], NOW);
    assert.equal(factOf(reason, "registered_process"), "another");
  });
});

describe("the explanation of a waiting task, with rejected workers", () => {
  const none = (code: ReasonCode) => ({ code, summary: "none", evidence: [], remedy: "start one" });
  const task = { type: "ocr" };

  it("names those that might have run it", () => {
    const list = ["a", "b", "c", "d", "e", "f"].map((workerId) => rejected({ workerId }));
    const [reason] = withRejected(
      [none("NO_WORKERS")],
      task,
      [...list, rejected({ workerId: "a", code: "VERSION_MISMATCH" })],
      NOW,
    );
    assert.equal(reason?.evidence.length, 5);
  });

  it("leaves alone what a refused worker would not have changed", () => {
    const same = (code: ReasonCode, rejected: RejectedWorker[]) =>
      assert.deepEqual(withRejected([none(code)], task, rejected, NOW), [none(code)]);
    same("ALL_SLOTS_BUSY", [rejected()]);
    same("NO_WORKERS", []);
    same("NO_WORKERS", [rejected({ lastTime: ago(90_000_000) })]);
    same("NO_WORKERS", [rejected({ holder: "another" })]);
    same("NO_WORKER_FOR_TYPE", [rejected({ claims: NO_CLAIMS })]);
    const [reason] = withRejected([none("NO_WORKER_FOR_TYPE")], task, [rejected()], NOW);
    assert.equal(factOf(reason, "refused_worker"), "w-8 BAD_TOKEN 4 times from 10.0.0.7:40122");
  });
});

function factOf(reason: Reason | undefined, key: string): string | undefined {
  return reason?.evidence.find((fact) => fact.key === key)?.value;
}
