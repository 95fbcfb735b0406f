import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImpossibleTransition, nextState } from "../../state-machine.ts";
import { type Circuit, type CircuitRule, circuitLimit, countsOf } from "./circuit.ts";
import {
  CIRCUIT_MACHINE,
  type CircuitResult,
  countResults,
  halfOpen,
  newCircuit,
  openByOperator,
  openForMs,
  reset,
} from "./circuit-machine.ts";

const RULE: CircuitRule = {
  key: "k",
  failureRate: 0.5,
  windowMs: 10_000,
  minSamples: 4,
  openForMs: 1_000,
  maxOpenForMs: 5_000,
  probes: 2,
};
const START = 1_000_000;

function results(outcomes: string, at: number, rule = RULE): CircuitResult[] {
  return Array.from(outcomes, (outcome, index) =>
    outcome === "f"
      ? {
          ...{ rule, assignedAt: at, outcome: "failed" },
          failure: { taskId: index + 1, epoch: 1, code: "BROKE", message: "it broke" },
        }
      : { rule, assignedAt: at, outcome: "succeeded" },
  );
}

/** Counts one result after the other. */
function counted(circuit: Circuit, outcomes: string, now: number, rule = RULE): Circuit {
  return Array.from(outcomes).reduce(
    (before, outcome) => countResults(before, results(outcome, now, rule), now, 0).circuit,
    circuit,
  );
}

/** A circuit that four failures opened. */
const opened = (): Circuit => counted(newCircuit("k", START), "ffff", START);

/** The same when its first probe is due. */
function due(): Circuit {
  const change = halfOpen(opened(), START + RULE.openForMs);
  assert.ok(change);
  return change.circuit;
}

describe("a circuit", () => {
  it("opens at the rate, and not below the minimum of results", () => {
    assert.equal(counted(newCircuit("k", START), "fff", START).state, "closed");
    assert.equal(counted(newCircuit("k", START), "sssfff", START).state, "open");
    assert.equal(counted(newCircuit("k", START), "ssssfff", START).state, "closed");
    const third = { ...RULE, failureRate: 0.3, minSamples: 10 };
    assert.equal(counted(newCircuit("k", START), "sssssssfff", START, third).state, "open");
    assert.equal(counted(newCircuit("k", START), "ssssssssff", START, third).state, "closed");
  });

  it("stays closed in mode observe, and says once that it would have opened until that opening would be over", () => {
    const withMode = (mode: "observe" | "off", outcomes: string, circuit: Circuit, now: number) =>
      countResults(
        circuit,
        results(outcomes, now).map((each) => ({ ...each, mode })),
        now,
        0,
      );
    const first = withMode("observe", "ffff", newCircuit("k", START), START);
    assert.deepEqual([first.circuit.state, first.transition, first.wouldOpen], ["closed", undefined, true]);
    assert.equal(circuitLimit(first.circuit), undefined);
    const during = withMode("observe", "f", first.circuit, START + RULE.openForMs - 1);
    assert.deepEqual([during.wouldOpen, countsOf(during.circuit, START + 1_000).failed], [undefined, 5]);
    const after = withMode("observe", "f", during.circuit, START + RULE.openForMs);
    assert.equal(after.wouldOpen, true, "a probe would have opened it again");
    assert.equal(after.circuit.wouldBeOpen?.until, START + 3 * RULE.openForMs, "for twice as long");
    assert.deepEqual(withMode("off", "ffff", newCircuit("k", START), START).wouldOpen, undefined);
    const acts = countResults(after.circuit, results("f", START + 4_000), START + 4_000, 0);
    assert.equal(acts.transition, "open", "in mode act the counts so far open it");
  });

  it("stays half-open in mode observe when a probe fails, and is closed by later ones", () => {
    const now = START + 1_100;
    const probes = (outcomes: string) =>
      results(outcomes, now).map((each) => ({ ...each, mode: "observe" as const }));
    const failed = countResults(due(), probes("sf"), now, 0);
    assert.deepEqual(
      [failed.circuit.state, failed.wouldOpen, failed.circuit.probesSucceeded],
      ["half_open", true, 0],
    );
    assert.equal(countResults(failed.circuit, probes("ss"), now, 0).transition, "close");
  });

  it("keeps the counts that opened it, the last errors, and when it probes", () => {
    const circuit = counted(newCircuit("k", START), "sfff", START);
    assert.deepEqual(countsOf(circuit, START + 60_000), { succeeded: 1, failed: 3 });
    assert.equal(circuit.failures.length, 3);
    assert.deepEqual([circuit.openCount, circuit.probeAt], [1, START + RULE.openForMs]);
    assert.equal(circuitLimit(circuit), 0);
  });

  it("counts nothing while it is open, and no attempt from before it opened while it is half-open", () => {
    const open = opened();
    assert.equal(countResults(open, results("fs", START), START + 10, 0).circuit, open);
    const old = countResults(due(), results("ssff", START), START + 1_100, 0);
    assert.deepEqual([old.transition, old.circuit.probesSucceeded], [undefined, 0]);
  });

  it("lets probes through when the time has come, not before", () => {
    assert.equal(halfOpen(opened(), START + RULE.openForMs - 1), undefined);
    const circuit = due();
    assert.deepEqual([circuit.state, circuitLimit(circuit)], ["half_open", RULE.probes]);
    assert.equal(halfOpen(circuit, START + 9_999), undefined, "it is half-open already");
  });

  it("closes after as many successes as there are probes, and forgets what it counted", () => {
    const first = countResults(due(), results("s", START + 1_001), START + 1_002, 0);
    assert.deepEqual([first.transition, first.circuit.probesSucceeded], [undefined, 1]);
    const { transition, circuit } = countResults(
      first.circuit,
      results("s", START + 1_003),
      START + 1_004,
      0,
    );
    assert.deepEqual([transition, circuit.state, circuitLimit(circuit)], ["close", "closed", undefined]);
    assert.deepEqual(countsOf(circuit, START + 1_004), { succeeded: 0, failed: 0 });
    assert.deepEqual([circuit.openCount, circuit.notClosedSince], [0, undefined]);
  });

  it("opens again with one failed probe, each time for twice as long, up to the maximum", () => {
    let circuit = opened();
    const lengths: number[] = [];
    for (let now = START; lengths.length < 5; ) {
      lengths.push((circuit.probeAt ?? 0) - now);
      now = circuit.probeAt ?? 0;
      const half = halfOpen(circuit, now);
      assert.ok(half);
      now += 5;
      const failed = countResults(half.circuit, results("sf", now - 1), now, 0);
      assert.equal(failed.transition, "reopen");
      circuit = failed.circuit;
    }
    assert.deepEqual(lengths, [1_000, 2_000, 4_000, 5_000, 5_000]);
    assert.deepEqual([circuit.openCount, circuit.notClosedSince], [6, START]);
  });

  it("is open up to a tenth longer by chance", () => {
    for (const random of [0, 0.3, 0.999]) {
      const ms = openForMs(RULE, 2, random);
      assert.ok(ms >= 2_000 && ms <= 2_200, `${ms}`);
    }
    assert.equal(openForMs(RULE, 1_000, 0), RULE.maxOpenForMs);
  });

  it("forgets what has left the window", () => {
    let circuit = counted(newCircuit("k", START), "fff", START);
    circuit = counted(circuit, "f", START + RULE.windowMs + 1);
    assert.equal(circuit.state, "closed");
    assert.deepEqual(countsOf(circuit, START + RULE.windowMs + 1), { succeeded: 0, failed: 1 });
  });

  it("has the rule of the last result while it is closed, and keeps the one that opened it", () => {
    const other = { ...RULE, probes: 7 };
    assert.equal(counted(counted(newCircuit("k", START), "f", START, other), "s", START).rule, RULE);
    const open = counted(newCircuit("k", START), "ffff", START, other);
    assert.equal(counted(open, "f", START + 1).rule, other);
    const half = halfOpen(open, START + 2_000);
    assert.equal(half && circuitLimit(half.circuit), 7);
  });

  it("is opened by an operator for a time or until it is reset", () => {
    const { circuit } = openByOperator(newCircuit("k", START), "maintenance", undefined, START);
    assert.deepEqual(
      [circuit.state, circuit.probeAt, circuit.openReason],
      ["open", undefined, "maintenance"],
    );
    assert.equal(halfOpen(circuit, Number.MAX_SAFE_INTEGER), undefined);
    const timed = openByOperator(due(), "maintenance", 60_000, START + 2_000).circuit;
    assert.equal(timed.probeAt, START + 62_000);
    const closed = reset(timed, START + 3_000).circuit;
    assert.deepEqual([closed.state, closed.openReason, closed.failures.length], ["closed", undefined, 0]);
    assert.equal(reset(closed, START + 3_001).circuit.state, "closed", "one that is closed is no error");
  });

  it("throws for a transition that its state does not have", () => {
    assert.throws(
      () => nextState(CIRCUIT_MACHINE, "closed", "halfOpen", () => "k", undefined),
      ImpossibleTransition,
    );
  });

  it("keeps its promises through random sequences", () => {
    for (let seed = 1; seed <= 300; seed++) walk(seed);
  });
});

/** A random sequence, checked against every result that was counted. */
function walk(seed: number): void {
  const random = randomOf(seed);
  const rule: CircuitRule = {
    ...RULE,
    failureRate: [0.1, 0.5, 1][Math.floor(random() * 3)] ?? 1,
    minSamples: 1 + Math.floor(random() * 6),
    probes: 1 + Math.floor(random() * 3),
  };
  let now = START;
  let circuit = newCircuit("k", now);
  let history: { at: number; outcome: string }[] = [];
  for (let step = 0; step < 80; step++) {
    now += Math.floor(random() * 900);
    const before = circuit;
    const kind = random();
    if (kind < 0.05) circuit = openByOperator(circuit, "why", random() < 0.5 ? 700 : undefined, now).circuit;
    else if (kind < 0.1) circuit = reset(circuit, now).circuit;
    else if (kind < 0.4) circuit = halfOpen(circuit, now)?.circuit ?? circuit;
    else {
      const outcomes = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        random() < 0.6 ? "s" : "f",
      );
      circuit = countResults(circuit, results(outcomes.join(""), now - 1, rule), now, random()).circuit;
      if (before.state === "closed") history.push(...outcomes.map((outcome) => ({ at: now, outcome })));
      if (before.state === "half_open") assertProbed(before, circuit, outcomes, now);
    }
    const where = `seed ${seed}, step ${step}`;
    const isReset = kind >= 0.05 && kind < 0.1;
    if (isReset || (before.state !== "closed" && circuit.state === "closed")) history = [];
    if (before.state === "open" && circuit.state === "half_open")
      assert.ok(before.probeAt !== undefined && before.probeAt <= now, where);
    // Time alone opens nothing: the rate is looked at with each result.
    if (kind >= 0.4 && before.state === "closed" && circuit.state === "closed")
      assertWindow(circuit, history, now, where);
    assert.ok(circuit.counts.length <= 60 && circuit.failures.length <= 5, where);
    assert.equal(
      circuitLimit(circuit),
      { closed: undefined, open: 0, half_open: (circuit.rule ?? { probes: 1 }).probes }[circuit.state],
      where,
    );
  }
}

/** Every result counts at least nine tenths of the window, and none longer than the window; below the rate it stays closed. */
function assertWindow(
  circuit: Circuit,
  history: readonly { at: number; outcome: string }[],
  now: number,
  where: string,
) {
  if (!circuit.rule) return;
  const { windowMs, minSamples, failureRate } = circuit.rule;
  const { succeeded, failed } = countsOf(circuit, now);
  const within = (ms: number) => history.filter(({ at }) => at > now - ms).length;
  assert.ok(succeeded + failed <= within(windowMs), where);
  assert.ok(succeeded + failed >= within(windowMs * 0.9), where);
  assert.ok(succeeded + failed < minSamples || failed / (succeeded + failed) < failureRate, where);
}

function assertProbed(before: Circuit, after: Circuit, outcomes: readonly string[], now: number): void {
  const isProbe = now - 1 > (before.openedAt ?? 0);
  const expected = !isProbe
    ? "half_open"
    : outcomes.includes("f")
      ? "open"
      : before.probesSucceeded + outcomes.length >= (before.rule?.probes ?? 1)
        ? "closed"
        : "half_open";
  assert.equal(after.state, expected);
}

/** A small generator of numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}
