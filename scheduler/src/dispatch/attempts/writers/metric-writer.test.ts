import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import type { AttemptSums, MetricGrowth } from "../../../store/store.ts";
import { Counters } from "../../../telemetry/metrics/counters.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { MetricWriter } from "./metric-writer.ts";

type Answer = (sums: readonly AttemptSums[]) => Promise<readonly MetricGrowth[]>;

function writing(answer: Answer = async () => []) {
  const clock = new ManualClock();
  const writes: string[] = [];
  const logged: string[] = [];
  const counters = new Counters();
  let answering = answer;
  const writer = new MetricWriter({
    clock,
    counters,
    log: { warn: (event) => void logged.push(event), error: (event) => void logged.push(event) },
    store: {
      addMetrics: (batch) => {
        writes.push(
          batch.map(({ key, sums }) => `t-${key.taskId}.${key.epoch} ${JSON.stringify(sums)}`).join(" "),
        );
        return answering(batch);
      },
    },
  });
  return {
    writer,
    writes,
    logged,
    clock,
    counters,
    answerWith: (next: Answer) => {
      answering = next;
    },
  };
}

const key = (taskId: number, epoch = 1) => ({ taskId, epoch });
const away: Answer = () => Promise.reject(new DatabaseUnavailableError("away", false, undefined));

describe("the writer of what handlers measured", () => {
  it("writes the latest sums of each attempt, many in one statement", async () => {
    const { writer, writes } = writing();
    writer.put({ key: key(1), sums: { a: 1 }, facts: {} });
    writer.put({ key: key(1), sums: { a: 2 }, facts: {} });
    writer.put({ key: key(1, 2), sums: { a: 5 }, facts: {} });
    writer.put({ key: key(2), sums: { b: 1 }, facts: {} });
    await writer.flush();
    assert.deepEqual(writes, ['t-1.1 {"a":2} t-1.2 {"a":5} t-2.1 {"b":1}']);
  });

  it("writes what waits of a task before its end, also what is under way, and costs nothing without", async () => {
    const { promise, resolve } = Promise.withResolvers<readonly MetricGrowth[]>();
    const { writer, writes } = writing(() => promise);
    await writer.flushOf([1, 2]);
    assert.deepEqual(writes, []);
    writer.put({ key: key(1), sums: { a: 1 }, facts: {} });
    let flushed = false;
    const flush = writer.flushOf([1]).then(() => {
      flushed = true;
    });
    while (writes.length === 0) await new Promise(setImmediate);
    await writer.flushOf([2]);
    assert.equal(flushed, false, "the statement is not answered");
    resolve([]);
    await flush;
  });

  it("keeps what an absent database did not take, newer sums first, and writes it again", async () => {
    const { writer, writes, clock, answerWith } = writing(away);
    writer.put({ key: key(1), sums: { a: 1 }, facts: {} });
    await writer.flushOf([1]);
    writer.put({ key: key(1), sums: { a: 2 }, facts: {} });
    assert.equal(writes.length, 1, "it waits");
    answerWith(async () => []);
    await clock.pass(100);
    await writer.flush();
    assert.deepEqual(writes, ['t-1.1 {"a":1}', 't-1.1 {"a":2}']);
  });

  it("writes at once when the database is back, and when the scheduler stops", async () => {
    const { writer, writes, answerWith } = writing(away);
    writer.put({ key: key(1), sums: { a: 1 }, facts: {} });
    await writer.flush();
    answerWith(async () => []);
    writer.tryNow();
    await writer.flush();
    assert.equal(writes.length, 2);
    writer.put({ key: key(2), sums: { a: 1 }, facts: {} });
    await writer.stop();
    assert.equal(writes.length, 3);
    writer.put({ key: key(3), sums: { a: 1 }, facts: {} });
    await new Promise(setImmediate);
    await writer.stop();
    assert.equal(writes.length, 3, "nothing more after the stop");
  });

  it("logs what the database refuses, and goes on", async () => {
    const { writer, writes, logged, answerWith } = writing(() => Promise.reject(new Error("not storable")));
    writer.put({ key: key(1), sums: { a: 1 }, facts: {} });
    await writer.flush();
    assert.deepEqual(logged, ["task_metric.write_failed"]);
    answerWith(async () => []);
    writer.put({ key: key(1), sums: { a: 2 }, facts: {} });
    await writer.flush();
    assert.equal(writes.length, 2);
  });

  it("counts the growth, and says once that further names are counted as other", async () => {
    let n = 0;
    const { writer, logged, counters } = writing(async () =>
      Array.from({ length: 30 }, () => ({ classId: 1, name: `m${n++}`, growth: 2 })),
    );
    for (const taskId of [1, 2, 3]) {
      writer.put({ key: key(taskId), sums: { a: 1 }, facts: {} });
      await writer.flush();
    }
    const sums = [...counters.taskMetrics.all()];
    assert.equal(
      sums.reduce((total, [, sum]) => total + sum, 0),
      180,
    );
    assert.equal(sums.length, 51);
    assert.deepEqual(logged, ["task_metric.names_limited"]);
  });
});
