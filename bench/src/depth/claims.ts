/** Times the store's statements on a queue of a given depth. */
import { randomUUID } from "node:crypto";
import type { Store } from "@muster/scheduler";
import { monotonicMs } from "../lab/monotonic.ts";

/** Times of the store's statements, milliseconds, one entry a call. */
export interface ClaimTimes {
  /** Reading the window: the first 2,000 ids of the class in order. */
  readonly window: readonly number[];
  /** Claiming one task. */
  readonly one: readonly number[];
  /** Claiming 500 in one statement. */
  readonly many: readonly number[];
  /** Tasks that the batches took. */
  readonly claimed: number;
}

/** As large as the scheduler's window and its largest claim. */
const WINDOW = 2_000;
const BATCH = 500;

const SCHEDULER = "bench";
const LEASE_MS = 3_600_000;

/** Registers a worker that claims are made for; answers its session. */
export async function openSession(store: Store): Promise<number> {
  const hello = {
    ...{ sdk: "bench", pool: "", labels: {}, types: [], queues: ["default"], slots: BATCH, prefetch: 0 },
    ...{ resources: [], launchId: "", features: [] },
    host: {
      ...{ hostname: "bench", pid: 1, uid: 0, gid: 0, cwd: "/", cpus: 1, memoryBytes: 0 },
      runtime: "node",
    },
  };
  const registration = { phases: [], ready: true, draining: false, inFlight: [] };
  const [opened] = await store.openSessions(
    [{ uuid: randomUUID(), workerId: "bench", hello, ...registration }],
    SCHEDULER,
    LEASE_MS,
  );
  if (!opened) throw new Error("the store opened no session");
  return opened.sessionId;
}

/** Takes the front of a class as the scheduler does: reads its window, claims one by one, then 500, ends them. */
export async function timeClaims(
  store: Store,
  classId: number,
  sessionId: number,
  ones: number,
): Promise<ClaimTimes> {
  const times = { window: [] as number[], one: [] as number[], many: [] as number[] };
  const timed = async <T>(list: number[], work: () => Promise<T>): Promise<T> => {
    const startedAt = monotonicMs();
    const result = await work();
    list.push(monotonicMs() - startedAt);
    return result;
  };
  const waiting = await timed(times.window, () => store.waitingTasks([classId], WINDOW));
  const ids = waiting.map(({ id }) => id);
  const singles = ids.slice(0, ones);
  const batch = ids.slice(ones, ones + BATCH);
  for (const taskId of singles) {
    const claimed = await timed(times.one, () => store.claim([{ taskId, sessionId }]));
    if (claimed.length !== 1) throw new Error(`task ${taskId} could not be claimed`);
  }
  const claimed = await timed(times.many, () => store.claim(batch.map((taskId) => ({ taskId, sessionId }))));
  if (claimed.length !== batch.length)
    throw new Error(`${claimed.length} of ${batch.length} tasks could be claimed`);
  await store.commitResults(
    [...singles, ...batch].map((taskId) => ({
      key: { taskId, epoch: 1 },
      decision: { kind: "finish", state: "succeeded", detail: "" },
      acceptAgeMs: undefined,
      startAgeMs: undefined,
    })),
  );
  return { ...times, claimed: batch.length };
}
