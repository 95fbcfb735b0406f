import assert from "node:assert/strict";
import { test } from "node:test";
import type { Coverage } from "../../domain/matching/coverage.ts";
import { queueOverviews } from "./queue-overviews.ts";

function coverage(queue: string, type: string, fields: Partial<Coverage>): Coverage {
  return {
    taskClass: { id: 1, queue, type, requirements: { labels: {}, resources: [] } },
    ready: 0,
    active: 0,
    scheduled: 0,
    oldestReadyAgeMs: undefined,
    eligible: 1,
    freeSlots: 1,
    ...fields,
  };
}

const queue = (name: string, pauseTime?: Date) => ({ name, pauseTime, pauseReason: undefined, weight: 1 });

test("queues that need attention come first: without a worker, then paused with work, then the fullest", async () => {
  const { total, entries } = await queueOverviews(
    {
      queues: [queue("full"), queue("paused", new Date(0)), queue("unserved"), queue("empty")],
      classes: [
        coverage("full", "a", { ready: 50, active: 10 }),
        coverage("paused", "a", { ready: 1 }),
        coverage("unserved", "a", { ready: 2, eligible: 0, oldestReadyAgeMs: 10 }),
        coverage("unserved", "b", { ready: 1, eligible: 0, oldestReadyAgeMs: 99 }),
        coverage("unserved", "c", { ready: 4 }),
      ],
    },
    10,
  );
  assert.deepEqual(
    entries.map(({ depth }) => depth.name),
    ["unserved", "paused", "full", "empty"],
  );
  assert.deepEqual(total, { ready: 58, scheduled: 0, active: 10 });
  const [unserved] = entries;
  assert.deepEqual([unserved?.unservable, unserved?.unservableType], [3, "b"]);
  assert.equal(unserved?.depth.oldestReadyAgeMs, 99);
});

test("classes of one type are one line of their queue, and lines beyond ten are counted", async () => {
  const classes = Array.from({ length: 12 }, (_, n) => coverage("q", `t${n}`, { ready: n }));
  const { entries } = await queueOverviews(
    { queues: [queue("q")], classes: [...classes, coverage("q", "t0", { ready: 100 })] },
    10,
  );
  const depth = entries[0]?.depth;
  assert.deepEqual([depth?.types.length, depth?.typeCount, depth?.types[0]?.ready], [10, 12, 100]);
});
