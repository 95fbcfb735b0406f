import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Batcher } from "./batcher.ts";

/** A flush whose end the test decides. */
function controlled() {
  const batches: number[][] = [];
  const ends: ((error?: Error) => void)[] = [];
  const flush = (items: readonly number[]) =>
    new Promise<number[]>((resolve, reject) => {
      batches.push([...items]);
      ends.push((error) => (error ? reject(error) : resolve(items.map((item) => item * 10))));
    });
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { batches, flush, end: (n: number, error?: Error) => ends[n]?.(error), turn };
}

describe("group commit", () => {
  it("flushes at once when idle, and what arrives meanwhile together", async () => {
    const { batches, flush, end, turn } = controlled();
    const batcher = new Batcher(flush, { maxWeight: 100 });
    const first = batcher.add(1);
    await turn();
    const others = [batcher.add(2), batcher.add(3)];
    await turn();
    assert.deepEqual(batches, [[1]]);
    assert.equal(batcher.size, 2);
    end(0);
    assert.equal(await first, 10);
    await turn();
    assert.deepEqual(batches, [[1], [2, 3]]);
    end(1);
    assert.deepEqual(await Promise.all(others), [20, 30]);
    await batcher.idle();
    assert.equal(batcher.size, 0);
  });

  it("puts items of one turn in one flush", async () => {
    const { batches, flush, end, turn } = controlled();
    const batcher = new Batcher(flush, { maxWeight: 100 });
    const all = Promise.all([batcher.add(1), batcher.add(2)]);
    await turn();
    assert.deepEqual(batches, [[1, 2]]);
    end(0);
    await all;
  });

  it("gives a failure to the items of its flush alone, and goes on", async () => {
    const { flush, end, turn } = controlled();
    const batcher = new Batcher(flush, { maxWeight: 1 });
    const [bad, good] = [batcher.add(1), batcher.add(2)];
    const failed = assert.rejects(bad, /no/);
    await turn();
    end(0, new Error("no"));
    await failed;
    await turn();
    end(1);
    assert.equal(await good, 20);
    await batcher.idle();
  });

  it("rejects a flush that answers too few", async () => {
    const batcher = new Batcher<number, number>(async () => [], { maxWeight: 10 });
    await assert.rejects(batcher.add(1), /1 items answered 0/);
    await batcher.idle();
  });

  it("keeps the order and the weight, and lets a heavier item go alone", async () => {
    const weights = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(weights, fc.integer({ min: 1, max: 40 }), async (items, maxWeight) => {
        const batches: (readonly { weight: number; n: number }[])[] = [];
        const batcher = new Batcher(
          async (batch: readonly { weight: number; n: number }[]) => {
            batches.push(batch);
            return batch.map(({ n }) => n);
          },
          { maxWeight, weigh: ({ weight }) => weight },
        );
        const answers = await Promise.all(items.map((weight, n) => batcher.add({ weight, n })));
        assert.deepEqual(
          answers,
          items.map((_, n) => n),
        );
        assert.deepEqual(
          batches.flat().map(({ n }) => n),
          items.map((_, n) => n),
        );
        for (const batch of batches) {
          const weight = batch.reduce((sum, item) => sum + item.weight, 0);
          assert.ok(batch.length === 1 || weight <= maxWeight);
        }
      }),
    );
  });

  it("begins a second flush when half of a full batch waits, and goes back to one", async () => {
    const { batches, flush, end, turn } = controlled();
    const batcher = new Batcher(flush, { maxWeight: 4, lanes: 2 });
    const all = [batcher.add(1)];
    await turn();
    all.push(batcher.add(2));
    await turn();
    assert.deepEqual(batches, [[1]], "one item is not worth a second lane");
    all.push(batcher.add(3));
    await turn();
    assert.deepEqual(batches, [[1], [2, 3]]);
    all.push(batcher.add(4), batcher.add(5), batcher.add(6));
    await turn();
    assert.equal(batches.length, 2, "both lanes are taken");
    end(1);
    await turn();
    assert.deepEqual(batches, [[1], [2, 3], [4, 5, 6]]);
    end(2);
    await turn();
    all.push(batcher.add(7));
    await turn();
    assert.equal(batches.length, 3, "the first lane still runs");
    end(0);
    await turn();
    assert.deepEqual(batches[3], [7]);
    end(3);
    assert.deepEqual(await Promise.all(all), [10, 20, 30, 40, 50, 60, 70]);
    await batcher.idle();
  });
});
