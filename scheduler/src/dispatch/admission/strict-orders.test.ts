import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { ConcurrencyKey } from "../../domain/tasks/limits/concurrency.ts";
import { failed, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { HotPath, TYPE } from "../testing/hot-path.ts";

function strict(limit = 1, priority = 0): ConcurrencyKey[] {
  return [{ key: "k", limit, strict: { priority } }];
}

/** Two types with classes of their own. */
const TYPES = { [TYPE]: 0, other: 0 };

describe("strict orders in the dispatch", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  const claims = () =>
    hot.faults
      .callsOf("claimKeyed")
      .map(([wanted]) => (wanted as readonly { taskId: number }[]).map(({ taskId }) => taskId));

  it("claims one after the other across types and priorities, and asks in vain at most once", async () => {
    const worker = hot.worker({ slots: 10, types: TYPES });
    await hot.submit(1, { concurrency: strict() });
    await hot.submit(1, { concurrency: strict(1, 9), type: "other", priority: 9 });
    await hot.submit(2, { concurrency: strict() });
    await hot.submit(1, { concurrency: strict(1, 9), type: "other", priority: 9 });
    await settled();
    for (const id of [1, 2, 3, 4, 5]) {
      assert.deepEqual([...worker.attempts.keys()], [id]);
      hot.report(worker, [id], SUCCEEDED);
      await settled();
    }
    assert.deepEqual(claims().at(-1), [5]);
    assert.ok(hot.dispatch.counters.keyClaimsTurnedBack <= 1, JSON.stringify(claims()));
  });

  it("starts tasks up to a higher limit in order, one a claim", async () => {
    const worker = hot.worker({ slots: 10 });
    await hot.submit(5, { concurrency: strict(3) });
    await settled();
    assert.deepEqual(claims(), [[1], [2], [3]]);
    hot.report(worker, [2], SUCCEEDED);
    await settled();
    assert.deepEqual(claims().slice(3), [[4]]);
    assert.equal(hot.dispatch.counters.keyClaimsTurnedBack, 0);
  });

  it("holds later tasks back while the first waits for its retry, and starts it when it is due", async () => {
    const worker = hot.worker({ slots: 10, types: TYPES });
    await hot.submit(1, { concurrency: strict() });
    await hot.submit(2, { concurrency: strict(), type: "other" });
    await settled();
    hot.report(worker, [1], failed());
    await settled();
    assert.equal(worker.attempts.size, 0);
    const [, other] = hot.tables.classes;
    assert.ok(other);
    const reason = hot.dispatch.admission.holdReason(other);
    assert.equal(reason?.code, "OLDER_TASK_FIRST");
    assert.match(reason.detail, /"k" .* t-1 goes first/);
    const asked = claims().length;
    await hot.poll();
    assert.equal(claims().length, asked, "it is not asked again");
    const row = hot.tables.open.get(1);
    assert.ok(row?.wakeAt !== undefined);
    await hot.clock.pass(row.wakeAt - hot.clock.now() + 1);
    for (const task of await hot.store.claims.wakeDue(10)) hot.dispatch.dispatcher.enqueue(task);
    await settled();
    assert.deepEqual([...worker.attempts.keys()], [1]);
  });

  it("starts a task that was put back before 3,000 later ones, of which the window has some", async () => {
    const worker = hot.worker({ slots: 10 });
    await hot.submit(3_000, { concurrency: strict() });
    await settled();
    hot.report(worker, [1], { kind: "released", reason: "drain" });
    await settled();
    assert.deepEqual([...worker.attempts.keys()], [1]);
    assert.equal(worker.attempts.get(1)?.epoch, 2);
  });

  it("goes on when the first task ends while it waits, here and by a poll elsewhere", async () => {
    const worker = hot.worker({ slots: 10, types: TYPES });
    await hot.submit(1, { concurrency: strict(), type: "no worker has it" });
    await hot.submit(1, { concurrency: strict(), type: "no worker has it" });
    await hot.submit(2, { concurrency: strict() });
    await settled();
    assert.equal(worker.attempts.size, 0);
    const [unserved] = hot.tables.classes;
    assert.ok(unserved);
    hot.tables.open.delete(1);
    hot.dispatch.control.cancelledInQueue({ id: 1, classId: unserved.id });
    await settled();
    assert.equal(worker.attempts.size, 0, "the second one waits still");
    hot.tables.open.delete(2);
    const keyOrders = async (keys: readonly string[]) => keys.map((key) => hot.tables.orderState(key));
    await hot.dispatch.strictOrders.refresh({ keyOrders });
    hot.dispatch.dispatcher.pump();
    await settled();
    assert.deepEqual([...worker.attempts.keys()], [3]);
  });

  it("takes nothing over from a poll that a claim overtook, and forgets what holds nothing back", async () => {
    const worker = hot.worker({ slots: 10, types: TYPES });
    await hot.submit(1, { concurrency: strict(), delayMs: 1_000 });
    await hot.submit(1, { concurrency: strict(), type: "other" });
    await settled();
    const { strictOrders, dispatcher } = hot.dispatch;
    const [delayed] = hot.tables.classes;
    assert.ok(delayed);
    await strictOrders.refresh({
      keyOrders: async () => {
        const before = [hot.tables.orderState("k")];
        hot.tables.open.delete(1);
        dispatcher.waitsEnded([delayed.id]);
        await settled();
        return before;
      },
    });
    await settled();
    assert.deepEqual([...worker.attempts.keys()], [2]);
    await strictOrders.refresh({ keyOrders: async () => [] });
    assert.equal(strictOrders.size, 0);
  });

  it("uses the statement without an order for keys that have none", async () => {
    hot.worker({ slots: 10 });
    await hot.submit(1, { concurrency: [{ key: "plain", limit: 1 }] });
    await hot.submit(1, { concurrency: strict() });
    await settled();
    assert.deepEqual(
      hot.faults.callsOf("claimKeyed").map(([, , order]) => order),
      [false, true],
    );
  });
});
