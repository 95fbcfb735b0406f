import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { whyRemoved } from "../../../domain/explain/removed.ts";
import type { Cost } from "../../../domain/matching/capacity.ts";
import { type Candidate, removedBy, type TaskClass } from "../../../domain/matching/match.ts";
import type { Attempt } from "../../attempts/attempt.ts";
import { madeAttempt } from "../../testing/made-attempt.ts";
import { SessionPlaces } from "./session-places.ts";

const TYPES = ["a", "b", "unknown"] as const;

function places(slots: number, prefetch: number): SessionPlaces {
  const types = [
    { type: "a", concurrency: 0 },
    { type: "b", concurrency: 2 },
  ];
  return new SessionPlaces({ types, slots, prefetch, capacities: { gpu: 20 } }, 0);
}

/** What tasks cost: one slot, or more, of a capacity that the worker names, and of one that it does not. */
const COSTS: readonly (Cost | undefined)[] = [
  undefined,
  [{ name: "gpu", amount: 7 }],
  [
    { name: "gpu", amount: 5 },
    { name: "slots", amount: 2 },
  ],
  [{ name: "disk", amount: 3 }],
];

const WAIT = { ageMs: 0, taskIds: [], taskCount: 0, reason: "", returning: false };

/** What else the matcher looks at in a worker. */
const CANDIDATE = {
  ...{ workerId: "w", ready: true, draining: false, pauseReason: undefined },
  ...{ queues: new Set(["default"]), labels: {}, resources: new Set<string>() },
};

const classOf = (type: string): TaskClass => ({
  ...{ id: 1, queue: "default", type },
  requirements: { labels: {}, resources: [] },
});

/** A kept place. */
interface Reserved {
  readonly type: string;
  readonly alone: boolean;
  readonly requirements: { readonly cost: Cost | undefined };
}

/** What a session should hold, kept by the simplest means. */
class Model {
  readonly reserved: Reserved[] = [];
  readonly held: Attempt[] = [];
  readonly committing: Attempt[] = [];
  /** Those whose handlers wait without their slots. */
  readonly waiting: Attempt[] = [];
  readonly lingering: { readonly id: string; readonly type: string; readonly cost: Cost | undefined }[] = [];
  /** Attempts that are over; none of them may change. */
  readonly ended: Attempt[] = [];

  /** What all occupants take of a capacity. */
  used(name: string): number {
    const costs = [...this.reserved.map(({ requirements }) => requirements), ...this.held, ...this.lingering];
    const taken = (cost: Cost | undefined) =>
      cost?.find((each) => each.name === name)?.amount ?? (name === "slots" ? 1 : 0);
    return costs.reduce((sum, { cost }) => sum + taken(cost), 0);
  }

  occupants(type?: string): number {
    return [...this.reserved, ...this.held, ...this.lingering].filter(
      (each) => type === undefined || each.type === type,
    ).length;
  }
}

const ACTIONS = [
  "reserve",
  "unreserve",
  "hold",
  "adopt",
  "holdNewer",
  "startCommit",
  "holdUp",
  "release",
  "releaseTwice",
  "releaseSlot",
  "takeSlot",
  "linger",
  "letGo",
] as const;

const steps = fc.array(
  fc.record({
    what: fc.constantFrom(...ACTIONS),
    type: fc.constantFrom(...TYPES),
    alone: fc.boolean(),
    cost: fc.constantFrom(...COSTS),
    pick: fc.nat(),
  }),
  { maxLength: 150 },
);

describe("a session's places", () => {
  it("are what it holds, in every sequence of what may happen, and each is freed once", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 3 }),
        steps,
        (slots, prefetch, list) => {
          const subject = places(slots, prefetch);
          const model = new Model();
          let nextId = 1;
          for (const step of list) {
            act(subject, model, { ...step, id: nextId++ });
            assertAgree(subject, model, slots, prefetch);
          }
          for (const kept of model.reserved.splice(0)) subject.unreserve(kept);
          for (const over of [
            ...model.held.splice(0),
            ...model.committing.splice(0),
            ...model.waiting.splice(0),
          ]) {
            subject.release(over, 9);
            model.ended.push(over);
          }
          for (const { id } of model.lingering.splice(0)) subject.letGo(id, 9);
          assertAgree(subject, model, slots, prefetch);
          assert.equal(subject.runsAlone, false);
          assert.deepEqual([...subject.capacities], [["gpu", { total: 20, used: 0 }]]);
        },
      ),
    );
  });

  it("are not freed by an attempt that a newer one of its task has replaced", () => {
    const subject = places(2, 0);
    const old = madeAttempt({ type: "a" });
    const current = madeAttempt({ type: "a", epoch: 2 });
    subject.hold(old, false);
    subject.startCommit(old);
    subject.hold(current, false);
    assert.equal(old.state, "ended");
    subject.occupyAgain(old, "the disk is full");
    subject.release(old, 0);
    assert.equal(subject.attempts.get(1), current);
    assert.equal(subject.outstanding, 1);
    subject.release(current, 0);
    assert.deepEqual([subject.outstanding, subject.types.get("a")?.active], [0, 0]);
  });

  it("are not given to more tasks of a type whose attempts wait, once 1,000 do, and to others they are", () => {
    const subject = places(1, 0);
    const worker = Object.assign(subject, CANDIDATE) as unknown as Candidate;
    const wait = (taskId: number) => {
      const attempt = madeAttempt({ type: "a", taskId, acceptedAt: 0, startedAt: 0 });
      subject.hold(attempt, false);
      return [subject.releaseSlot(attempt, WAIT, 0), attempt] as const;
    };
    for (let id = 1; id < 1_000; id++) wait(id);
    assert.equal(removedBy(classOf("a"), worker), undefined);
    const [, last] = wait(1_000);
    assert.equal(removedBy(classOf("a"), worker), "slots");
    assert.match(whyRemoved(classOf("a"), worker, "slots"), /^1000 attempts of a wait there without/);
    assert.equal(removedBy(classOf("b"), worker), undefined);
    assert.equal(wait(1_001)[0], true);
    assert.equal(wait(1_002)[0], false, "beyond the limit, it counts as if it had its slot");
    subject.release(last, 0);
    assert.equal(subject.fullOfReleased, true);
  });

  it("have the type limits of the worker, and none for a limit of 0", () => {
    const subject = places(1, 0);
    assert.equal(subject.types.get("a")?.limit, Number.POSITIVE_INFINITY);
    assert.equal(subject.types.get("b")?.limit, 2);
    subject.forgetType("b");
    assert.equal(subject.types.has("b"), false);
  });

  it("are idle from the moment at which the last attempt, revoked ones too, is gone", () => {
    const subject = places(2, 0);
    const attempt = madeAttempt({ type: "a" });
    subject.hold(attempt, false);
    subject.linger({ key: { taskId: 2, epoch: 1 }, type: "", cost: undefined, since: 1, reason: "revoked" });
    subject.release(attempt, 5);
    assert.equal(subject.idleSince, undefined);
    subject.letGo("t-2.1", 6);
    assert.equal(subject.idleSince, 6);
  });
});

/** Does it to both, when it may happen. */
function act(
  subject: SessionPlaces,
  model: Model,
  step: {
    what: (typeof ACTIONS)[number];
    type: string;
    alone: boolean;
    cost: Cost | undefined;
    pick: number;
    id: number;
  },
): void {
  const { what, type, alone, cost, pick, id } = step;
  const take = <T>(items: T[]): T | undefined => items.splice(pick % Math.max(1, items.length), 1)[0];
  const { reserved, held, committing, waiting, lingering, ended } = model;
  const lists = [committing, held, waiting];
  const any = lists[pick % lists.length] ?? held;
  if (what === "reserve" && subject.credit > 0) {
    const kept = { type, alone, requirements: { cost } };
    subject.reserve(kept);
    reserved.push(kept);
  } else if (what === "unreserve") {
    const kept = take(reserved);
    if (kept) subject.unreserve(kept);
  } else if (what === "hold") {
    const kept = take(reserved);
    if (!kept) return;
    const attempt = madeAttempt({ ...kept, cost: kept.requirements.cost, taskId: id });
    subject.hold(attempt, true);
    held.push(attempt);
  } else if (what === "adopt" && subject.credit > 0) {
    const attempt = madeAttempt({ type, alone, cost, taskId: id });
    subject.hold(attempt, false);
    held.push(attempt);
  } else if (what === "holdNewer") {
    // Its task was requeued and claimed again before the answer to its commit arrived.
    const older = take(any);
    if (!older) return;
    const newer = madeAttempt({
      type: older.type,
      alone,
      cost,
      taskId: older.taskId,
      epoch: older.epoch + 1,
    });
    subject.hold(newer, false);
    held.push(newer);
    ended.push(older);
  } else if (what === "startCommit") {
    const open = [...held, ...waiting].filter(({ isOpen }) => isOpen);
    const ending = open[pick % Math.max(1, open.length)];
    if (!ending) return;
    subject.startCommit(ending, true);
    const list = held.includes(ending) ? held : waiting;
    list.splice(list.indexOf(ending), 1);
    committing.push(ending);
    assert.equal(ending.isWaiting, false);
  } else if (what === "holdUp") {
    const stuck = take(committing);
    if (!stuck) return;
    subject.occupyAgain(stuck, "the disk is full");
    subject.occupyAgain(stuck, "the disk is still full");
    assert.equal(stuck.heldUp, "the disk is still full");
    held.push(stuck);
  } else if (what === "release" || what === "releaseTwice") {
    const over = take(any);
    if (!over) return;
    subject.release(over, 0);
    if (what === "releaseTwice") subject.release(over, 0);
    ended.push(over);
  } else if (what === "releaseSlot") {
    const attempt = held[pick % Math.max(1, held.length)];
    if (!attempt) return;
    if (!attempt.isOpen) return assert.equal(subject.releaseSlot(attempt, WAIT, 0), false);
    if (attempt.state === "assigned") attempt.accept(0);
    if (attempt.state === "accepted") attempt.start(0);
    assert.equal(subject.releaseSlot(attempt, WAIT, 0), true);
    assert.equal(subject.releaseSlot(attempt, WAIT, 0), false);
    held.splice(held.indexOf(attempt), 1);
    waiting.push(attempt);
  } else if (what === "takeSlot") {
    const attempt = take(waiting);
    if (!attempt) return;
    subject.takeSlot(attempt);
    held.push(attempt);
  } else if (what === "linger") {
    const key = { taskId: id, epoch: 1 };
    subject.linger({ key, type, cost, since: 0, reason: "revoked" });
    subject.linger({ key, type, cost, since: 1, reason: "twice" });
    lingering.push({ id: `t-${id}.1`, type, cost });
  } else if (what === "letGo") {
    const over = take(lingering);
    if (!over) return;
    subject.letGo(over.id, 0);
    subject.letGo(over.id, 0);
  }
}

function assertAgree(subject: SessionPlaces, model: Model, slots: number, prefetch: number): void {
  const { reserved, held, committing, waiting, lingering, ended } = model;
  assert.equal(subject.releasedCount, waiting.length);
  for (const name of ["a", "b"])
    assert.equal(subject.types.get(name)?.released, waiting.filter(({ type }) => type === name).length);
  const occupants = model.occupants();
  assert.equal(subject.outstanding, occupants);
  const usedSlots = model.used("slots");
  assert.equal(subject.credit, slots + prefetch - usedSlots);
  assert.equal(subject.freeSlots, slots - usedSlots);
  assert.deepEqual(subject.capacities.get("gpu"), { total: 20, used: model.used("gpu") });
  assert.equal(subject.capacities.get("disk")?.used ?? 0, model.used("disk"));
  assert.equal(subject.occupied, occupants > 0);
  assert.equal(subject.attempts.size, held.length + committing.length + waiting.length);
  assert.equal(subject.lingering.size, lingering.length);
  for (const name of ["a", "b"]) {
    assert.equal(subject.types.get(name)?.active, model.occupants(name), `attempts of type ${name}`);
  }
  const aloneHere = reserved.some(({ alone }) => alone) || held.some(({ alone, isOpen }) => alone && isOpen);
  assert.equal(subject.runsAlone, aloneHere);
  assert.equal(subject.idleSince === undefined, subject.attempts.size + lingering.length > 0);
  for (const attempt of ended) assert.equal(attempt.state, "ended");
}
