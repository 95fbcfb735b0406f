import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WaitingWindow } from "../../domain/tasks/window.ts";
import { ClassQueue } from "./class-queue.ts";

test("a queue gives out everything in order of priority, then of id, whatever class it is in", () => {
  const tasks = fc.uniqueArray(
    fc.record({ id: fc.integer({ min: 1, max: 500 }), priority: fc.integer({ min: -2, max: 2 }) }),
    { selector: ({ id }) => id, maxLength: 60 },
  );
  fc.assert(
    fc.property(tasks, fc.integer({ min: 1, max: 8 }), (all, classes) => {
      const items = Array.from({ length: classes }, () => ({ window: new WaitingWindow() }));
      for (const task of all) items[task.id % classes]?.window.add(task);
      const queue = new ClassQueue(items);
      const out: number[] = [];
      for (let first = queue.first; first; first = queue.first) {
        out.push(first.window.shift()?.id ?? 0);
        queue.requeueFirst();
      }
      const expected = [...all].sort((a, b) => b.priority - a.priority || a.id - b.id).map(({ id }) => id);
      assert.deepEqual(out, expected);
    }),
  );
});

test("a class without an eligible worker is skipped", () => {
  const [one, two] = [{ window: new WaitingWindow() }, { window: new WaitingWindow() }];
  one.window.add({ id: 1, priority: 5 });
  two.window.add({ id: 2, priority: 0 });
  const queue = new ClassQueue([one, two]);
  queue.dropFirst();
  assert.equal(queue.first, two);
  queue.dropFirst();
  assert.equal(queue.first, undefined);
});
