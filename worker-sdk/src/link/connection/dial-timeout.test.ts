import assert from "node:assert/strict";
import { test } from "node:test";
import { DialPatience } from "./dial-timeout.ts";

const DEFAULTS = { leaseMs: 30_000, graceMs: 15_000 };

test("waits twice as long for an address that was too slow, within what can be kept", () => {
  const patience = new DialPatience();
  const waits = [1, 2, 3, 4].map(() => {
    const wait = patience.forDial("a", DEFAULTS);
    patience.timedOut("a");
    return wait;
  });
  assert.deepEqual(waits, [3_750, 7_500, 10_000, 10_000]);
  assert.equal(patience.forDial("b", DEFAULTS), 3_750, "another address is not to blame");
  patience.answered("a");
  assert.equal(patience.forDial("a", DEFAULTS), 3_750);
});

test("never asks for less than a busy scheduler needs, nor for all the time there is", () => {
  const patience = new DialPatience();
  const short = { leaseMs: 2_500, graceMs: 1_500 };
  assert.equal(patience.forDial("a", short), 500);
  for (let times = 0; times < 5; times += 1) patience.timedOut("a");
  assert.equal(Math.round(patience.forDial("a", short)), 1_333);
  assert.equal(patience.forDial("a", { leaseMs: 100, graceMs: 100 }), 500);
});

test("is patient from the start when nothing can be kept", () => {
  assert.equal(new DialPatience().forDial("a", undefined), 10_000);
});
