/** Drives bare statements on PostgreSQL: the least that a queue on it costs. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { openPostgresStore, type Store } from "@muster/scheduler";
import type { Driver, Payload } from "./driver.ts";

/** Ids read ahead in one look at the index. */
const WINDOW = 10_000;

/** Rest when nothing waits. */
const IDLE_MS = 1;

const LEASE_MS = 3_600_000;

const requirements = { labels: {}, resources: [] };

/** What a handler that answers nothing is recorded with. */
const OUTPUT = Buffer.from("null");

/**
 * The floor: Muster's own statements (insert, claim, commit, each with its events) in a bare loop, without
 * scheduler, stream or SDK. Settings: `batch` (tasks a statement), `lanes` (batches at once).
 */
export const floor: Driver = {
  produce: async ({ target }) => {
    const { store, classId } = await open(target);
    const submitMany = async (payloads: readonly Payload[]) => {
      await store.insertTasks(
        payloads.map((payload) => ({ classId, assignTo: undefined, task: taskOf(payload) })),
      );
    };
    return {
      // As large as the scheduler's own inserts.
      bulk: { batch: 2_000, lanes: 2 },
      submitMany,
      submitOne: (payload) => submitMany([payload]),
      close: () => store.close(),
    };
  },
  consume: async ({ target, settings }, onStart) => {
    const { store, classId } = await open(target);
    const sessionId = await openSession(store);
    const { batch = 500, lanes = 3 } = settings;
    let active = new AbortController();
    let running: Promise<unknown> = Promise.resolve();
    const drain = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        const waiting = await store.waitingTasks([classId], WINDOW);
        if (waiting.length === 0) await delay(IDLE_MS);
        let next = 0;
        const lane = async () => {
          while (next < waiting.length && !signal.aborted) {
            const ids = waiting.slice(next, next + batch).map(({ id }) => id);
            next += batch;
            await live(store, sessionId, ids, onStart);
          }
        };
        await Promise.all(Array.from({ length: lanes }, lane));
      }
    };
    const pause = async () => {
      active.abort();
      await running;
    };
    return {
      resume: async () => {
        active = new AbortController();
        running = drain(active.signal);
      },
      pause,
      close: async () => {
        await pause();
        await store.close();
      },
    };
  },
};

async function open(url: string): Promise<{ store: Store; classId: number }> {
  const store = openPostgresStore({
    url,
    applicationName: "bench floor",
    onConnectionError: (error) => process.stderr.write(`floor: ${error.message}\n`),
  });
  const [taskClass] = await store.resolveClasses([{ queue: "default", type: "noop", requirements }]);
  if (taskClass === undefined) throw new Error("the task class could not be made");
  return { store, classId: taskClass.id };
}

function taskOf(payload: Payload) {
  return {
    ...{ queue: "default", type: "noop", requirements, priority: 0, contentType: "application/json" },
    payload: Buffer.from(JSON.stringify(payload)),
    ...{
      headers: undefined,
      delayMs: undefined,
      runAtMs: undefined,
      uniqueKey: undefined,
      options: undefined,
    },
  };
}

/** The life of a batch after its submit: claimed, "run", committed. */
async function live(
  store: Store,
  sessionId: number,
  ids: readonly number[],
  onStart: (payload: Payload) => void,
): Promise<void> {
  const claimed = await store.claim(ids.map((taskId) => ({ taskId, sessionId })));
  for (const { payload } of claimed) onStart(JSON.parse(Buffer.from(payload).toString()) as Payload);
  const decision = {
    kind: "finish",
    state: "succeeded",
    detail: "succeeded",
    output: OUTPUT,
    outputContentType: "application/json",
  } as const;
  await store.commitResults(
    claimed.map(({ taskId, epoch }) => ({
      key: { taskId, epoch },
      decision,
      acceptAgeMs: 1,
      startAgeMs: 1,
    })),
  );
}

async function openSession(store: Store): Promise<number> {
  const [session] = await store.openSessions(
    [
      {
        uuid: randomUUID(),
        workerId: `floor-${process.pid}`,
        hello: {
          ...{ sdk: "", pool: "", labels: {}, types: [], queues: [], slots: 1, prefetch: 0, resources: [] },
          ...{ launchId: "", features: [] },
          host: {
            ...{ hostname: "", pid: process.pid, uid: undefined, gid: undefined, cwd: "", cpus: 1 },
            ...{ memoryBytes: 0, runtime: "" },
          },
        },
        phases: [],
        ready: true,
        draining: false,
        inFlight: [],
      },
    ],
    "floor",
    LEASE_MS,
  );
  if (session === undefined) throw new Error("the session could not be opened");
  return session.sessionId;
}
