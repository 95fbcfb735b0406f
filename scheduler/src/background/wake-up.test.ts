import assert from "node:assert/strict";
import { test } from "node:test";
import type { WaitingTask } from "../store/store.ts";
import { WakeUp } from "./wake-up.ts";

/** A service whose store answers these batches in turn. */
function setUp(due: readonly WaitingTask[][], overdue: readonly { id: number; classId: number }[][]) {
  const calls: string[] = [];
  const dues = [...due];
  const overdues = [...overdue];
  const wakeUp = new WakeUp({
    store: {
      wakeDue: async (limit) => dues.shift() ?? assert.fail(`no batch of ${limit} was expected`),
      failOverdue: async (limit) => overdues.shift() ?? assert.fail(`no batch of ${limit} was expected`),
    },
    admission: { endWaits: (ids, path) => void calls.push(`${path} ${ids.join()}`) },
    waits: { woken: (id) => void calls.push(`woken ${id}`) },
    dispatcher: {
      enqueue: ({ id }) => void calls.push(`enqueue ${id}`),
      waitsEnded: (classIds) => void calls.push(`waits ended ${[...classIds].join()}`),
    },
    signals: { changed: (id) => void calls.push(`changed ${id}`) },
    peers: { hintWork: (classIds) => void calls.push(`hint ${classIds.join()}`) },
    classes: { load: async (ids) => void calls.push(`load ${[...ids].join()}`) },
    counters: { failedInQueue: (classId, code) => void calls.push(`class ${classId} ${code}`) },
    traces: { endedInQueue: (ids) => void calls.push(`traced ${ids.join()}`) },
  });
  return { wakeUp, calls, left: () => dues.length + overdues.length };
}

const task = (id: number, classId = 1): WaitingTask => ({ id, classId, priority: 0 });

test("due tasks are queued here, and other schedulers get one hint for each class", async () => {
  const { wakeUp, calls } = setUp([[task(1, 4), task(2, 4)]], [[]]);
  await wakeUp.runOnce();
  assert.deepEqual(calls, [
    ...["woken 1", "enqueue 1", "changed 1", "woken 2", "enqueue 2", "changed 2", "hint 4"],
    ...["load ", "overdue_in_queue ", "traced ", "waits ended "],
  ]);
});

test("overdue tasks fail, and are counted with their class", async () => {
  const { wakeUp, calls } = setUp([[]], [[{ id: 3, classId: 5 }]]);
  await wakeUp.runOnce();
  assert.deepEqual(calls, [
    ...[
      "load 5",
      "changed 3",
      "class 5 DEADLINE_BEFORE_START",
      "overdue_in_queue 3",
      "traced 3",
      "waits ended 5",
    ],
  ]);
});

test("a full batch is followed by another one", async () => {
  const full = Array.from({ length: 1_000 }, (_, id) => task(id));
  const { wakeUp, left } = setUp([full, [task(1_001)]], [full, []]);
  await wakeUp.runOnce();
  assert.equal(left(), 0);
});
