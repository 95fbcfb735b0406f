import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { madeBeat } from "../../domain/testing/made-records.ts";
import { madeSession } from "../testing/made-session.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { Registry } from "./registry.ts";
import { SessionLiveness } from "./session-liveness.ts";

const AT = new Date(0);

function setUp(lost: readonly number[] = []) {
  const registry = new Registry();
  const { log, events } = recordedLog();
  const renewed: number[][] = [];
  const ends: string[] = [];
  const counters = { heartbeatFailures: 0 };
  const renewal = { hold: undefined as Promise<void> | undefined, fails: false };
  const liveness = new SessionLiveness({
    store: {
      shortenLeases: () => assert.fail("the clock was not set"),
      renewLeases: async (heartbeats) => {
        renewed.push(heartbeats.map(({ sessionId }) => sessionId));
        await renewal.hold;
        if (renewal.fails) throw new Error("the database is away");
        return { at: AT, lost };
      },
      disconnect: async (sessionId) => void ends.push(`disconnect ${sessionId}`),
    },
    registry,
    terminator: {
      dropFenced: async (ids) => {
        for (const id of ids) ends.push(`fenced ${id}`);
      },
      dropMoved: async () => undefined,
      noteStreamEnd: ({ id }) => void ends.push(`over ${id}`),
      terminateSession: async ({ id }, reason) => void ends.push(`${reason} ${id}`),
    },
    startup: { recordStartup: async ({ id }) => void ends.push(`startup ${id}`) },
    clock: { monotonic: () => 9 },
    log,
    counters,
    leases: { heartbeatMs: 10, leaseMs: 100, graceMs: 50, acceptDeadlineMs: 10 },
    watch: { stuckAfterMs: 0, unstartedAfterMs: 0, phasesMs: {} },
    schedulerId: "s-1",
  });
  const closed: string[] = [];
  function join(id: number) {
    const session = madeSession({ id, types: {}, link: { close: ({ reason }) => void closed.push(reason) } });
    registry.add(session);
    const { link } = session;
    assert.ok(link);
    return { session, link };
  }
  return { liveness, registry, join, renewed, ends, events, counters, renewal, closed };
}

describe("a renewal of leases", () => {
  it("is of the sessions that sent a heartbeat on a live stream since the last one", async () => {
    const { liveness, join, renewed } = setUp();
    const [silent, beating, dropped] = [join(1), join(2), join(3)];
    beating.session.noteHeartbeat(madeBeat(), 1);
    dropped.session.noteHeartbeat(madeBeat(), 1);
    dropped.session.drop(2);
    assert.equal(await liveness.renewLeases(), AT);
    await liveness.renewLeases();
    assert.deepEqual(renewed, [[2], []]);
    assert.equal(silent.session.beatUnwritten, false);
  });

  it("drops what is fenced, and writes what the database has not taken of startups", async () => {
    const { liveness, join, ends, counters } = setUp([7]);
    join(1).session.noteStartupWritten(false);
    join(2);
    await liveness.renewLeases();
    assert.deepEqual(ends, ["fenced 7", "startup 1"]);
    assert.equal(counters.heartbeatFailures, 1);
  });

  it("that fails counts each of its heartbeats as failed", async () => {
    const { liveness, join, counters, renewal } = setUp();
    for (const id of [1, 2]) join(id).session.noteHeartbeat(madeBeat(), 1);
    renewal.fails = true;
    await assert.rejects(liveness.renewLeases(), /away/);
    assert.equal(counters.heartbeatFailures, 2);
  });
});

describe("the end of a stream", () => {
  it("begins the grace, after the renewal that is under way", async () => {
    const { liveness, join, ends, events, renewal } = setUp();
    liveness.onDrop(() => ends.push("dropped"));
    const { session, link } = join(1);
    const answer = Promise.withResolvers<void>();
    renewal.hold = answer.promise;
    const renewing = liveness.renewLeases();
    const ended = liveness.streamEnded(session, link, "cut");
    assert.deepEqual([session.stream, session.droppedAt], ["dropped", 9]);
    await new Promise(setImmediate);
    assert.deepEqual([ends, events], [["over 1"], ["worker.suspect"]]);
    answer.resolve();
    await Promise.all([renewing, ended]);
    assert.deepEqual(ends, ["over 1", "disconnect 1", "dropped"]);
  });

  it("of an older stream changes nothing", async () => {
    const { liveness, join, ends } = setUp();
    const { session } = join(1);
    await liveness.streamEnded(session, join(2).link, "cut");
    assert.deepEqual([session.stream, ends], ["connected", []]);
  });

  it("after a goodbye is no loss, and after a fatal report it ends the session", async () => {
    const { liveness, join, ends, events } = setUp();
    const [left, failed] = [join(1), join(2)];
    left.session.noteGoodbye();
    failed.session.noteFatal({
      ...{ phase: "", exceptionClass: "E", exceptionMessage: "", traceback: "", exitCode: 1 },
    });
    await liveness.streamEnded(left.session, left.link, "closed");
    await liveness.streamEnded(failed.session, failed.link, "closed");
    assert.deepEqual([ends, events], [["over 1", "over 2", "fatal 2"], []]);
  });

  it("for a stop of the scheduler leaves the sessions their leases", async () => {
    const { liveness, join, ends, closed } = setUp();
    const [live, dropped] = [join(1), join(2)];
    dropped.session.drop(1);
    liveness.closeStreams();
    assert.deepEqual(closed, ["SCHEDULER_STOPPING"]);
    assert.deepEqual([live.session.stream, dropped.session.stream], ["detached", "dropped"]);
    await liveness.streamEnded(live.session, live.link, "closed");
    assert.deepEqual(ends, []);
  });
});
