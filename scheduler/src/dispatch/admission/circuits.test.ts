import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { type CircuitRule, circuitLock } from "../../domain/tasks/limits/circuit.ts";
import { failed, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { HotPath } from "../testing/hot-path.ts";

const RULE: CircuitRule = {
  ...{ key: "k", failureRate: 1, windowMs: 60_000, minSamples: 2 },
  ...{ openForMs: 10_000, maxOpenForMs: 60_000, probes: 1 },
};
const WITH_CIRCUIT = { circuit: RULE, concurrency: [circuitLock(RULE.key)] };

describe("circuits in the dispatch", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  const claims = () => hot.faults.callsOf("claimKeyed").length;

  async function poll(): Promise<number | undefined> {
    const dueInMs = await hot.dispatch.circuits.runOnce();
    const keyStates = async () => Array.from(hot.tables.overrides.keys(), (key) => hot.tables.keyState(key));
    await hot.dispatch.concurrencyKeys.refresh({ keyStates });
    await hot.poll();
    return dueInMs;
  }

  it("parks the class of an open circuit, probes when its time has come, and goes on when a probe succeeds", async () => {
    const worker = hot.worker({ slots: 2 });
    await hot.submit(2, WITH_CIRCUIT);
    await settled();
    hot.report(worker, [1, 2], failed("non_retryable"));
    await settled();
    assert.equal(hot.dispatch.counters.circuitTransitions.open, 1);
    assert.ok(hot.logged.includes("circuit.opened"));
    await hot.submit(3, WITH_CIRCUIT);
    assert.equal(await poll(), RULE.openForMs);
    assert.deepEqual(hot.dispatch.circuits.totals, { open: 1, halfOpen: 0 });
    const asked = claims();
    await poll();
    await settled();
    assert.equal(claims(), asked, "what is known to be open is not asked for");
    const [taskClass] = hot.tables.classes;
    assert.ok(taskClass);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "CIRCUIT_OPEN");
    await hot.clock.pass(RULE.openForMs);
    assert.equal(await poll(), undefined);
    await settled();
    assert.deepEqual(hot.dispatch.circuits.totals, { open: 0, halfOpen: 1 });
    const probe = [...worker.attempts.keys()];
    assert.equal(probe.length, 1);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "CIRCUIT_OPEN");
    hot.report(worker, probe, SUCCEEDED);
    await settled();
    await poll();
    await settled();
    assert.deepEqual(hot.dispatch.counters.circuitTransitions, { closed: 1, open: 1, half_open: 1 });
    assert.equal(worker.attempts.size, 2);
  });

  it("counts no release and no cancellation", async () => {
    const worker = hot.worker({ slots: 4 });
    await hot.submit(4, WITH_CIRCUIT);
    await settled();
    hot.report(worker, [1, 2], { kind: "released", reason: "drain" });
    hot.report(worker, [3, 4], { kind: "cancelled", message: "asked" });
    await settled();
    assert.deepEqual([...hot.tables.circuits.keys()], []);
  });
});
