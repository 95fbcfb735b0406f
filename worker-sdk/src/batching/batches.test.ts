import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Deadlines } from "../attempt/deadlines.ts";
import { NonRetryableError } from "../errors.ts";
import type { ToLink } from "../link/messages.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type BatchOptions, compileBatch } from "./batch-options.ts";
import { Batches } from "./batches.ts";

/** An attempt as batches use it: its stop is the test's. */
class Member {
  readonly id: string;
  readonly payload: string;
  readonly attempt: { id: string; number: number; max: number };
  readonly phases: string[] = [];
  readonly trace = undefined;
  readonly #stop = new AbortController();

  constructor(id: string, payload = id, number = 1) {
    this.id = id;
    this.payload = payload;
    this.attempt = { id, number, max: 4 };
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  abort(reason: string): void {
    this.#stop.abort(new Error(reason));
  }

  async phase(name: string, fn: () => Promise<void>): Promise<void> {
    this.phases.push(`${name} begins`);
    await fn();
    this.phases.push(`${name} ends`);
  }
}

interface Call {
  readonly ids: string[];
  readonly members: readonly Member[];
  return(outcomes: unknown): void;
  throw(error: unknown): void;
}

describe("batches", () => {
  let clock: ManualClock;
  let calls: Call[];
  let sent: ToLink[];

  beforeEach(() => {
    clock = new ManualClock();
    calls = [];
    sent = [];
  });

  function opened(options: BatchOptions<never>): (member: Member) => Promise<unknown> {
    return made(options).join;
  }

  function made(options: BatchOptions<never>) {
    const { batch, faults } = compileBatch(options, 1000);
    assert.deepEqual(faults, []);
    const batches = new Batches("embed", batch, (given) => {
      const members = given as unknown as readonly Member[];
      return new Promise<readonly unknown[]>((resolve, reject) =>
        calls.push({
          ids: members.map(({ id }) => id),
          members,
          return: (outcomes) => resolve(outcomes as unknown[]),
          throw: reject,
        }),
      );
    });
    batches.open({
      deadlines: new Deadlines(clock),
      link: { send: (message) => sent.push(message) },
    });
    // Their outcomes may be asserted late.
    const join = (member: Member): Promise<unknown> => {
      const outcome = batches.join(member as never);
      outcome.catch(() => undefined);
      return outcome;
    };
    return { batches, join };
  }

  const ids = () => calls.map((call) => call.ids);

  it("calls the handler when a batch is full, without a wait, and gives each attempt its entry", async () => {
    const join = opened({ size: 2, waitMs: 50, parallel: 2 });
    const outcomes = ["a", "b", "c"].map((id) => join(new Member(id)));
    assert.deepEqual(ids(), [["a", "b"]]);
    clock.advance(49);
    assert.equal(calls.length, 1);
    clock.advance(1);
    assert.deepEqual(ids(), [["a", "b"], ["c"]]);
    calls[1]?.return([3]);
    calls[0]?.return([1, new NonRetryableError("bad", { code: "BAD" })]);
    assert.equal(await outcomes[0], 1);
    await assert.rejects(outcomes[1] ?? assert.fail(), { code: "BAD" });
    assert.equal(await outcomes[2], 3);
    assert.deepEqual(sent, [
      { kind: "batch", type: "embed", size: 2 },
      { kind: "batch", type: "embed", size: 1 },
    ]);
    assert.equal(clock.timerCount, 0);
  });

  it("gathers further attempts while as many calls run as may", async () => {
    const join = opened({ size: 3, waitMs: 10 });
    join(new Member("a"));
    clock.advance(10);
    join(new Member("b"));
    clock.advance(10);
    join(new Member("c"));
    assert.deepEqual(ids(), [["a"]]);
    calls[0]?.return([0]);
    await settled();
    assert.deepEqual(ids(), [["a"], ["b", "c"]]);
  });

  it("begins another batch beyond a full one that waits for its turn", async () => {
    const join = opened({ size: 1 });
    for (const id of ["a", "b", "c"]) join(new Member(id));
    calls[0]?.throw(new Error("out of memory"));
    await settled();
    assert.deepEqual(ids(), [["a"], ["b"]]);
    calls[1]?.return(["done"]);
    await settled();
    assert.deepEqual(ids(), [["a"], ["b"], ["c"]]);
  });

  it("puts only attempts with the same key together", async () => {
    const join = opened({ size: 2, parallel: 9, key: ({ payload }) => String(payload) });
    join(new Member("a", "en"));
    join(new Member("b", "de"));
    join(new Member("c", "en"));
    assert.deepEqual(ids(), [["a", "c"]]);
    clock.advance(20);
    assert.deepEqual(ids(), [["a", "c"], ["b"]]);
  });

  it("refuses an attempt whose key is no text, and calls the handler for the others", async () => {
    const join = opened({ size: 2, key: ({ payload }) => (payload === "a" ? 7 : "k") as string });
    const refused = join(new Member("a"));
    join(new Member("b"));
    await assert.rejects(refused, { code: "BATCH_KEY_INVALID", message: /returned a number/ });
    clock.advance(20);
    assert.deepEqual(ids(), [["b"]]);
  });

  it("lets an attempt leave that was asked to stop before its call, and keeps one that was asked during it", async () => {
    const join = opened({ size: 3, waitMs: 50 });
    const [a, b] = [new Member("a"), new Member("b")];
    const left = join(a);
    const kept = join(b);
    a.abort("cancelled");
    await assert.rejects(left, /cancelled/);
    clock.advance(50);
    assert.deepEqual(ids(), [["b"]]);
    b.abort("cancelled");
    calls[0]?.return(["late"]);
    assert.equal(await kept, "late", "what that means is decided as for every handler");
    await assert.rejects(join(a), /cancelled/, "it joins no batch after it");
    const alone = new Member("c");
    const gone = join(alone);
    alone.abort("drain");
    await assert.rejects(gone, /drain/);
    assert.equal(clock.timerCount, 0, "nothing waits for an empty batch");
  });

  it("fails every attempt of a call that throws, or that returns another number of entries", async () => {
    const join = opened({ size: 2 });
    const thrown = [join(new Member("a")), join(new Member("b"))];
    calls[0]?.throw(new Error("CUDA error"));
    for (const each of thrown) await assert.rejects(each, /CUDA error/);
    const short = [join(new Member("c")), join(new Member("d"))];
    calls[1]?.return([1]);
    for (const each of short)
      await assert.rejects(each, {
        code: "BATCH_OUTCOMES_INVALID",
        message:
          "The batch handler of embed returned 1 outcomes for 2 attempts; return an array with one entry for each.",
      });
    const none = join(new Member("e"));
    clock.advance(20);
    calls[2]?.return(undefined);
    await assert.rejects(none, /returned nothing for 1 attempts/);
  });

  it("runs an attempt whose number is above 1 in a call of its own, unless retryAlone is false", () => {
    const join = opened({ size: 3, waitMs: 50, parallel: 9 });
    join(new Member("a"));
    join(new Member("b", "b", 2));
    join(new Member("c", "c", 3));
    assert.deepEqual(ids(), [["b"], ["c"]]);
    const together = opened({ size: 2, retryAlone: false });
    together(new Member("d"));
    together(new Member("e", "e", 2));
    assert.deepEqual(ids().at(-1), ["d", "e"]);
  });

  it("waits for nothing when the worker drains", () => {
    const { batches, join } = made({ size: 3, waitMs: 50_000, parallel: 9 });
    join(new Member("a"));
    assert.equal(batches.waitingCount, 1);
    batches.drain();
    join(new Member("b"));
    assert.deepEqual(ids(), [["a"], ["b"]]);
    assert.equal(batches.waitingCount, 0);
  });

  it("reports the phase batch_wait of attempts that wait longer than a second", async () => {
    const join = opened({ size: 3, waitMs: 1_500 });
    const [a, b, c] = ["a", "b", "c"].map((id) => new Member(id));
    assert.ok(a && b && c);
    join(a);
    clock.advance(999);
    assert.deepEqual(a.phases, []);
    clock.advance(1);
    join(b);
    clock.advance(500);
    await settled();
    for (const { phases } of [a, b]) assert.deepEqual(phases, ["batch_wait begins", "batch_wait ends"]);
    join(c);
    clock.advance(1_500);
    c.abort("cancelled");
    await settled();
    assert.deepEqual(c.phases, ["batch_wait begins", "batch_wait ends"]);
  });

  it("refuses invalid options", () => {
    const faults = (option: unknown, slots = 8) => compileBatch(option as never, slots).faults;
    assert.deepEqual(faults({ size: 8 }), []);
    assert.deepEqual(faults({ size: 9 }), [
      "batch.size: 9 attempts would never be here at once, because the worker runs 8 of this type; set concurrency to at least 9, or batch.size to at most 8",
    ]);
    assert.deepEqual(faults({ size: 0, waitMs: 60_001, parallel: 1.5, key: "model", retryAlone: "no" }), [
      "batch.size: 0 is not an integer from 1 to 1000",
      "batch.parallel: 1.5 is not an integer from 1 to 1000",
      "batch.waitMs: 60001 is not a number of milliseconds from 0 to 60000",
      "batch.key: is string; give a function (ctx) => string",
      "batch.retryAlone: no is not true or false",
    ]);
    assert.deepEqual(faults(true), ["batch.size: undefined is not an integer from 1 to 1000"]);
  });
});

/** Resolves after every promise callback that is ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
