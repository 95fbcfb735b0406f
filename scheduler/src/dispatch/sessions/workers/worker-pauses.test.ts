import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { madeBeat } from "../../../domain/testing/made-records.ts";
import type { PausedWorker } from "../../../store/store.ts";
import { madeSession } from "../../testing/made-session.ts";
import { recordedLog } from "../../testing/recorded-log.ts";
import { Registry } from "../registry.ts";
import { WorkerPauses } from "./worker-pauses.ts";

const SINCE = new Date("2026-01-02T03:04:05Z");

function setUp(holder = "self") {
  let rows: PausedWorker[] = [];
  const sent: string[] = [];
  const reads: PromiseWithResolvers<void>[] = [];
  let hold = false;
  let now = 10;
  const registry = new Registry();
  const session = madeSession({
    types: { t: 0 },
    link: {
      pause: (reason) => sent.push(`pause ${reason}`),
      resume: (reason) => sent.push(`resume ${reason}`),
    },
  });
  registry.add(session);
  const pauses = new WorkerPauses({
    registry,
    store: {
      pausedWorkers: async () => {
        const now = [...rows];
        const read = Promise.withResolvers<void>();
        reads.push(read);
        if (!hold) read.resolve();
        await read.promise;
        return now;
      },
      pauseWorker: async (workerId, reason) => {
        rows = [{ workerId, reason, since: SINCE }];
      },
      resumeWorker: async () => {
        const any = rows.length > 0;
        rows = [];
        return any;
      },
      leaseHolders: async () => new Map([[1, holder]]),
      notify: async (hint) => void sent.push(`hint ${JSON.stringify(hint)}`),
    },
    clock: { monotonic: () => now },
    dispatcher: { pump: () => void sent.push("pump") },
    log: recordedLog().log,
    schedulerId: "self",
  });
  return {
    ...{ pauses, session, sent, reads, registry },
    setRows: (given: PausedWorker[]) => {
      rows = given;
    },
    passTo: (ms: number) => {
      now = ms;
    },
    holdReads: () => {
      hold = true;
    },
  };
}

describe("pauses of workers", () => {
  it("reach the session and its worker, once, and end with a look for work", async () => {
    const { pauses, session, sent } = setUp();
    await pauses.pause("w-1", "new driver", 1);
    await pauses.refresh();
    assert.deepEqual(sent, ["pause new driver"]);
    assert.equal(session.pauseReason, "paused by an operator: new driver");
    await pauses.pause("w-1", "another reason", 1);
    await pauses.resume("w-1", "done", 1);
    assert.deepEqual(sent, ["pause new driver", "pause another reason", "resume done", "pump"]);
    assert.equal(session.pauseReason, undefined);
  });

  it("wake the scheduler that holds the stream", async () => {
    const { pauses, sent } = setUp("other");
    await pauses.resume("w-1", "done", 1);
    assert.deepEqual(sent, ['hint {"kind":"command","schedulerId":"other"}']);
  });

  it("are independent of what the worker itself asks for", async () => {
    const { pauses, session } = setUp();
    session.noteHeartbeat(madeBeat({ paused: true, pauseReason: "memory" }), 11);
    await pauses.pause("w-1", "new driver", 1);
    assert.equal(session.pauseReason, "memory; paused by an operator: new driver");
    await pauses.resume("w-1", "done", 1);
    assert.equal(session.pauseReason, "memory");
    await pauses.pause("w-1", "memory", 1);
    assert.equal(session.ownPauseReason, undefined, "a worker that repeats the operator's words only obeys");
  });

  it("an older read that ends last changes nothing", async () => {
    const made = setUp();
    made.holdReads();
    const old = made.pauses.refresh();
    made.setRows([{ workerId: "w-1", reason: "new driver", since: SINCE }]);
    const young = made.pauses.refresh();
    made.reads[1]?.resolve();
    await young;
    made.reads[0]?.resolve();
    await old;
    assert.deepEqual(made.sent, ["pause new driver"]);
  });

  it("a read that began before the registration leaves what that read", async () => {
    const { pauses, registry } = setUp();
    const registered = madeSession({ id: 2, types: { t: 0 }, now: 10 });
    registered.setOperatorPause({ reason: "new driver", since: SINCE });
    registry.add(registered);
    await pauses.refresh();
    assert.equal(registered.operatorPause?.reason, "new driver");
  });

  it("are read by a poll when they have changed, and when a session was registered since the last read", async () => {
    const made = setUp();
    const { pauses, registry, reads } = made;
    await pauses.refreshIfChanged("a");
    await pauses.refreshIfChanged("a");
    assert.equal(reads.length, 1);
    await pauses.refreshIfChanged("b");
    assert.equal(reads.length, 2);

    // Its registration read its pause before an operator paused it, and the poll between did not find the session.
    made.setRows([{ workerId: "w-2", reason: "new driver", since: SINCE }]);
    await pauses.refreshIfChanged("c");
    const registered = madeSession({ id: 2, types: { t: 0 }, now: 10 });
    registry.add(registered);
    made.passTo(20);
    await pauses.refreshIfChanged("c");
    assert.equal(registered.operatorPause?.reason, "new driver");
    await pauses.refreshIfChanged("c");
    const count = reads.length;
    await pauses.refreshIfChanged("c");
    assert.equal(reads.length, count);
  });
});
