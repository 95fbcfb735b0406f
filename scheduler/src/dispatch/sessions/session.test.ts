import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Attempt } from "../attempts/attempt.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import type { Session } from "./session.ts";

const TYPES = ["a", "b", "unknown"] as const;

function session(slots: number, prefetch: number): Session {
  return madeSession({ types: { a: 0, b: 2 }, slots, prefetch });
}

function attempt(taskId: number, type: string): Attempt {
  return madeAttempt({ taskId, type });
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom(
      ...([
        "reserve",
        "unreserve",
        "hold",
        "adopt",
        "startCommit",
        "holdUp",
        "release",
        "releaseTwice",
      ] as const),
    ),
    type: fc.constantFrom(...TYPES),
    pick: fc.nat(),
  }),
  { maxLength: 120 },
);

describe("a session's credit", () => {
  it("is slots and prefetch less what it holds, in every sequence of what may happen", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 3 }),
        steps,
        (slots, prefetch, list) => {
          const subject = session(slots, prefetch);
          const reserved: string[] = [];
          const held: Attempt[] = [];
          const committing: Attempt[] = [];
          let nextId = 1;
          for (const { what, type, pick } of list) {
            const one = <T>(items: T[]): T | undefined =>
              items.splice(pick % Math.max(1, items.length), 1)[0];
            if (what === "reserve" && subject.credit > 0) {
              subject.reserve(type);
              reserved.push(type);
            } else if (what === "unreserve") {
              const kept = one(reserved);
              if (kept !== undefined) subject.unreserve(kept);
            } else if (what === "hold") {
              const kept = one(reserved);
              if (kept === undefined) continue;
              const taken = attempt(nextId++, kept);
              subject.hold(taken, true);
              held.push(taken);
            } else if (what === "adopt") {
              if (subject.credit <= 0) continue;
              const adopted = attempt(nextId++, type);
              subject.hold(adopted, false);
              held.push(adopted);
            } else if (what === "startCommit") {
              const ending = one(held);
              if (!ending) continue;
              if (ending.heldUp !== undefined) {
                held.push(ending);
                continue;
              }
              subject.startCommit(ending);
              committing.push(ending);
            } else if (what === "holdUp") {
              const stuck = one(committing);
              if (!stuck) continue;
              subject.occupyAgain(stuck, "the disk is full");
              subject.occupyAgain(stuck, "the disk is still full");
              // Its place is taken as that of one that runs, until it is released.
              held.push(stuck);
            } else {
              const over = one(pick % 2 === 0 ? committing : held);
              if (!over) continue;
              subject.release(over, 0);
              if (what === "releaseTwice") subject.release(over, 0);
            }
            assert.equal(subject.outstanding, reserved.length + held.length);
            assert.equal(subject.credit, slots + prefetch - reserved.length - held.length);
            // A place that was given away before the database refused its result is taken twice until that is stored.
            if (held.every(({ heldUp }) => heldUp === undefined))
              assert.ok(subject.credit >= 0, "never more than it was asked for");
            assert.equal(subject.hasFreeSlot, reserved.length + held.length < slots);
            assert.equal(subject.attempts.size, held.length + committing.length);
            for (const name of ["a", "b"]) {
              const mine =
                reserved.filter((each) => each === name).length +
                held.filter((each) => each.type === name).length;
              assert.equal(subject.types.get(name)?.active, mine, `attempts of type ${name}`);
            }
          }
        },
      ),
    );
  });

  it("does not let go of a newer attempt of the same task", () => {
    const subject = session(2, 0);
    const [old, current] = [attempt(1, "a"), madeAttempt({ type: "a", epoch: 2 })];
    subject.hold(current, false);
    subject.release(old, 0);
    assert.equal(subject.attempts.get(1), current);
    assert.equal(subject.outstanding, 1);
  });

  it("is ready only when its startup is finished and its stream is live", () => {
    const subject = session(1, 0);
    const { link } = subject;
    assert.equal(subject.ready, true);
    subject.link = undefined;
    assert.equal(subject.ready, false);
    subject.link = link;
    subject.startupDone = false;
    assert.equal(subject.ready, false);
  });

  it("reads no limit as none", () => {
    const subject = session(1, 0);
    assert.equal(subject.types.get("a")?.limit, Number.POSITIVE_INFINITY);
    assert.equal(subject.types.get("b")?.limit, 2);
    subject.forgetType("b");
    assert.equal(subject.types.has("b"), false);
  });
});
