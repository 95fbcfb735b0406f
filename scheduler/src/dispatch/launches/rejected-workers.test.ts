import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { NO_CLAIMS, type RejectedStream } from "../../domain/workers/rejected-worker.ts";
import type { RejectedWorkerWrite, SessionStore } from "../../store/store.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { Counters } from "../../telemetry/metrics/counters.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import { RejectedWorkers } from "./rejected-workers.ts";

function setUp() {
  const clock = new ManualClock();
  const pass = (ms: number) => clock.pass(ms);
  const batches: (readonly RejectedWorkerWrite[])[] = [];
  const forgotten: string[] = [];
  const lines: Readonly<Record<string, unknown>>[] = [];
  const events: unknown[] = [];
  const state = { away: false };
  const counters = new Counters();
  const store: Pick<SessionStore, "recordRejectedWorkers" | "forgetRejectedWorkers"> = {
    recordRejectedWorkers: async (rows) => {
      if (state.away) throw new DatabaseUnavailableError("away", false, undefined);
      batches.push(rows);
      return 0;
    },
    forgetRejectedWorkers: async (workers) => {
      forgotten.push(...workers.map(({ workerId }) => workerId));
    },
  };
  const eventWriter: Pick<EventWriter, "appendEvent"> = { appendEvent: (event) => void events.push(event) };
  const log = {
    ...silentLogger,
    warn: (event: string, fields = {}) => void lines.push({ event, ...fields }),
  };
  const rejected = new RejectedWorkers({ store, eventWriter, clock, log, counters, schedulerId: "s" });
  return { rejected, batches, forgotten, lines, events, state, counters, pass };
}

function stream(workerId: string, fields: Partial<RejectedStream> = {}): RejectedStream {
  return {
    workerId,
    code: "BAD_TOKEN",
    message: "no",
    peer: "10.0.0.7:1",
    claims: NO_CLAIMS,
    schedulerProtocolVersion: 1,
    ...fields,
  };
}

describe("refused streams", () => {
  it("are counted by worker, reason and machine, and written in one batch", async () => {
    const { rejected, batches, lines, events, counters, pass } = setUp();
    for (let port = 1; port <= 500; port++) rejected.record(stream("w", { peer: `10.0.0.7:${port}` }));
    rejected.record(stream("w", { peer: "10.0.0.8:1" }));
    rejected.record(stream("w", { code: "VERSION_MISMATCH" }));
    await pass(10);
    assert.deepEqual(
      batches[0]?.map(({ peerHost, code, count }) => `${peerHost} ${code} ${count}`),
      ["10.0.0.7 BAD_TOKEN 500", "10.0.0.8 BAD_TOKEN 1", "10.0.0.7 VERSION_MISMATCH 1"],
    );
    assert.equal(batches.length, 1);
    assert.equal(lines.length, 3, "each distinct one is logged once");
    assert.equal(events.length, 3);
    assert.deepEqual(
      [...counters.refused],
      [
        ["BAD_TOKEN", 501],
        ["VERSION_MISMATCH", 1],
      ],
    );
    await pass(60_000);
    rejected.record(stream("w"));
    assert.equal(lines[3]?.repeated, 499, "told again with what was left out");
  });

  it("of made-up names fill neither memory nor log", async () => {
    const { rejected, batches, lines, counters, pass } = setUp();
    for (let n = 0; n < 50_000; n++) rejected.record(stream(`made-up-${n}`));
    assert.equal(lines.length, 20);
    await pass(10);
    assert.equal(batches[0]?.length, 1_000);
    assert.equal(batches[0]?.at(-1)?.workerId, "made-up-49999");
    assert.equal(counters.rejectionsDropped, 49_000);
    assert.ok(lines.some(({ event, count }) => event === "worker.refusals_dropped" && count === 49_000));
    await pass(1_000);
    rejected.record(stream("later"));
    assert.equal(lines.at(-1)?.others_not_logged, 49_980);
  });

  it("wait while the database is away, and are over when the worker is admitted", async () => {
    const { rejected, batches, forgotten, state, pass } = setUp();
    state.away = true;
    rejected.record(stream("w"));
    rejected.record(stream("other"));
    await pass(10);
    rejected.record(stream("other"));
    rejected.registered("w");
    state.away = false;
    await pass(500);
    assert.deepEqual(forgotten, ["w"]);
    assert.deepEqual(
      batches.map((rows) => rows.map(({ workerId, count, firstAgeMs }) => [workerId, count, firstAgeMs])),
      [[["other", 2, 510]]],
    );
    await rejected.stop();
    rejected.record(stream("after the end"));
    await pass(1_000);
    assert.equal(batches.length, 1);
  });
});
