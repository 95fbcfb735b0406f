import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WaitingWindow, type WindowEntry } from "./window.ts";

const entries = fc.record(
  {
    id: fc.integer({ min: 1, max: 40 }),
    priority: fc.integer({ min: -2, max: 2 }),
    readyAt: fc.integer({ min: 0, max: 50 }),
  },
  { noNullPrototype: true },
);

/** The first of each priority, and of these the one that goes first. */
function firstOf(model: readonly WindowEntry[], ageingMs: number): WindowEntry | undefined {
  const fronts = [...Map.groupBy(model, ({ priority }) => priority).values()].map((level) =>
    level.reduce((first, each) => (each.id < first.id ? each : first)),
  );
  const rank = ({ priority, readyAt = 0 }: WindowEntry) => readyAt - priority * ageingMs;
  return fronts.sort((a, b) =>
    ageingMs === Number.POSITIVE_INFINITY
      ? b.priority - a.priority
      : rank(a) - rank(b) || b.priority - a.priority,
  )[0];
}
const commands = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), entry: entries }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("shift" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("drop" as const),
        ids: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 10 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const) }) },
  ),
  { maxLength: 200 },
);

describe("the window of waiting tasks", () => {
  it("hands out by priority with ageing, then by age, without duplicates", () => {
    const intervals = fc.constantFrom(Number.POSITIVE_INFINITY, 1, 10);
    fc.assert(
      fc.property(commands, intervals, (list, ageingMs) => {
        const window = new WaitingWindow(ageingMs);
        let model: WindowEntry[] = [];
        const take = () => {
          const first = firstOf(model, ageingMs);
          model = model.filter((each) => each !== first);
          return first;
        };
        for (const command of list) {
          if (command.do === "add") {
            const { id, priority } = command.entry;
            const known = model.find((each) => each.id === id);
            assert.equal(window.add(command.entry), known?.priority !== priority);
            if (known?.priority !== priority)
              model = [...model.filter((each) => each.id !== id), command.entry];
          } else if (command.do === "shift") assert.deepEqual(window.shift(), take());
          else if (command.do === "drop") {
            const gone = new Set(command.ids);
            assert.equal(
              window.drop(command.ids),
              model.some(({ id }) => gone.has(id)),
            );
            model = model.filter(({ id }) => !gone.has(id));
          } else {
            window.clear();
            model = [];
          }
          assert.equal(window.size, model.length);
          assert.deepEqual(window.peek(), firstOf(model, ageingMs));
        }
        while (model.length > 0) assert.deepEqual(window.shift(), take());
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

  it("counts what goes before a task, by priority with ageing", () => {
    const window = new WaitingWindow(100);
    window.add({ id: 1, priority: 0, readyAt: 0 });
    window.add({ id: 2, priority: 5, readyAt: 400 });
    window.add({ id: 3, priority: 5, readyAt: 501 });
    window.add({ id: 4, priority: 5 }, 502);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((id) => window.rank({ id })),
      [1, 0, 2, 3, undefined],
    );
  });
});
