import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { TimeLimit } from "./time-limit.ts";

test("a step that does not end is named at the deadline, one that ends is not", async () => {
  const clock = new ManualClock();
  const limit = new TimeLimit(clock, 20);
  await limit.within("results", Promise.resolve());
  const waiting = limit.within("events", new Promise(() => undefined));
  await clock.pass(20);
  await waiting;
  assert.deepEqual(limit.unfinished, ["events"]);
  assert.equal(limit.leftMs, 0);
});

test("a step's error is thrown", async () => {
  const limit = new TimeLimit(systemClock, 1_000);
  await assert.rejects(limit.within("sign-off", Promise.reject(new Error("refused"))), /refused/);
  assert.deepEqual(limit.unfinished, []);
});
