import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentCount } from "./recent-count.ts";

test("counts the last minute, to ten seconds", () => {
  const count = new RecentCount();
  for (let second = 0; second < 300; second++) count.add(second * 1_000);
  assert.equal(count.read(299_999), 60);
  assert.equal(count.read(309_999), 50);
  assert.equal(count.read(349_999), 10);
  assert.equal(count.read(350_000), 0);
  count.add(10_000_000);
  assert.equal(count.read(10_000_000), 1);
});
