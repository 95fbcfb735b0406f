import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ago, member, NOW } from "../testing/fixture.ts";
import { classOf } from "../testing/made-facts.ts";
import { idle } from "./idle.ts";

describe("a worker that holds nothing", () => {
  it("may run only its share of a queue with a ramp, whose waiting tasks may all be others", () => {
    const one = member({ candidate: { build: "13" } });
    const sides = { rest: { isNot: "13" }, ramp: { build: "13", share: 0.1 } };
    const open = [{ taskClass: { ...classOf(), builds: sides }, ready: 3, queuePaused: false }];
    const { summary, evidence } = idle(one, open, NOW);
    assert.match(summary, /3 tasks wait, of which it may run those that queue default runs on its build$/);
    assert.equal(
      evidence[0]?.value,
      "3 ready; queue default runs its tasks on builds other than 13, and 10 % of them on build 13, and it has build 13; none of its share was assigned to it yet",
    );
  });

  for (const [what, idleMs, connectedMs, sinceMs] of [
    ["since it gave back its last attempt", 5_000, 60_000, 5_000],
    ["since it connected, when the database's clock was read before its idleness", 5_650, 5_000, 5_000],
    ["since now, when that clock was read before it connected", 650, -500, 0],
  ] as const) {
    it(`is idle ${what}`, () => {
      const one = member({ record: { connectTime: ago(connectedMs) }, more: { idleMs } });
      assert.deepEqual(idle(one, [], NOW).since, ago(sinceMs));
    });
  }
});
