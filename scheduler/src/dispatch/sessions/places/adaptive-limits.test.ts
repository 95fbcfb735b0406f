import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AdaptiveLimit } from "../../../domain/workers/adaptive-limit.ts";
import type { NewEvent } from "../../../store/store.ts";
import { madeSession } from "../../testing/made-session.ts";
import { recordedLog } from "../../testing/recorded-log.ts";
import { takeLimits } from "./adaptive-limits.ts";

const limit = (now: number, previous = 4): AdaptiveLimit => ({
  ...{ limit: now, min: 1, max: 8, previous, reason: "a reason", changeAgeMs: 0 },
});

function setUp() {
  const session = madeSession({ types: { t: 8, other: 0, toString: 0 }, slots: 10 });
  const { log } = recordedLog();
  const recorded: string[] = [];
  const parts = {
    log,
    eventWriter: {
      appendEvent: ({ attributes }: NewEvent) =>
        void recorded.push(`${attributes?.task_type} ${attributes?.limit}`),
    },
  };
  const take = (adaptive: Readonly<Record<string, AdaptiveLimit>> | undefined, now: number) =>
    takeLimits(parts, session, adaptive === undefined ? {} : { adaptive }, now);
  return { session, recorded, take };
}

describe("limits that workers adapt", () => {
  it("bound what is assigned, and say when more may be", () => {
    const { session, recorded, take } = setUp();
    assert.equal(take({ t: limit(2) }, 0), false);
    assert.equal(session.types.get("t")?.limit, 2);
    assert.equal(take({ t: limit(3, 2) }, 5_000), true);
    assert.equal(take({ t: limit(3, 2) }, 9_000), false, "unchanged");
    assert.deepEqual(recorded, ["t 2", "t 3"]);
    assert.equal(take(undefined, 9_000), false);
    for (const type of ["other", "toString"])
      assert.equal(session.types.get(type)?.limit, Number.POSITIVE_INFINITY);
  });

  it("do not exceed the concurrency of the registration, and add no type", () => {
    const { session, take } = setUp();
    take({ t: { ...limit(99), max: 99 }, unknown: limit(3) }, 0);
    assert.equal(session.types.get("t")?.limit, 8);
    assert.equal(session.types.get("unknown"), undefined);
  });

  it("are followed as often as they come, and recorded at most once a second", () => {
    const { session, recorded, take } = setUp();
    for (let beat = 0; beat < 50; beat++) take({ t: limit(1 + (beat % 2)) }, beat * 50);
    assert.equal(session.types.get("t")?.limit, 2);
    assert.equal(recorded.length, 3);
  });
});
