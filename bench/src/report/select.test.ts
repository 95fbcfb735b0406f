import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Sample } from "./sample.ts";
import { isMet, medianOf, parameterValues, runsOf, select, subjects } from "./select.ts";

function sample(part: string, subject: string, run: number, workers: number, ms: number): Sample {
  return { measure: "m", part, subject, run, parameters: { workers }, values: { ms } };
}

const SAMPLES = [
  sample("a", "muster", 1, 1_000, 10),
  sample("a", "muster", 2, 1_000, 30),
  sample("a", "muster", 3, 1_000, 20),
  sample("a", "muster", 1, 50, 1),
  sample("b", "bare", 1, 1_000, 99),
];

describe("samples", () => {
  it("are chosen by part, subject and parameters", () => {
    assert.equal(select(SAMPLES, {}).length, 5);
    assert.equal(select(SAMPLES, { part: "a", parameters: { workers: 1_000 } }).length, 3);
    assert.deepEqual(select(SAMPLES, { subject: "bare" }), [SAMPLES[4]]);
    assert.deepEqual(select(SAMPLES, { parameters: { slots: 1 } }), []);
  });

  it("give the median of a value over those that have it", () => {
    assert.equal(medianOf(SAMPLES, { part: "a", parameters: { workers: 1_000 } }, "ms"), 20);
    assert.ok(Number.isNaN(medianOf(SAMPLES, {}, "none")));
  });

  it("tell which parameters, subjects and runs there are", () => {
    assert.deepEqual(parameterValues(SAMPLES, "workers"), [50, 1_000]);
    assert.deepEqual(subjects(SAMPLES), ["muster", "bare"]);
    assert.equal(runsOf(SAMPLES), 3);
    assert.equal(runsOf(SAMPLES, { subject: "bare" }), 1);
  });

  it("are not met without a figure", () => {
    assert.equal(
      isMet(1, (value) => value < 2),
      true,
    );
    assert.equal(
      isMet(3, (value) => value < 2),
      false,
    );
    assert.equal(
      isMet(Number.NaN, () => true),
      undefined,
    );
  });
});
