import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LASTING_FILTERS, removedBy } from "../../domain/matching/match.ts";
import { MatchLog } from "../../domain/matching/match-log.ts";
import { WaitingWindow } from "../../domain/tasks/window.ts";
import { madeBeat } from "../../domain/testing/made-records.ts";
import type { Session } from "../sessions/session.ts";
import { madeSession } from "../testing/made-session.ts";
import type { ClassEntry } from "./class-entry.ts";
import { Search } from "./matcher.ts";

const NOW = 1_000;
const TYPES = ["a", "b", "c"] as const;

/** What one session of a made-up fleet is like. */
const plans = fc.record({
  types: fc.subarray([...TYPES], { minLength: 1 }),
  slots: fc.nat(3),
  prefetch: fc.nat(2),
  limit: fc.nat(1),
  ready: fc.boolean(),
  draining: fc.boolean(),
  paused: fc.boolean(),
  stalled: fc.boolean(),
});
type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never;

function session({ types, limit, paused, stalled, ...plan }: Plan, id: number): Session {
  const made = madeSession({ ...plan, id, types: Object.fromEntries(types.map((type) => [type, limit])) });
  if (paused) pause(made, "by its program");
  if (stalled) made.stall(NOW, "left it unanswered", 1, 1);
  return made;
}

function pause(one: Session, pauseReason: string): void {
  one.noteHeartbeat(madeBeat({ paused: true, pauseReason }), 0);
}

function entries(sessions: readonly Session[]): ClassEntry[] {
  return TYPES.map((type, id) => {
    const taskClass = { id, queue: "default", type, requirements: { labels: {}, resources: [] } };
    const log = new MatchLog();
    const eligible = sessions.filter((one) => {
      const filter = removedBy(taskClass, one);
      if (filter === undefined || !LASTING_FILTERS.has(filter)) return true;
      log.joined(filter, one.workerId);
      return false;
    });
    return {
      taskClass,
      window: new WaitingWindow(),
      mayHaveMore: false,
      floor: undefined,
      lowSize: 0,
      shape: "",
      eligible,
      turn: 0,
      log,
      usedAt: 0,
      parked: false,
    };
  });
}

describe("a search for many classes", () => {
  it("finds a session whenever one may take the task, and never one that may not", () => {
    const wishes = fc.array(fc.nat(TYPES.length - 1), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(plans, { maxLength: 12 }), wishes, (fleet, wanted) => {
        const sessions = fleet.map(session);
        const classes = entries(sessions);
        const search = new Search(sessions, NOW);
        for (const index of wanted) {
          const entry = classes[index] as ClassEntry;
          const able = sessions.filter((one) => removedBy(entry.taskClass, one, NOW) === undefined);
          const { turn } = entry;
          assert.equal(search.has(entry), able.length > 0);
          assert.equal(entry.turn, turn);
          const found = search.find(entry);
          assert.equal(found !== undefined, able.length > 0);
          if (!found) continue;
          assert.ok(able.includes(found));
          assert.equal(
            found.freeSlots > 0,
            able.some(({ freeSlots }) => freeSlots > 0),
            "a free slot comes first",
          );
          search.reserve(found, entry.taskClass);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("spreads work although few are open", () => {
    const free = { types: ["a"] as "a"[], slots: 9, prefetch: 0, limit: 0 };
    const open = { ...free, ready: true, draining: false, paused: false, stalled: false };
    const sessions = [{ ...open, slots: 0 }, open, { ...open, slots: 0 }, open, open].map(session);
    const [entry] = entries(sessions) as [ClassEntry];
    const search = new Search(sessions, NOW);
    for (let task = 0; task < 6; task++) search.reserve(search.find(entry) as Session, entry.taskClass);
    assert.deepEqual(
      sessions.map(({ outstanding }) => outstanding),
      [0, 2, 0, 2, 2],
    );
  });

  it("asks a full fleet once for all classes, not once for each", () => {
    const full = { types: [...TYPES], slots: 0, prefetch: 0, limit: 0, ready: true, draining: false };
    const sessions = Array.from({ length: 100 }, (_, index) =>
      session({ ...full, paused: false, stalled: false }, index),
    );
    let asked = 0;
    for (const one of sessions) {
      Object.defineProperty(one, "credit", {
        get: () => {
          asked++;
          return 0;
        },
      });
    }
    const classes = entries(sessions);
    const searchAll = (now: number) => {
      asked = 0;
      const search = new Search(sessions, now);
      for (const entry of classes) assert.equal(search.find(entry), undefined);
      return asked;
    };
    assert.equal(searchAll(NOW), 400, "the first time, for the log of each of three classes too");
    assert.equal(searchAll(NOW + 1), 100);
  });

  it("searches all eligible sessions when none is found any more, and then four times a second", () => {
    const full = { types: ["a"] as "a"[], slots: 1, prefetch: 0, limit: 0, ready: true, draining: false };
    const sessions = [1, 2].map((index) => session({ ...full, paused: false, stalled: false }, index));
    const [entry] = entries(sessions) as [ClassEntry];
    const first = new Search(sessions, NOW);
    for (const one of sessions)
      assert.ok(first.find(entry) && first.reserve(one, entry.taskClass) === undefined);
    assert.equal(entry.log.read(NOW).found, true);
    assert.equal(first.find(entry), undefined);
    const record = entry.log.read(NOW + 30);
    assert.deepEqual(
      { nearest: record.nearest, since: record.nearestAgeMs, slots: record.removed.get("slots")?.count },
      { nearest: "slots", since: 30, slots: 2 },
    );
    sessions[1]?.unreserve(entry.taskClass);
    assert.ok(new Search(sessions, NOW + 100).find(entry));
    assert.equal(entry.log.read(NOW + 100).found, true);
    sessions[1]?.reserve(entry.taskClass);
    new Search(sessions, NOW + 249).find(entry);
    const later = entry.log.read(NOW + 249);
    assert.deepEqual([later.ageMs, later.foundAgeMs, later.nearestAgeMs], [249, 149, 249], "as of before");
    for (const one of sessions) pause(one, "for the night");
    new Search(sessions, NOW + 250).find(entry);
    assert.deepEqual([...entry.log.read(NOW + 260).removed.keys()], ["paused"]);
    assert.equal(entry.log.read(NOW + 260).nearestAgeMs, 10);
  });
});
