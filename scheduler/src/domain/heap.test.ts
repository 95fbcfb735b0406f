import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Heap, type Heaped } from "./heap.ts";

interface Item extends Heaped {
  value: number;
}

test("the first is always the least, whatever was pushed, changed and removed", () => {
  const step = fc.record({
    kind: fc.constantFrom("push", "change", "remove"),
    at: fc.nat(),
    value: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new Heap<Item>((one, other) => one.value < other.value);
      const held: Item[] = [];
      for (const { kind, at, value } of steps) {
        const item = held[at % Math.max(1, held.length)];
        if (kind === "push") {
          const made = { value, place: -1 };
          heap.push(made);
          held.push(made);
        } else if (item && kind === "change") {
          item.value = value;
          heap.moved(item);
        } else if (item) {
          heap.remove(item);
          held.splice(held.indexOf(item), 1);
          assert.equal(item.place, -1);
        }
        assert.equal(heap.size, held.length);
        assert.equal(
          heap.first?.value,
          held.length > 0 ? Math.min(...held.map((each) => each.value)) : undefined,
        );
      }
    }),
  );
});

test("a change among 10,000 costs comparisons in the logarithm of them", () => {
  let compared = 0;
  const heap = new Heap<Item>((one, other) => {
    compared++;
    return one.value < other.value;
  });
  for (let value = 0; value < 10_000; value++) heap.push({ value, place: -1 });
  compared = 0;
  for (let n = 0; n < 1_000; n++) {
    const { first } = heap;
    assert.ok(first);
    first.value += 10_000;
    heap.moved(first);
  }
  // 13.3 levels with two comparisons each, and one to see that it does not rise.
  assert.ok(compared <= 1_000 * 29, `${compared / 1_000} comparisons for each`);
});
