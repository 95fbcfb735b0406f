import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Refusal } from "../../domain/errors.ts";
import type { SessionOpened } from "../../store/store.ts";
import { madeHello } from "../testing/made-session.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import type { WorkerLink } from "./link.ts";
import { Registrar, type Registration } from "./registration.ts";
import { Registry } from "./registry.ts";
import type { Session } from "./session.ts";

const REGISTRATION: Registration = {
  uuid: "u1",
  workerId: "w-1",
  hello: madeHello({ types: { t: 0 } }),
  phases: [],
  ready: true,
  draining: false,
  inFlight: [],
  lastError: "",
};

/** A registrar whose store answers each registration with what the test gives. */
function setUp(given: Partial<SessionOpened> = {}, committedIds: readonly number[] = []) {
  const registry = new Registry();
  const matched = new Set<Session>();
  const { log, events } = recordedLog();
  const superseded: unknown[] = [];
  const phases: string[] = [];
  const batches: number[] = [];
  const answers: PromiseWithResolvers<void>[] = [];
  let hold = false;
  const registrar = new Registrar({
    store: {
      openSessions: async (opens) => {
        batches.push(opens.length);
        const answer = Promise.withResolvers<void>();
        answers.push(answer);
        if (!hold) answer.resolve();
        await answer.promise;
        return opens.map(() => ({ sessionId: 1, attempts: [], superseded: [], ...given }));
      },
      committedResults: async (keys) => keys.filter(({ taskId }) => committedIds.includes(taskId)),
    },
    admission: { hold: () => undefined, release: () => undefined },
    registry,
    classes: {
      get: () => undefined,
      load: async () => undefined,
      addSession: (session) => void matched.add(session),
      removeSession: (session) => void matched.delete(session),
    },
    terminator: { terminateSuperseded: async (...args) => void superseded.push(args) },
    startup: { recordPhase: (_, { phase }) => void phases.push(phase) },
    committer: { endAttempt: async () => ({ applied: true }) },
    lapsed: { resume: () => undefined },
    eventWriter: { writeAttempt: () => undefined },
    clock: { monotonic: () => 5 },
    log,
    leases: { leaseMs: 1_000 },
    quarantine: { windowMs: 300_000 },
    schedulerId: "s-1",
  });
  return {
    ...{ registrar, registry, matched, events, superseded, phases, batches, answers },
    holdAnswers: () => {
      hold = true;
    },
  };
}

/** A stream that records why it was closed. */
function link(): WorkerLink & { readonly closed: string[] } {
  const closed: string[] = [];
  return { closed, close: ({ reason }: Refusal) => void closed.push(reason) } as never;
}

describe("a registration", () => {
  it("admits the session, and logs it as registered", async () => {
    const { registrar, registry, matched, events, superseded } = setUp();
    const stream = link();
    const { session } = await registrar.register(REGISTRATION, stream);
    assert.equal(registry.byUuid("u1"), session);
    assert.deepEqual([...matched], [session]);
    assert.deepEqual([session.link, session.ready, session.connectedAt], [stream, true, 5]);
    assert.deepEqual(events, ["worker.registered"]);
    assert.deepEqual(superseded, [[[], { sessionId: 1, process: REGISTRATION.hello.host }]]);
  });

  it("replaces the session's older stream, and takes over what it was asked to load", async () => {
    const { registrar, registry, matched, events } = setUp();
    const [first, second] = [link(), link()];
    const { session: old } = await registrar.register(REGISTRATION, first);
    old.noteAsk("model:x", 3);
    const { session } = await registrar.register({ ...REGISTRATION, lastError: "reset" }, second);
    assert.deepEqual([old.stream, old.link, first.closed], ["replaced", undefined, ["WORKER_SUPERSEDED"]]);
    assert.deepEqual([registry.byUuid("u1"), registry.size, [...matched]], [session, 1, [session]]);
    assert.deepEqual([...session.asks.keys()], ["model:x"]);
    assert.deepEqual(events, ["worker.registered", "worker.reconnected"]);
    assert.deepEqual(second.closed, []);
  });

  it("takes the streams of one session in turn, the newest last, also after one that failed", async () => {
    const { registrar, registry, batches, answers, holdAnswers } = setUp();
    holdAnswers();
    const [first, second] = [link(), link()];
    const failing = registrar.register(REGISTRATION, first);
    const newest = registrar.register(REGISTRATION, second);
    while (answers.length === 0) await new Promise(setImmediate);
    assert.deepEqual(batches, [1], "the second waits");
    answers[0]?.reject(new Error("the database is away"));
    await assert.rejects(failing, /away/);
    while (answers.length === 1) await new Promise(setImmediate);
    answers[1]?.resolve();
    const { session } = await newest;
    assert.deepEqual([session.link, registry.size], [second, 1]);
  });

  it("is refused while another living process has the worker id, and leaves nothing behind", async () => {
    const holder = { hostname: "h", pid: 7 };
    const contested = { holder, heldMs: 10, leftMs: 500, takeovers: 2 } as never;
    const { registrar, registry, matched, events } = setUp({ contested });
    await assert.rejects(
      registrar.register(REGISTRATION, link()),
      (error) => error instanceof Refusal && error.reason === "ID_CONTESTED",
    );
    assert.deepEqual([registry.size, matched.size, events], [0, 0, ["worker.id_contested"]]);
  });

  it("keeps an attempt whose result is committed: only its acknowledgement was lost", async () => {
    const { registrar } = setUp({}, [1]);
    const inFlight = [
      { taskId: 1, epoch: 1 },
      { taskId: 2, epoch: 1 },
    ];
    const { session, decisions } = await registrar.register({ ...REGISTRATION, inFlight }, link());
    assert.deepEqual(
      decisions.map(({ key, keep }) => [key.taskId, keep]),
      [
        [1, true],
        [2, false],
      ],
    );
    assert.deepEqual(
      inFlight.map((key) => session.takeCommitted(key)),
      [true, false],
    );
  });

  it("records the phase that failed before a first registration, unless a supervisor does", async () => {
    const phases = [
      { phase: "boot", outcome: "ok" },
      { phase: "model", outcome: "failed" },
    ] as never;
    const failed = { ...REGISTRATION, phases };
    const supervised = { ...failed, hello: { ...REGISTRATION.hello, launchId: "l-1" } };
    const recorded: string[][] = [];
    for (const registration of [failed, supervised, { ...failed, lastError: "reset" }]) {
      const { registrar, phases: seen } = setUp();
      await registrar.register(registration, link());
      recorded.push(seen);
    }
    assert.deepEqual(recorded, [["model"], [], []]);
  });
});
