import { randomUUID } from "node:crypto";
import { openPostgresStore, type Store } from "@muster/scheduler";
import {
  type CreateDriver,
  type Driver,
  type DriverOptions,
  inBatches,
  makePayload,
  type Payload,
} from "./driver.ts";

/** Tasks in one insert, as the scheduler's submitter batches, and inserts at once. */
const SUBMIT_BATCH = 2_000;
const SUBMIT_LANES = 2;

/** Ids read ahead in one look at the index. */
const WINDOW = 10_000;

const LEASE_MS = 3_600_000;

const requirements = { labels: {}, resources: [] };

/**
 * The floor: Muster's own statements (insert, claim, settle, each with its events) in a bare loop, without
 * scheduler, stream or SDK. Settings: `batch` (tasks a statement), `lanes` (batches at once).
 */
export const createFloor: CreateDriver = async (options) => {
  const store = openPostgresStore({
    url: options.target,
    applicationName: "bench floor",
    onConnectionError: (error) => process.stderr.write(`floor: ${error.message}\n`),
  });
  const [taskClass] = await store.resolveClasses([{ queue: "default", type: "noop", requirements }]);
  if (taskClass === undefined) throw new Error("the task class could not be made");
  return options.role === "producer" ? producer(store, taskClass.id) : worker(store, taskClass.id, options);
};

function producer(store: Store, classId: number): Driver {
  const insert = (payloads: readonly Payload[]) =>
    store.insertTasks(
      payloads.map((payload) => ({
        classId,
        assignTo: undefined,
        task: {
          ...{ queue: "default", type: "noop", requirements, priority: 0, contentType: "application/json" },
          payload: Buffer.from(JSON.stringify(payload)),
          headers: undefined,
          delayMs: undefined,
          runAtMs: undefined,
          uniqueKey: undefined,
          options: undefined,
        },
      })),
    );
  return {
    submit: (count, payloadBytes) =>
      inBatches(count, SUBMIT_BATCH, SUBMIT_LANES, (size) =>
        insert(Array.from({ length: size }, () => makePayload(payloadBytes))),
      ),
    submitOne: async (payload) => {
      await insert([payload]);
    },
    resume: async () => undefined,
    pause: async () => undefined,
    close: () => store.close(),
  };
}

async function worker(store: Store, classId: number, { settings, onStart }: DriverOptions): Promise<Driver> {
  const sessionId = await openSession(store);
  const batch = settings.batch ?? 500;
  const lanes = settings.lanes ?? 3;
  let active: AbortController | undefined;
  let running: Promise<unknown> = Promise.resolve();

  const drain = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      const waiting = await store.waitingTasks([classId], WINDOW);
      if (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      let next = 0;
      const lane = async () => {
        while (next < waiting.length && !signal.aborted) {
          const slice = waiting.slice(next, next + batch);
          next += batch;
          await life(slice.map(({ id }) => id));
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
    }
  };

  const life = async (ids: readonly number[]) => {
    const claimed = await store.claim(ids.map((taskId) => ({ taskId, sessionId })));
    for (const { payload } of claimed) onStart(JSON.parse(Buffer.from(payload).toString()) as Payload);
    await store.settle(
      claimed.map(({ taskId, epoch }) => ({
        key: { taskId, epoch },
        settlement: {
          kind: "finish" as const,
          state: "succeeded" as const,
          detail: "succeeded",
          output: NULL,
          outputContentType: "application/json",
        },
        acceptAgeMs: 1,
        startAgeMs: 1,
      })),
    );
  };

  const pause = async () => {
    active?.abort();
    await running;
  };
  return {
    submit: () => Promise.reject(new Error("a worker submits nothing")),
    submitOne: () => Promise.reject(new Error("a worker submits nothing")),
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
}

const NULL = Buffer.from("null");

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
