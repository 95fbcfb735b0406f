/** What a change of many tasks refuses before it is sent. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { OptionsError } from "../../options/options-error.ts";
import { type BulkChange, type BulkFilter, encodeChange } from "./bulk-changes.ts";

/** As programs without type checks call it. */
function faultsOf(change: unknown, filter: unknown): readonly string[] {
  try {
    encodeChange(change as BulkChange, filter as BulkFilter, {});
    return [];
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    return error.faults;
  }
}

it("refuses a condition, a state and a change that there are not", () => {
  const [misspelt, ...others] = faultsOf("cancel", { queue: "nightly", states: ["queued"] });
  assert.match(misspelt ?? "", /^filter: queue is none of the conditions taskIds, states, queues, /);
  assert.deepEqual(others, []);
  assert.deepEqual(faultsOf("cancel", { states: ["waiting"] }), [
    'filter.states: "waiting" is none of queued, assigned, running, succeeded, failed, cancelled',
  ]);
  for (const change of ["stop", { move: "other" }, {}])
    assert.deepEqual(faultsOf(change, { queues: ["nightly"] }), [
      `change: ${JSON.stringify(change)} is none of "cancel", "retry", "delete", { retry }, { moveTo } and { priority }`,
    ]);
  for (const priority of [1.5, Number.NaN, 1_001, undefined])
    assert.deepEqual(faultsOf({ priority }, { queues: ["nightly"] }), [
      `change: the priority ${priority} is not an integer from -1000 to 1000`,
    ]);
});

it("accepts every change and condition, also those that are undefined", () => {
  const filter = { queues: ["nightly"], types: undefined, minAgeS: 0, states: ["queued"] };
  for (const change of ["cancel", "retry", "delete", { moveTo: "spare" }, { priority: -1_000 }])
    assert.deepEqual(faultsOf(change, filter), []);
});
