import assert from "node:assert/strict";
import { test } from "node:test";
import type { WaitingTask } from "../../store/store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { madeEntry } from "./class-entry.ts";
import { ClassWindows } from "./class-windows.ts";

test("a read that began before tasks got other priorities is dropped, and the class is read again", async () => {
  const taskClass = { id: 1, queue: "q", type: "t", requirements: { labels: {}, resources: [] } };
  const entry = madeEntry(taskClass, Number.POSITIVE_INFINITY, 0);
  const reads: ((tasks: WaitingTask[]) => void)[] = [];
  const windows = new ClassWindows({
    store: {
      waitingTasks: () => new Promise((resolve) => void reads.push(resolve)),
      agedTasks: async () => [],
      waitingOfRamp: async () => [],
    },
    clock: new ManualClock(),
    entries: new Map([[1, entry]]),
    ageingMs: Number.POSITIVE_INFINITY,
  });
  windows.add(entry);
  windows.enqueue({ id: 9, classId: 1, priority: 1 });
  const row = (id: number, priority: number) => ({ id, classId: 1, priority, ageMs: 0 });
  const begun = windows.refill([entry], () => false);
  windows.reorder(entry);
  assert.equal(entry.window.size, 0);
  reads[0]?.([row(7, 5), row(8, 5)]);
  assert.equal(await begun, 0);
  assert.deepEqual([entry.window.size, windows.due.has(entry)], [0, true]);
  const again = windows.refill([entry], () => false);
  reads[1]?.([row(8, 9), row(7, 5)]);
  assert.equal(await again, 2);
  assert.equal(entry.window.peek()?.id, 8);
});
