import assert from "node:assert/strict";
import { test } from "node:test";
import { member } from "../domain/explain/testing/fixture.ts";
import { NO_CLAIMS, type RejectedWorker } from "../domain/workers/rejected-worker.ts";
import type { WorkerRecord, WorkerState } from "../domain/workers/worker.ts";
import {
  type ListedWorker,
  type ListPosition,
  positionAfter,
  WorkerList,
  type WorkerListFleet,
} from "./worker-list.ts";

const NOW = new Date("2025-06-01T12:00:00Z");
const START: ListPosition = { kind: "session", beforeId: undefined };

function session(sessionId: number, fields: Partial<WorkerRecord> = {}): WorkerRecord {
  return { ...member().record, sessionId, workerId: `w${sessionId}`, ...fields };
}

function rejected(workerId: string, fields: Partial<RejectedWorker> = {}): RejectedWorker {
  return {
    workerId,
    code: "BAD_TOKEN",
    message: "the bearer token is not this scheduler's",
    peer: "10.0.0.7:4711",
    claims: NO_CLAIMS,
    schedulerProtocolVersion: 1,
    schedulerId: "s",
    count: 1,
    firstTime: NOW,
    lastTime: NOW,
    holder: "none",
    ...fields,
  };
}

/** The store's part: sessions newest first, in pages. */
function listOf(
  sessions: readonly WorkerRecord[],
  rejections: readonly RejectedWorker[],
  fleet: Partial<WorkerListFleet> = {},
) {
  const store = {
    earlierStarts: async () => [],
    databaseTime: async () => NOW,
    heldUse: async (ids: readonly number[]) =>
      ids.map((sessionId) => ({ sessionId, outstanding: 3, slots: 5, used: { gpu: 4 } })),
    listRejectedWorkers: async (id: string | undefined) =>
      rejections.filter(({ workerId }) => id === undefined || workerId === id),
    getWorker: async (id: string) => sessions.find(({ workerId }) => workerId === id),
    listWorkers: async ({ beforeId, limit }: { beforeId: number | undefined; limit: number }) =>
      sessions
        .filter(({ sessionId }) => sessionId < (beforeId ?? Number.POSITIVE_INFINITY))
        .sort((a, b) => b.sessionId - a.sessionId)
        .slice(0, limit),
  };
  return new WorkerList({
    store,
    fleet: {
      activeCount: () => 2,
      releasedCount: () => 1,
      capacities: () => [],
      isSilentElsewhere: () => false,
      ...fleet,
    },
  });
}

function idOf(worker: ListedWorker): string {
  return worker.kind === "session" ? worker.record.workerId : worker.workerId;
}

/** Every id, read in pages of `limit`. */
async function pages(list: WorkerList, limit: number, states: readonly WorkerState[] = []) {
  const ids: string[] = [];
  for (let position = START; ; ) {
    const { entries } = await list.list({ pool: "", states: new Set(states), position, limit });
    const page = entries.slice(0, limit);
    ids.push(...page.map(idOf));
    const last = page.at(-1);
    if (entries.length <= limit || !last) return ids;
    position = positionAfter(last);
  }
}

test("sessions come first, newest first, then rejected workers by id, whatever the size of a page", async () => {
  const list = listOf([session(1), session(2), session(3)], [rejected("b"), rejected("a")]);
  for (const limit of [1, 2, 3, 4, 5, 50])
    assert.deepEqual(await pages(list, limit), ["w3", "w2", "w1", "a", "b"], `pages of ${limit}`);
});

test("a filter by state reads on until a page is full, and has no rejected workers unless it names them", async () => {
  const gone = { goneTime: NOW, goneReason: "goodbye" };
  const list = listOf(
    [session(1), session(2, gone), session(3, gone), session(4, gone)],
    [rejected("a"), rejected("port-scan", { code: "INVALID_HELLO" })],
  );
  assert.deepEqual(await pages(list, 1, ["gone"]), ["w4", "w3", "w2"]);
  assert.deepEqual(await pages(list, 1, ["refused"]), ["a", "port-scan"]);
  assert.deepEqual(await pages(list, 2), ["w4", "w3", "w2", "w1", "a"]);
});

test("a worker with a living process is no rejected worker, but has what was refused in its name", async () => {
  const list = listOf([session(1)], [rejected("w1", { holder: "another" })]);
  const { entries } = await list.list({ pool: "", states: new Set(), position: START, limit: 10 });
  assert.deepEqual(
    entries.map(({ kind, rejections }) => [kind, rejections.length]),
    [["session", 1]],
  );
});

test("a worker is found by its id with its attempts, or as rejected, or not at all", async () => {
  const list = listOf([session(1)], [rejected("a")]);
  const found = await list.get("w1");
  assert.equal(found?.kind === "session" && found.record.activeCount, 2);
  assert.equal(found?.kind === "session" && found.record.releasedCount, 1);
  assert.equal((await list.get("a"))?.kind, "rejected");
  assert.equal(await list.get("unknown"), undefined);
  assert.equal(await list.get(""), undefined);
});

test("a worker that no heartbeat speaks for has what the table of tasks says, the others what they said", async () => {
  const seen = { outstanding: 1, slots: 1, types: {}, held: [], asks: [] };
  const heartbeat = { ...(member().record.heartbeat ?? assert.fail("no heartbeat")), seen };
  const list = listOf([session(1, { heartbeat }), session(2, { heartbeat })], [], {
    isSilentElsewhere: ({ sessionId }) => sessionId === 1,
    activeCount: (record) => record.heartbeat?.seen?.outstanding ?? record.activeCount,
    capacities: (record) => [{ name: "slots", total: 8, used: record.heartbeat?.seen?.slots ?? 0 }],
  });
  const { entries } = await list.list({ pool: "", states: new Set(), position: START, limit: 10 });
  assert.deepEqual(
    entries.map(
      (entry) => entry.kind === "session" && [entry.record.activeCount, entry.record.capacities?.[0]?.used],
    ),
    [
      [1, 1],
      [3, 5],
    ],
  );
  const one = await list.get("w1");
  assert.equal(one?.kind === "session" && one.record.activeCount, 3);
});
