import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DEFAULT_BYTES_AHEAD, PayloadsAhead } from "./payloads-ahead.ts";

describe("payload ahead", () => {
  it("never exceeds the limit but for a single payload, and is free again when all are", () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(3_000)), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (list) => {
        const ahead = new PayloadsAhead(1_000);
        const taken: number[] = [];
        for (const [takes, bytes] of list) {
          if (takes && ahead.take(bytes)) taken.push(bytes);
          else if (!takes && taken.length > 0) ahead.free(taken.shift() ?? 0);
          const sum = taken.reduce((all, each) => all + each, 0);
          assert.equal(ahead.bytes, sum);
          assert.ok(sum <= 1_000 || taken.filter((each) => each > 0).length === 1, `${taken}`);
        }
        for (const bytes of taken) ahead.free(bytes);
        assert.ok(ahead.bytes === 0 && ahead.hasRoom(0), "one task is always assigned");
      }),
    );
  });

  it("plans no more than fit by the largest of the last payloads, so that a refused one is not claimed again", () => {
    const ahead = new PayloadsAhead(1_000);
    assert.deepEqual([ahead.hasRoom(0), ahead.hasRoom(1)], [true, false], "before the size of one is known");
    assert.equal(ahead.take(10), true);
    assert.equal(ahead.hasRoom(98), true, "small ones do not limit the plan");
    assert.equal(ahead.hasRoom(99), false);
    assert.equal(ahead.take(995), false);
    assert.equal(ahead.hasRoom(0), false, "it would be refused again");
    ahead.free(10);
    assert.equal(ahead.hasRoom(0), true);
    assert.equal(new PayloadsAhead().maxBytes, DEFAULT_BYTES_AHEAD);
  });
});
