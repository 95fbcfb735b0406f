/** Compares what admission counts after every path on which an attempt ends or is given back. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ADMISSION_PATHS } from "../../scheduler/src/dispatch/admission/release-path.ts";
import type { ConcurrencyKey } from "../../scheduler/src/domain/tasks/limits/concurrency.ts";
import { openFixture, type StoreFixture } from "../store/fixture.ts";
import { PATHS, type Walk } from "./admission-walks.ts";
import { TestDispatch } from "./dispatch-fixture.ts";

/** One at a time: a count that is left over blocks the next walk. */
const KEYS = [
  { key: "walk", limit: 1 },
  { key: "walks", limit: 1 },
];

describe("what admission counts", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });

  after(() => fixture.close());

  async function start(limit?: number, keys?: readonly ConcurrencyKey[]): Promise<Walk> {
    const walk = {
      store: fixture.store,
      a: new TestDispatch(fixture.store, "a", limit, keys),
      b: new TestDispatch(fixture.store, "b", undefined, keys),
    };
    await walk.a.dispatch.classes.learn();
    await walk.b.dispatch.classes.learn();
    return walk;
  }

  /** Ends the sessions and tasks of a walk, so that the next one finds none. */
  async function clear({ a, b }: Walk): Promise<void> {
    await Promise.all([a.stop(), b.stop()]);
    for (const table of ["task", "session_lease", "worker_session"])
      await fixture.db.query(`delete from muster.${table}`);
    await fixture.db.query("update muster.concurrency_key set held = 0");
  }

  const both = PATHS.flatMap((path) => [
    { ...path, keys: undefined },
    { ...path, name: `${path.name}, with concurrency keys`, keys: KEYS },
  ]);
  for (const { name, paths, limit, walk, keys } of both) {
    it(`is released on the path of ${name}`, async () => {
      const parts = await start(limit, keys);
      const { a, b } = parts;
      try {
        const id = await walk(parts);
        await a.until(({ released }) => released.length >= paths.length);
        await a.stop();
        assert.deepEqual(new Set(a.rule.released.map(({ taskId }) => taskId)), new Set([id]));
        assert.deepEqual(a.rule.released.map(({ path }) => path).sort(), [...paths].sort());
        assert.deepEqual([a.rule.total, b.rule.total], [0, 0]);
        await b.stop();
        assert.deepEqual(await fixture.store.keyDifferences(10), [], "the keys are counted as the rows are");
      } finally {
        await clear(parts);
      }
    });
  }

  it("has a walk for every path", () => {
    const walked = new Set(PATHS.flatMap(({ paths }) => paths));
    assert.deepEqual([...walked].sort(), Object.keys(ADMISSION_PATHS).sort());
  });
});
