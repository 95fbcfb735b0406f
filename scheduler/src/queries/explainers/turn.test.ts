import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AGEING_MS, HotPath, TYPE } from "../../dispatch/testing/hot-path.ts";
import type { TaskRecord } from "../../domain/tasks/task.ts";
import { settled } from "../../testing/manual-clock.ts";
import { readTurn } from "./turn.ts";

const NOW = new Date("2026-01-01T12:00:00Z");

describe("what shares the workers with a waiting task", () => {
  /** A scheduler whose only worker is busy. */
  async function busy(): Promise<HotPath> {
    const hot = new HotPath();
    hot.worker({ queues: ["default", "other"] });
    await hot.submit();
    await settled();
    return hot;
  }

  function turnOf(hot: HotPath, id: number, readyTime = NOW) {
    const row = hot.tables.open.get(id);
    assert.ok(row);
    const { admission, classes } = hot.dispatch;
    const task = { id, classId: row.classId, priority: row.task.priority, readyTime } as TaskRecord;
    return readTurn({ admission, classes, store: hot.store.classes as never }, task, NOW);
  }

  it("is the queues and keys with ready tasks, by their weights; not what has started elsewhere", async () => {
    const hot = await busy();
    const { order } = hot.dispatch.classes.windows;
    order.setWeights({
      queue: (name) => (name === "other" ? 3 : 1),
      key: (_, key) => (key === "b" ? 4 : undefined),
    });
    const [a = 0] = await hot.waiting(1, { fairness: { key: "a", weight: 2 } });
    await hot.waiting(1, { fairness: { key: "b", weight: 1 } });
    await hot.waiting(1, { queue: "other" });
    const [started = 0] = await hot.waiting(1, { fairness: { key: "c", weight: 1 } });
    await hot.poll();
    await hot.store.claims.claim([{ taskId: started, sessionId: hot.tables.openSession("other") }], "other");
    assert.deepEqual(await turnOf(hot, a), {
      queue: {
        ...{ name: "default", weight: 1, otherCount: 1, otherWeight: 3 },
        others: [{ name: "other", weight: 3 }],
      },
      key: { name: "a", weight: 2, others: [{ name: "b", weight: 4 }], otherCount: 1, otherWeight: 4 },
      next: { queue: "other", key: "" },
    });
  });

  it("names a higher priority that goes first, until the task has waited for its levels", async () => {
    const hot = await busy();
    const [low = 0] = await hot.waiting(1);
    await hot.waiting(1, { priority: 2, type: TYPE });
    await hot.poll();
    assert.deepEqual((await turnOf(hot, low))?.priority, {
      ...{ own: 0, first: 2 },
      passesAt: new Date(NOW.getTime() + 2 * AGEING_MS),
    });
    const old = new Date(NOW.getTime() - 2 * AGEING_MS - 1);
    assert.equal((await turnOf(hot, low, old))?.priority, undefined);
  });
});
