/** Cases that every implementation of the roles passes for tasks with circuits. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { type CircuitRule, circuitLock, countsOf } from "../../../domain/tasks/limits/circuit.ts";
import type { ClaimedAttempt, CommitRequest, CommitResult } from "../../store.ts";
import { commitRequest, failed, NO_REQUIREMENTS, newTask, SUCCEEDED } from "../made-rows.ts";
import { submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Opens with the second failure of two results; two probes. */
function ruleOf(key: string): CircuitRule {
  return {
    ...{ key, failureRate: 1, windowMs: 600_000, minSamples: 2 },
    ...{ openForMs: 60_000, maxOpenForMs: 600_000, probes: 2 },
  };
}

export function testCircuits(opened: () => StoreUnderTest): void {
  async function classOf(rule: CircuitRule, type = "circuit"): Promise<number> {
    const concurrency = [circuitLock(rule.key)];
    const wanted = { queue: "default", type, requirements: NO_REQUIREMENTS, concurrency, circuit: rule };
    const [made] = await opened().classes.resolveClasses([wanted]);
    assert.ok(made);
    assert.deepEqual(made.circuit, rule);
    return made.id;
  }

  async function waiting(rule: CircuitRule, count: number): Promise<number[]> {
    const tasks = Array.from({ length: count }, () => newTask());
    return submitted(opened(), await classOf(rule), tasks);
  }

  async function claim(ids: readonly number[]): Promise<readonly ClaimedAttempt[]> {
    const test = opened();
    const sessionId = await test.openSession("a");
    const wanted = ids.map((taskId) => ({ taskId, sessionId }));
    const { claimed } = await test.claims.claimKeyed(wanted, "a");
    return [...claimed].sort((a, b) => a.taskId - b.taskId);
  }

  /** The ends of attempts, `s` for a success and `f` for a failure. */
  function ends(rule: CircuitRule, attempts: readonly ClaimedAttempt[], outcomes: string): CommitRequest[] {
    return Array.from(outcomes, (outcome, index) => {
      const attempt = attempts[index];
      assert.ok(attempt, `attempt ${index}`);
      const isFailure = outcome === "f";
      return {
        ...commitRequest(attempt, isFailure ? failed("non_retryable") : SUCCEEDED),
        circuit: { rule, outcome: isFailure ? "failed" : "succeeded" },
      };
    });
  }

  const end = (
    rule: CircuitRule,
    attempts: readonly ClaimedAttempt[],
    outcomes: string,
  ): Promise<CommitResult[]> => opened().attempts.commitResults(ends(rule, attempts, outcomes));

  async function circuitOf(key: string) {
    const [row] = await opened().circuits.listCircuits({ key, notClosed: false, limit: 1 });
    return row;
  }

  /** Opens the circuit by two failures. */
  async function trip(rule: CircuitRule): Promise<void> {
    await end(rule, await claim(await waiting(rule, 2)), "ff");
    assert.equal((await circuitOf(rule.key))?.circuit.state, "open");
  }

  async function passOpening(key: string): Promise<void> {
    const { circuits, passOpening: pass } = opened();
    await pass(key);
    const due = await circuits.halfOpenDue(100);
    assert.ok(due.some(({ circuit }) => circuit.key === key && circuit.state === "half_open"));
  }

  // First: the other cases open circuits.
  it("circuits: nothing is due while none is open", async () => {
    assert.deepEqual(await opened().circuits.circuitTotals(), { open: 0, halfOpen: 0, dueInMs: undefined });
  });

  it("makes a class for each rule of a circuit", async () => {
    const ids = [
      await classOf(ruleOf("rules")),
      await classOf({ ...ruleOf("rules"), probes: 3 }),
      await classOf(ruleOf("rules")),
    ];
    assert.equal(ids[0], ids[2]);
    assert.notEqual(ids[0], ids[1]);
  });

  it("counts what ends, opens with the result that reaches the rate, and then claims nothing", async () => {
    const rule = ruleOf("opens");
    const attempts = await claim(await waiting(rule, 3));
    const [first] = await end(rule, attempts, "f");
    assert.deepEqual(first, { applied: true });
    const results = await end(rule, attempts, "fs");
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [false, true],
      "what ended before does not count again",
    );
    const counted = await circuitOf("opens");
    assert.deepEqual(counted && countsOf(counted.circuit, counted.readAt), { succeeded: 1, failed: 1 });
    assert.deepEqual([counted?.active, counted?.circuit.state], [1, "closed"]);
    const other = ruleOf("opens-2");
    const [, last] = await end(other, await claim(await waiting(other, 2)), "ff");
    assert.deepEqual([last?.circuit?.transition, last?.circuit?.circuit.failures.length], ["open", 2]);
    const more = await waiting(other, 2);
    assert.deepEqual(await claim(more), []);
    assert.equal((await opened().task(more[0] ?? 0))?.epoch, 0);
  });

  it("returns a circuit that would have opened, once, and leaves it closed", async () => {
    const rule = ruleOf("observed");
    const requests = ends(rule, await claim(await waiting(rule, 3)), "fff").map((request) => ({
      ...request,
      circuit: { rule, outcome: "failed", mode: "observe" } as const,
    }));
    const [first, second] = await opened().attempts.commitResults(requests.slice(0, 2));
    assert.deepEqual(
      [first?.wouldOpen, second?.wouldOpen?.key, second?.circuit],
      [undefined, "observed", undefined],
    );
    assert.deepEqual(await opened().attempts.commitResults(requests.slice(2)), [{ applied: true }]);
    assert.equal((await circuitOf("observed"))?.circuit.state, "closed");
    assert.equal((await claim(await waiting(rule, 1))).length, 1);
  });

  it("counts a failure that is tried again, too", async () => {
    const rule = ruleOf("retries");
    const requests = ends(rule, await claim(await waiting(rule, 2)), "ff").map((request, index) => ({
      ...request,
      ...(index === 0 ? { decision: RETRY } : {}),
    }));
    await opened().attempts.commitResults(requests);
    const circuit = (await circuitOf("retries"))?.circuit;
    assert.deepEqual([circuit?.state, circuit?.failures.length], ["open", 2]);
  });

  it("lets as many probes through as the rule has, and closes after as many successes", async () => {
    const rule = ruleOf("probes");
    await trip(rule);
    const ids = await waiting(rule, 4);
    await passOpening("probes");
    const probes = await claim(ids);
    assert.equal(probes.length, 2);
    assert.deepEqual(await claim(ids), []);
    const [first] = await end(rule, probes, "s");
    assert.equal(first?.circuit, undefined);
    assert.equal((await claim(ids)).length, 1, "a place is free again");
    const [last] = await end(rule, probes.slice(1), "s");
    assert.equal(last?.circuit?.transition, "close");
    assert.equal((await claim(ids)).length, 1, "no limit any more");
    assert.equal((await circuitOf("probes"))?.circuit.openCount, 0);
  });

  it("opens again with a failed probe, for longer, and attempts from before are no probes", async () => {
    const rule = ruleOf("reopens");
    const [old, ...failing] = await claim(await waiting(rule, 3));
    await end(rule, failing, "ff");
    await passOpening("reopens");
    assert.ok(old);
    const probes = await claim(await waiting(rule, 2));
    assert.equal(probes.length, 1, "the attempt from before takes the place of a probe");
    const [late] = await end(rule, [old], "f");
    assert.deepEqual(late, { applied: true });
    assert.equal((await circuitOf("reopens"))?.circuit.state, "half_open");
    const [failure] = await end(rule, probes, "f");
    assert.equal(failure?.circuit?.transition, "reopen");
    const circuit = (await circuitOf("reopens"))?.circuit;
    assert.ok(circuit?.probeAt !== undefined && circuit.openedAt !== undefined);
    const openMs = circuit.probeAt - circuit.openedAt;
    assert.ok(openMs >= 2 * rule.openForMs && openMs <= 2.2 * rule.openForMs, `${openMs}`);
  });

  it("frees the place of a probe whose attempt is given back, and counts nothing", async () => {
    const rule = { ...ruleOf("released"), probes: 1 };
    await trip(rule);
    await passOpening("released");
    const ids = await waiting(rule, 2);
    const [probe] = await claim(ids);
    assert.ok(probe);
    await opened().attempts.commitResults([commitRequest(probe, { kind: "released", reason: "drain" })]);
    assert.equal((await circuitOf("released"))?.circuit.state, "half_open");
    assert.equal((await claim(ids)).length, 1);
  });

  it("is opened and reset by operators, also before a task has it", async () => {
    const { circuits } = opened();
    const rule = ruleOf("operated");
    const { circuit } = await circuits.openCircuit("operated", { reason: "why", forMs: undefined });
    assert.deepEqual(
      [circuit.state, circuit.openReason, circuit.probeAt ?? undefined],
      ["open", "why", undefined],
    );
    const ids = await waiting(rule, 1);
    assert.deepEqual(await claim(ids), []);
    const open = await circuits.listCircuits({ notClosed: true, afterKey: "operatec", limit: 1 });
    assert.equal(open[0]?.circuit.key, "operated");
    await circuits.resetCircuit("operated", "done");
    assert.equal((await claim(ids)).length, 1);
    assert.equal(
      (await circuits.openCircuit("operated", { reason: "again", forMs: 60_000 })).circuit.openCount,
      1,
    );
    const { open: count, dueInMs } = await circuits.circuitTotals();
    assert.ok(count >= 1 && dueInMs !== undefined);
    await circuits.resetCircuit("operated", "done");
    assert.equal((await circuitOf("operated"))?.circuit.state, "closed");
  });
}

const RETRY: CommitRequest["decision"] = {
  kind: "requeue",
  reason: "retry",
  delayMs: 60_000,
  costsAttempt: true,
  outOfMemory: false,
  failure: { failureClass: "retryable", code: "BROKE", message: "it broke" },
};
