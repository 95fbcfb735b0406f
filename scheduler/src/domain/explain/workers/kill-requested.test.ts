import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, NOW } from "../testing/fixture.ts";
import { ended, launch } from "../testing/made-facts.ts";
import { killRequested } from "./kill-requested.ts";

const stop = { number: 1, reason: "hangs (by ada)", graceMs: 10_000, restart: false, time: ago(3_000) };

test("KILL_REQUESTED: who asked, why, and the age of the supervisor's report", () => {
  const [reason, ...others] = killRequested(launch({ stop, reportTime: ago(1_000) }), NOW);
  assert.deepEqual(others, []);
  assert.equal(
    reason?.summary,
    "an operator asked 3 s ago to kill its process: hangs (by ada); its supervisor, which last reported 1 s ago, has not reported its end",
  );
  assert.match(reason?.remedy ?? "", /kill -9 7/);
});

test("nothing without a request, and nothing once the end is reported", () => {
  assert.deepEqual(killRequested(undefined, NOW), []);
  assert.deepEqual(killRequested(launch(), NOW), []);
  assert.deepEqual(killRequested(launch({ stop, end: ended("finished") }), NOW), []);
});
