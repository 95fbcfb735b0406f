import assert from "node:assert/strict";
import { test } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { OptionsError } from "../../options/options-error.ts";
import type { CircuitOptions } from "./submit-spec.ts";
import { encodeTaskSpec } from "./task-spec.ts";

const encode = (circuit: CircuitOptions) => encodeTaskSpec({ type: "t", circuit }).circuit;

test("a circuit is sent with what was given, and left out when it was not", () => {
  assert.equal(encodeTaskSpec({ type: "t" }).circuit, undefined);
  const empty = encode({});
  assert.deepEqual([empty?.key, empty?.failureRate, empty?.probes, empty?.window], ["", 0, 0, undefined]);
  const full = encode({
    ...{ key: "k", failureRate: 0.3, windowS: 5, minSamples: 7 },
    ...{ openForS: 1.5, maxOpenForS: 9, probes: 2 },
  });
  assert.deepEqual([full?.key, full?.failureRate, full?.minSamples, full?.probes], ["k", 0.3, 7, 2]);
  const lengths = [full?.window, full?.openFor, full?.maxOpenFor].map(
    (length) => length && durationMs(length),
  );
  assert.deepEqual(lengths, [5_000, 1_500, 9_000]);
});

test("a circuit with numbers that mean nothing is refused by their names", () => {
  assert.throws(() => encode({ key: "" }), /circuit\.key is empty/);
  assert.throws(() => encode({ probes: 0 }), /circuit\.probes is 0; give more, or leave it out/);
  assert.throws(
    () => encode({ failureRate: Number.NaN, minSamples: 1.5, windowS: -1 }),
    (error) =>
      error instanceof OptionsError &&
      ["failureRate", "minSamples", "windowS"].every((name) => error.message.includes(`circuit.${name}`)),
  );
});
