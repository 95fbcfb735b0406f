import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import type { CompletionCount } from "../store/store.ts";
import { MeasuredClasses } from "../telemetry/metrics/class-measures.ts";
import { CompletionCounts } from "./completion-counts.ts";

function setup() {
  const classes = new MeasuredClasses(10, (id) => ({ queue: "q", type: `type-${id}` }));
  const calls: [number, readonly CompletionCount[]][] = [];
  let away = false;
  const service = new CompletionCounts({
    schedulerId: "s",
    counters: { classes },
    store: {
      addCompletions: async (_, number, counts) => {
        calls.push([number, counts]);
        if (away) throw new DatabaseUnavailableError("away", true, undefined);
      },
    },
  });
  const complete = (classId: number, count: number) => {
    classes.of(classId).finished.succeeded += count;
  };
  const setAway = (value: boolean) => {
    away = value;
  };
  return { classes, service, calls, complete, setAway };
}

describe("the counts of completions", () => {
  it("are written with what succeeded since the last write, successes with warnings among it", async () => {
    const { classes, service, calls, complete } = setup();
    complete(1, 3);
    classes.of(2).finished.succeeded_with_warnings++;
    classes.of(2).finished.failed += 5;
    await service.runOnce();
    complete(1, 1);
    await service.runOnce();
    const one = (type: string, count: number) => ({ queue: "q", type, count });
    assert.deepEqual(calls, [
      [1, [one("type-1", 3), one("type-2", 1)]],
      [2, [one("type-1", 1)]],
    ]);
  });

  it("are written again under the same number when the outcome of a write is unknown", async () => {
    const { service, calls, complete, setAway } = setup();
    complete(1, 3);
    setAway(true);
    await assert.rejects(service.runOnce());
    complete(1, 4);
    setAway(false);
    await service.runOnce();
    await service.runOnce();
    const one = (count: number) => [{ queue: "q", type: "type-1", count }];
    assert.deepEqual(calls, [
      [1, one(3)],
      [1, one(3)],
      [2, one(4)],
    ]);
  });

  it("write their time also when nothing succeeded", async () => {
    const { service, calls } = setup();
    await service.runOnce();
    assert.deepEqual(calls, [[0, []]]);
  });
});
