import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { LogRow } from "../../scheduler/src/store/store.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: lines of handlers", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const row = (
    taskId: number,
    epoch: number,
    sequences: readonly number[],
    rest: Partial<LogRow> = {},
  ): LogRow => ({
    taskId,
    epoch,
    unverifiedSessionId: undefined,
    endSequence: undefined,
    lines: sequences.map((sequence) => ({
      ...{
        sequence,
        ageMs: 5,
        level: "warn",
        message: `line ${sequence} \0 \ud83d\ude00`,
        fields: '{"a":1}',
      },
    })),
    ...rest,
  });
  const range = (taskId: number, lastEpoch: number) => ({ taskId, sinceMs: 0, firstEpoch: 1, lastEpoch });

  it("keeps lines as they are, by attempt, and reads each attempt from its own position", async () => {
    const { store } = fixture;
    const [id = 0] = await fixture.submit("logs");
    const before = Date.now();
    await store.appendLogs([row(id, 2, [1, 2]), row(id, 1, [1]), row(id, 1, [2, 3], { endSequence: 4 })]);
    const all = await store.logsAfter(range(id, 2), [], 10);
    assert.deepEqual(
      all.map(({ epoch, lastSequence, complete }) => [epoch, lastSequence, complete]),
      [
        [1, 1, false],
        [1, 4, true],
        [2, 2, false],
      ],
    );
    assert.deepEqual(all[0]?.lines, row(id, 1, [1]).lines);
    assert.ok(Math.abs((all[0]?.timeMs ?? 0) - before) < 60_000);
    const later = await store.logsAfter(range(id, 2), [{ epoch: 2, sequence: 2 }], 10);
    assert.deepEqual(
      later.map(({ epoch }) => epoch),
      [1, 1],
    );
    assert.equal((await store.logsAfter(range(id, 2), [], 1)).length, 1);
    assert.deepEqual(await store.logsAfter({ ...range(id, 2), sinceMs: Date.now() + 3_600_000 }, [], 10), []);
  });

  it("keeps the lines of an attempt that has ended only for the session that held it", async () => {
    const { store } = fixture;
    const [mine, other] = [await fixture.session(), await fixture.session()];
    const [id = 0] = await fixture.submit("late");
    const first = await fixture.claimOne(id, mine);
    await store.commitResults([commitRequest(first, failed())]);
    await store.retryTask(id);
    const second = await fixture.claimOne(id, mine);
    const by = (session: number, epoch: number) => row(id, epoch, [1], { unverifiedSessionId: session });
    assert.equal(await store.appendLogs([by(mine, first.epoch), by(other, first.epoch)]), 1);
    assert.equal(await store.appendLogs([by(mine, second.epoch), by(other, second.epoch)]), 1);
    assert.equal(await store.appendLogs([by(mine, second.epoch + 1)]), 1);
    await store.commitResults([commitRequest(second, SUCCEEDED)]);
    assert.equal(await store.appendLogs([by(mine, second.epoch), by(other, second.epoch)]), 1);
    const kept = await store.logsAfter(range(id, second.epoch + 1), [], 10);
    assert.deepEqual(
      kept.map(({ epoch }) => epoch),
      [first.epoch, second.epoch, second.epoch],
    );
  });

  it("reads by the index of the partitions since the task's creation", async () => {
    const { db } = fixture;
    const plan = await db.query<{ "QUERY PLAN": string }>(
      `explain select * from muster.task_log
        where task_id = 1 and epoch = 1 and last_sequence > 0 and time >= now() order by last_sequence limit 9`,
    );
    const text = plan.map((line) => line["QUERY PLAN"]).join("\n");
    assert.doesNotMatch(text, /Seq Scan/);
  });
});
