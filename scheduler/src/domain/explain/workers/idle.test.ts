import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ago, member, NOW } from "../testing/fixture.ts";
import { idle } from "./idle.ts";

describe("a worker that holds nothing", () => {
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
