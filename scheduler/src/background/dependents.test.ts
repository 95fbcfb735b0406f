import assert from "node:assert/strict";
import { it } from "node:test";
import type { DependentsStep } from "../store/store.ts";
import { Counters } from "../telemetry/metrics/counters.ts";
import { Dependents } from "./dependents.ts";

it("goes on until no end is left, queues what is ready, and counts what ended", async () => {
  const steps: DependentsStep[] = [
    {
      ends: 2,
      released: [
        { task: { id: 1, classId: 7, priority: 0 }, waitMs: undefined },
        { task: { id: 2, classId: 7, priority: 0 }, waitMs: 5_000 },
      ],
      ended: [],
    },
    { ends: 1, released: [], ended: [{ id: 3, classId: 8, state: "cancelled" }] },
    { ends: 0, released: [], ended: [] },
  ];
  const calls: string[] = [];
  const counters = new Counters();
  await new Dependents({
    store: { releaseDependents: async () => steps.shift() as DependentsStep },
    dispatcher: {
      enqueue: ({ id }) => void calls.push(`enqueue ${id}`),
      waitsEnded: (ids) => void calls.push(`waits ended ${[...ids]}`),
    },
    waits: { woken: (id) => void calls.push(`woken ${id}`) },
    signals: { changed: (id) => void calls.push(`changed ${id}`) },
    peers: { hintWork: (ids) => void calls.push(`hint ${ids}`) },
    classes: { load: async (ids: readonly number[]) => void calls.push(`load ${ids}`) } as never,
    traces: { endedInQueue: (ids) => void calls.push(`traces ${ids}`) },
    counters,
    wakeIn: (ms) => void calls.push(`wake ${ms}`),
  }).runOnce();
  assert.deepEqual(calls, [
    ...["woken 1", "enqueue 1", "changed 1", "wake 5000", "changed 2", "hint 7"],
    ...["load 8", "changed 3", "traces 3", "waits ended 8"],
  ]);
  assert.deepEqual(counters.dependents, { held: 0, released: 2, failed: 0, cancelled: 1 });
  assert.equal(steps.length, 0);
});
