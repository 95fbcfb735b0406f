import assert from "node:assert/strict";
import { test } from "node:test";
import { DialTimeout } from "./dial-timeout.ts";

const DEFAULTS = { leaseMs: 30_000, graceMs: 15_000 };

test("waits twice as long for an address that was too slow, within what can be kept", () => {
  const dialTimeout = new DialTimeout();
  const waits = [1, 2, 3, 4].map(() => {
    const wait = dialTimeout.forDial("a", DEFAULTS);
    dialTimeout.timedOut("a");
    return wait;
  });
  assert.deepEqual(waits, [3_750, 7_500, 10_000, 10_000]);
  assert.equal(dialTimeout.forDial("b", DEFAULTS), 3_750, "another address is not to blame");
  dialTimeout.answered("a");
  assert.equal(dialTimeout.forDial("a", DEFAULTS), 3_750);
});

test("never asks for less than a busy scheduler needs, nor for all the time there is", () => {
  const dialTimeout = new DialTimeout();
  const short = { leaseMs: 2_500, graceMs: 1_500 };
  assert.equal(dialTimeout.forDial("a", short), 500);
  for (let times = 0; times < 5; times += 1) dialTimeout.timedOut("a");
  assert.equal(Math.round(dialTimeout.forDial("a", short)), 1_333);
  assert.equal(dialTimeout.forDial("a", { leaseMs: 100, graceMs: 100 }), 500);
});

test("is patient from the start when nothing can be kept", () => {
  assert.equal(new DialTimeout().forDial("a", undefined), 10_000);
});
