import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkWatch } from "./link-watch.ts";

function watched() {
  const hung: number[] = [];
  return { hung, watch: new LinkWatch(0, 500, (silentMs) => hung.push(silentMs)) };
}

test("a thread that turns is not hung; one that stops is reported once, after 5 s", () => {
  const { hung, watch } = watched();
  for (let now = 100; now <= 10_000; now += 100) watch.look(now / 100, now);
  for (let now = 10_100; now <= 14_900; now += 100) watch.look(100, now);
  assert.deepEqual(hung, []);
  for (let now = 15_000; now <= 30_000; now += 100) watch.look(100, now);
  assert.deepEqual(hung, [5_000]);
});

test("a thread that has not begun gets 20 s", () => {
  const { hung, watch } = watched();
  for (let now = 100; now <= 30_000; now += 100) watch.look(0, now);
  assert.deepEqual(hung, [20_000]);
});

test("a thread of a process that took long to start gets twice that time, a minute at most", () => {
  for (const [ageMs, hungMs] of [
    [25_000, 50_000],
    [40_000, 60_000],
  ] as const) {
    const hung: number[] = [];
    const watch = new LinkWatch(0, ageMs, (silentMs) => hung.push(silentMs));
    for (let ms = 100; ms <= 70_000; ms += 100) watch.look(0, ms);
    assert.deepEqual(hung, [hungMs]);
  }
});

test("the time in which main itself did not look is not held against the thread", () => {
  const { hung, watch } = watched();
  watch.look(1, 100);
  watch.look(1, 60_100);
  for (let now = 60_200; now < 65_000; now += 100) watch.look(1, now);
  assert.deepEqual(hung, []);
});
