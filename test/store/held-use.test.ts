import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openFixture, type StoreFixture } from "./fixture.ts";

describe("what sessions hold by the table of tasks", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("counts attempts, slots and capacities, of the sessions that are asked for", async () => {
    const { db, store } = fixture;
    const [holder, other, idle] = [await fixture.session(), await fixture.session(), await fixture.session()];
    const plain = await fixture.submit("plain", 3);
    const costly = await fixture.submit("costly", 2);
    await db.query(`update muster.task_class set cost = $1 where type = 'costly'`, [
      JSON.stringify([
        { name: "gpu_memory_mb", amount: 8_000 },
        { name: "slots", amount: 2 },
      ]),
    ]);
    for (const taskId of [...plain.slice(0, 1), ...costly]) await fixture.claimOne(taskId, holder);
    for (const taskId of plain.slice(1, 2)) await fixture.claimOne(taskId, other);
    assert.deepEqual(await store.heldUse([holder, idle]), [
      { sessionId: holder, outstanding: 3, slots: 5, used: { gpu_memory_mb: 16_000 } },
    ]);
    assert.deepEqual(await store.heldUse([]), []);
  });
});
