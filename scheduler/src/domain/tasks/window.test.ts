import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WaitingWindow, type WindowEntry } from "./window.ts";

const entries = fc.record(
  { id: fc.integer({ min: 1, max: 40 }), priority: fc.integer({ min: -2, max: 2 }) },
  { noNullPrototype: true },
);
const commands = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), entry: entries }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("shift" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
  ),
  { maxLength: 200 },
);

describe("the window of waiting tasks", () => {
  it("hands out by priority, then by age, without duplicates, as a sorted list would", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const window = new WaitingWindow();
        let model: WindowEntry[] = [];
        for (const command of list) {
          if (command.do === "add") {
            const { id, priority } = command.entry;
            const known = model.find((each) => each.id === id);
            assert.equal(window.add(command.entry), known?.priority !== priority);
            model = [...model.filter((each) => each.id !== id), command.entry];
            model.sort((a, b) => b.priority - a.priority || a.id - b.id);
          } else if (command.do === "shift") assert.deepEqual(window.shift(), model.shift());
          else {
            window.clear();
            model = [];
          }
          assert.equal(window.size, model.length);
          assert.deepEqual(window.peek(), model[0]);
        }
        while (model.length > 0) assert.deepEqual(window.shift(), model.shift());
        assert.equal(window.shift(), undefined);
      }),
    );
  });

  it("takes an id again once it was handed out", () => {
    const window = new WaitingWindow();
    window.add({ id: 1, priority: 0 });
    window.shift();
    assert.equal(window.add({ id: 1, priority: 3 }), true);
    assert.deepEqual(window.shift(), { id: 1, priority: 3 });
  });
});
