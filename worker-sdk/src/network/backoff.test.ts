import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "./backoff.ts";

test("waits are drawn from zero to a ceiling that doubles up to the limit", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  const waits = Array.from({ length: 7 }, () => backoff.next());
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  backoff.reset();
  assert.equal(backoff.next(), 500);
  assert.equal(new Backoff({ random: () => 0 }).next(), 0);
});

test("a wait that is cut short does not make later ones longer", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  assert.deepEqual([backoff.next(200), backoff.next(200), backoff.next(200)], [100, 100, 100]);
  assert.deepEqual([backoff.next(1000), backoff.next(1000), backoff.next()], [500, 500, 1000]);
});
