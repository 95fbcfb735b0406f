import assert from "node:assert/strict";
import { test } from "node:test";
import { type Backpressure, compileBackpressure } from "./backpressure.ts";

function faultsOf(option: unknown): string[] {
  const faults: string[] = [];
  compileBackpressure(option as Backpressure, faults);
  return faults;
}

test("backpressure: what is given is kept, what is not is not measured", () => {
  const faults: string[] = [];
  assert.equal(compileBackpressure(undefined, faults), undefined);
  const probe = () => undefined;
  assert.deepEqual(compileBackpressure({ memory: [0.9, 0.8], probe, probeIntervalS: 0.5 }, faults), {
    limits: { cpu: undefined, memory: [0.9, 0.8], loopDelayMs: undefined },
    probe: { run: probe, intervalMs: 500, timeoutMs: 5_000 },
  });
  assert.deepEqual(faults, []);
});

test("backpressure: a wrong value is named with what is allowed", () => {
  assert.deepEqual(faultsOf({ cpu: [0.7, 0.9] }), [
    "option backpressure.cpu: [0.7,0.9] is not [high, low] with 1 >= high > low >= 0",
  ]);
  for (const memory of [
    [90, 70],
    [0.9],
    [0.9, 0.8, 0.7],
    ["0.9", "0.8"],
    [Number.NaN, 0],
    0.9,
    null,
    [0.9, -1],
  ])
    assert.match(faultsOf({ memory })[0] ?? "", /^option backpressure\.memory: /, JSON.stringify(memory));
  assert.match(faultsOf({ loopDelayMs: [Number.POSITIVE_INFINITY, 1] })[0] ?? "", /loopDelayMs/);
  assert.deepEqual(faultsOf({ probe: "cpu" }), ["option backpressure.probe: is string; give a function"]);
  for (const probeTimeoutS of [0, -1, Number.NaN, 3_601])
    assert.match(faultsOf({ probe: () => undefined, probeTimeoutS })[0] ?? "", /0\.1 to 3600/);
  assert.match(faultsOf({})[0] ?? "", /names no measure/);
});
