/** A rule that holds back single tasks, on a real database: limits, explanations, and any sequence of what may happen. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { RetryPolicies } from "../../scheduler/src/dispatch/attempts/retry-policies.ts";
import { decideTermination } from "../../scheduler/src/dispatch/sessions/termination-reasons.ts";
import type { AttemptKey } from "../../scheduler/src/domain/ids.ts";
import { madeBeat } from "../../scheduler/src/domain/testing/made-records.ts";
import { Explainer } from "../../scheduler/src/queries/explainer.ts";
import { failed, openFixture, type StoreFixture, SUCCEEDED } from "../store/fixture.ts";
import { TestDispatch, type TestWorker } from "./dispatch-fixture.ts";

const BUILT_IN = new RetryPolicies({ of: () => undefined }, {});

const RUNS = 12;

/** Before the steps of a sequence: a worker at each scheduler, and more tasks than their limits admit. */
const START = [
  { what: "connect", pick: 0 },
  { what: "connect", pick: 1 },
  ...Array.from({ length: 6 }, (_, pick) => ({ what: "submit", pick }) as const),
] as const;

describe("a rule that holds back single tasks", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });

  after(() => fixture.close());

  async function start(id: string, limit?: number): Promise<TestDispatch> {
    const made = new TestDispatch(fixture.store, id, limit);
    await made.dispatch.classes.learn();
    return made;
  }

  async function clear(...dispatches: readonly TestDispatch[]): Promise<void> {
    await Promise.all(dispatches.map((each) => each.stop()));
    for (const table of ["task", "session_lease", "worker_session"])
      await fixture.db.query(`delete from muster.${table}`);
  }

  it("lets no more tasks run than its limit, however many slots are free, and assigns the next after each end", async () => {
    const a = await start("a", 2);
    const worker = await a.connect("w");
    const ids: number[] = [];
    for (let count = 0; count < 6; count++) ids.push(await a.submit());
    const ended: number[] = [];
    for (let count = 0; count < 6; count++) {
      const key = await worker.accept();
      ended.push(key.taskId);
      worker.report(key, SUCCEEDED);
    }
    await a.until(({ total }) => total === 0);
    assert.equal(a.rule.most, 2);
    assert.deepEqual(ended.toSorted(), ids);
    await clear(a);
  });

  it("is explained with its facts, its remedy, and since when", async () => {
    const a = await start("a", 1);
    const worker = await a.connect("w");
    await a.submit();
    const key = await worker.accept();
    const before = await fixture.store.databaseTime();
    const held = await a.submit();
    const explanation = await explainer(a).task(held);
    assert.equal(explanation?.state, "queued");
    const [reason, ...others] = explanation.reasons;
    assert.deepEqual(others, []);
    assert.equal(reason?.code, "DISPATCH_DELAYED");
    assert.deepEqual(reason.evidence, [{ key: "test_limit", value: "reached", source: "matcher" }]);
    assert.equal(reason.remedy, "end one of them");
    assert.ok(reason.since && reason.since >= before, "it is held back since it could have been assigned");
    // A task that the search has not reached is explained by what its rule answers now.
    worker.session.noteHeartbeat(madeBeat({ paused: true }), a.dispatch.clock.monotonic());
    const later = await a.submit();
    const [latest] = (await explainer(a).task(later))?.reasons ?? [];
    assert.equal(latest?.remedy, "end one of them");
    worker.session.noteHeartbeat(madeBeat(), a.dispatch.clock.monotonic());
    worker.report(key, SUCCEEDED);
    worker.report(await worker.accept(), SUCCEEDED);
    worker.report(await worker.accept(), SUCCEEDED);
    await a.until(({ total }) => total === 0);
    await clear(a);
  });

  it("counts what the sessions of its scheduler hold, after any sequence of what may happen", async () => {
    const step = fc.record({
      what: fc.constantFrom(
        ...([
          "submit",
          "connect",
          "succeed",
          "fail",
          "release",
          "drop",
          "return",
          "move",
          "goodbye",
        ] as const),
        ...(["drop", "move", "return", "submit"] as const),
        ...(["reap", "reapElsewhere", "dropMoved", "cancel", "refuseClaim"] as const),
      ),
      pick: fc.nat(),
    });
    const sequences = fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 25 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, limit) => {
        const dispatches = [await start("a", limit), await start("b", limit)] as const;
        const [a, b] = dispatches;
        const run = new Run(fixture, a, b);
        for (const { what, pick } of [...START, ...steps]) {
          await run[what](pick);
          await Promise.all([a.idle(), b.idle()]);
        }
        for (const each of dispatches) {
          await each.stop();
          // A worker that moved is dropped where it was when its scheduler next renews leases.
          await each.dispatch.terminator.dropMoved();
          assert.deepEqual(each.rule.counted, each.heldTasks);
        }
        for (const each of dispatches) {
          for (const session of [...each.dispatch.registry.all()])
            await each.dispatch.terminator.terminateSession(session, "finished");
          assert.equal(each.rule.total, 0);
        }
        await clear(a, b);
      },
    );
    await fc.assert(sequences, { numRuns: RUNS });
  });

  function explainer({ dispatch }: TestDispatch): Explainer {
    return new Explainer({
      ...dispatch,
      store: fixture.store,
      database: { run: (read) => read(), outage: undefined },
      silentAfterMs: 60_000,
      schedulerId: "a",
      address: () => "127.0.0.1:7070",
      pollAgeMs: () => 0,
      watch: { stuckAfterMs: 60_000, unstartedAfterMs: 60_000, phasesMs: {} },
      acceptDeadlineMs: 60_000,
    });
  }
});

interface Member {
  worker: TestWorker;
  at: TestDispatch;
  connected: boolean;
}

/** Two schedulers with workers that move between them. Each step does nothing when there is nothing to do it with. */
class Run {
  readonly #fixture: StoreFixture;
  readonly #dispatches: readonly [TestDispatch, TestDispatch];
  readonly #tasks: number[] = [];
  readonly #workers: Member[] = [];
  #names = 0;

  constructor(fixture: StoreFixture, a: TestDispatch, b: TestDispatch) {
    this.#fixture = fixture;
    this.#dispatches = [a, b];
  }

  async submit(pick: number): Promise<void> {
    this.#tasks.push(await this.#at(pick).submit());
  }

  async connect(pick: number): Promise<void> {
    const at = this.#at(pick);
    const worker = await at.connect(`w-${this.#names++}`, { slots: 2 });
    this.#workers.push({ worker, at, connected: true });
  }

  succeed(pick: number): void {
    this.#report(pick, SUCCEEDED);
  }

  fail(pick: number): void {
    this.#report(pick, failed());
  }

  release(pick: number): void {
    this.#report(pick, { kind: "released", reason: "drain" });
  }

  async drop(pick: number): Promise<void> {
    const one = this.#one(pick, true);
    if (!one) return;
    one.connected = false;
    const { session } = one.worker;
    // It may have received the assignments, or not.
    if (pick % 3 > 0) one.at.dispatch.reportHandler.handleAccepted(session, [...session.attempts.values()]);
    await one.worker.drop();
  }

  /** A worker whose stream dropped comes back to the same scheduler. */
  async return(pick: number): Promise<void> {
    const one = this.#one(pick, false);
    if (one) await this.#register(one, one.at);
  }

  /** It comes back to the other one. */
  async move(pick: number): Promise<void> {
    const one = this.#one(pick, false);
    const [a, b] = this.#dispatches;
    if (one) await this.#register(one, one.at === a ? b : a);
  }

  async goodbye(pick: number): Promise<void> {
    const one = this.#one(pick, true);
    if (!one) return;
    this.#workers.splice(this.#workers.indexOf(one), 1);
    await one.worker.goodbye();
  }

  /** The schedulers reap the sessions whose streams have dropped. */
  async reap(pick: number): Promise<void> {
    const { store } = this.#fixture;
    const later = new Date((await store.databaseTime()).getTime() + 1_000);
    const reaped = await store.reapSessions(
      { asOf: later, graceMs: 0, heldBy: undefined },
      100,
      decideTermination(BUILT_IN, "lost"),
    );
    for (const gone of reaped) this.#at(pick).dispatch.terminator.recordTermination(gone, "lost");
  }

  /** Another scheduler reaps them. */
  async reapElsewhere(): Promise<void> {
    const { store } = this.#fixture;
    const later = new Date((await store.databaseTime()).getTime() + 1_000);
    await store.reapSessions(
      { asOf: later, graceMs: 0, heldBy: undefined },
      100,
      decideTermination(BUILT_IN, "lost"),
    );
    for (const each of this.#dispatches) each.dispatch.dispatcher.lookAgain();
  }

  dropMoved(pick: number): Promise<void> {
    return this.#at(pick).dispatch.terminator.dropMoved();
  }

  async cancel(pick: number): Promise<void> {
    const id = this.#tasks[pick % Math.max(1, this.#tasks.length)];
    if (id !== undefined) await this.#at(pick).dispatch.control.cancel(id, "no longer needed");
  }

  refuseClaim(pick: number): void {
    this.#at(pick).nextClaim = () => Promise.reject(new Error("the disk is full"));
  }

  #at(pick: number): TestDispatch {
    return this.#dispatches[pick % 2 === 0 ? 0 : 1];
  }

  #one(pick: number, connected: boolean): Member | undefined {
    const ones = this.#workers.filter((each) => each.connected === connected);
    return ones[pick % Math.max(1, ones.length)];
  }

  async #register(one: Member, at: TestDispatch): Promise<void> {
    const { uuid, workerId, session } = one.worker;
    // It ran what it was sent, and sent no result since.
    const inFlight = [...session.attempts.values()].filter(({ acceptedAt }) => acceptedAt !== undefined);
    one.worker = await at.connect(workerId, { uuid, inFlight, slots: 2 });
    one.at = at;
    one.connected = true;
  }

  #report(pick: number, outcome: Parameters<TestWorker["report"]>[1]): void {
    const one = this.#one(pick, true);
    const attempts = [...(one?.worker.session.attempts.values() ?? [])];
    const attempt = attempts[pick % Math.max(1, attempts.length)];
    if (!one || !attempt) return;
    const key: AttemptKey = { taskId: attempt.taskId, epoch: attempt.epoch };
    one.at.dispatch.reportHandler.handleAccepted(one.worker.session, [key]);
    one.worker.report(key, outcome);
  }
}
