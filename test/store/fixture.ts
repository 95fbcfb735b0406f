/** A store on a database of its own, with classes, sessions and tasks for tests. */
import { randomUUID } from "node:crypto";
import { openPostgresStore, type Store } from "@muster/scheduler";
import { workerLost } from "../../scheduler/src/domain/tasks/outcome/outcome.ts";
import type { NewTask } from "../../scheduler/src/domain/tasks/task.ts";
import type { HeartbeatRecord } from "../../scheduler/src/domain/workers/worker.ts";
import type { AttemptRow, ClaimedAttempt, TaskFilter } from "../../scheduler/src/store/store.ts";
import { commitRequest, NO_REQUIREMENTS, newTask } from "../../scheduler/src/store/testing/made-rows.ts";
import { cleanedUp, cleanUpLater } from "../support/clean-up.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";

export * from "../../scheduler/src/store/testing/made-rows.ts";

/** A filter that lets every task through. */
export const EVERY_TASK: TaskFilter = {
  ...{ states: [], queues: [], types: [], details: [], failureCodes: [], tags: [] },
  ...{ errorText: undefined, workerId: undefined, created: {}, ended: {} },
  ...{ beforeId: undefined, limit: 100 },
};

/** A lease that no test outlives. */
export const LONG_MS = 600_000;

/** A database of a test file's own with stores on it, as schedulers would open them. */
export interface StoreFixture {
  readonly db: TestDatabase;
  /** The first store. */
  readonly store: Store;
  /** Another store on the same database; closed with the fixture. */
  another(): Store;
  /** Id of the class for tasks of a type; made when new. */
  classOf(type: string, queue?: string): Promise<number>;
  /** Submits tasks of one type; returns their ids. */
  submit(type: string, count?: number, fields?: Partial<NewTask>): Promise<number[]>;
  /** Registers a session and returns its id. */
  session(workerId?: string, options?: SessionOptions): Promise<number>;
  /** Claims one task for a session; fails when it was not claimable. */
  claimOne(taskId: number, sessionId: number): Promise<ClaimedAttempt>;
  /** Closes the stores, so that their connections report their statistics. */
  closeStores(): Promise<void>;
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly uuid?: string;
  readonly schedulerId?: string;
  readonly leaseMs?: number;
  readonly store?: Store;
}

export async function openFixture(): Promise<StoreFixture> {
  const db = await createDatabase();
  const stores: Store[] = [];
  const another = () => {
    const store = openPostgresStore({
      url: db.url,
      applicationName: `test ${stores.length}`,
      onConnectionError: () => undefined,
    });
    stores.push(store);
    cleanUpLater(store, () => store.close());
    return store;
  };
  const store = another();
  const closeStores = async () => {
    await Promise.all(
      stores.splice(0).map((each) => {
        cleanedUp(each);
        return each.close();
      }),
    );
  };
  const classOf = async (type: string, queue = "default") => {
    const [made] = await store.resolveClasses([{ queue, type, requirements: NO_REQUIREMENTS }]);
    if (!made) throw new Error(`no class for ${queue}/${type}`);
    return made.id;
  };
  return {
    db,
    store,
    another,
    classOf,
    submit: async (type, count = 1, fields = {}) => {
      const classId = await classOf(type, fields.queue);
      const inserted = await store.insertTasks(
        Array.from({ length: count }, () => ({
          task: newTask({ type, ...fields }),
          classId,
          assignTo: undefined,
        })),
      );
      return inserted.map(({ id }) => id);
    },
    session: async (workerId = `w-${randomUUID().slice(0, 8)}`, options = {}) => {
      const [opened] = await (options.store ?? store).openSessions(
        [sessionOpen(workerId, options.uuid)],
        options.schedulerId ?? "a",
        options.leaseMs ?? LONG_MS,
      );
      if (!opened) throw new Error("the session was not opened");
      return opened.sessionId;
    },
    claimOne: async (taskId, sessionId) => {
      const [claimed] = await store.claim([{ taskId, sessionId }]);
      if (!claimed) throw new Error(`task ${taskId} was not claimable`);
      return claimed;
    },
    closeStores,
    close: async () => {
      await closeStores();
      await db.drop();
    },
  };
}

export function sessionOpen(workerId: string, uuid: string = randomUUID()) {
  return {
    uuid,
    workerId,
    hello: {
      sdk: "test",
      pool: "",
      labels: {},
      types: [{ type: "echo", concurrency: 0 }],
      queues: ["default"],
      slots: 4,
      prefetch: 0,
      resources: [],
      launchId: "",
      features: [],
      host: {
        hostname: "here",
        pid: 1,
        uid: undefined,
        gid: undefined,
        cwd: "/",
        cpus: 1,
        memoryBytes: 1,
        runtime: "test",
      },
    },
    phases: [],
    ready: true,
    draining: false,
    inFlight: [],
  };
}

export const BEAT: HeartbeatRecord = {
  sequence: 1,
  slots: 4,
  running: [],
  loopAgeMs: 0,
  loopDelayP99Ms: 0,
  cpuUsage: 0,
  rssBytes: 1,
  heapUsedBytes: 1,
  resources: [],
  paused: false,
  pauseReason: "",
  counters: {},
};

/** What becomes of the attempts of a session that is gone. */
export function decideLost(row: AttemptRow, { workerId }: { readonly workerId: string }) {
  return commitRequest(row, { kind: "lost", reason: "stale", failure: workerLost(workerId, "vanished") })
    .decision;
}

/** Ends a session's lease `msAgo` milliseconds ago, as if its worker had been silent since. */
export async function expireLease(db: TestDatabase, sessionId: number, msAgo: number): Promise<void> {
  await db.query(
    "update session_lease set lease_until = now() - $2::float8 * interval '1 ms' where session_id = $1",
    [sessionId, msAgo],
  );
}
