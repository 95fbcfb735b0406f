import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import type { LogRow } from "../../../store/store.ts";
import { silentLogger } from "../../../telemetry/logs/logger.ts";
import { Counters } from "../../../telemetry/metrics/counters.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { TaskSignals } from "../../following/task-signals.ts";
import { madeSession } from "../../testing/made-session.ts";
import { LogWriter } from "./log-writer.ts";

/** A writer whose writes go through `write`, what it stored, and what it acknowledged. */
function setUp(write: (rows: readonly LogRow[]) => void = () => undefined, enabled = true) {
  const stored: LogRow[] = [];
  const acks: number[] = [];
  const clock = new ManualClock();
  const counters = new Counters();
  const session = madeSession({ id: 7, types: {}, link: { ackLogs: (batch) => void acks.push(batch) } });
  const writer = new LogWriter({
    store: {
      appendLogs: async (rows) => {
        write(rows);
        stored.push(...rows);
        return rows.filter(({ unverifiedSessionId }) => unverifiedSessionId !== undefined).length;
      },
    },
    ...{ clock, counters, enabled, log: silentLogger, signals: new TaskSignals() },
  });
  const take = (
    batchNumber: number,
    message = "m",
    rest: { held?: boolean; end?: number; taskId?: number } = {},
  ) =>
    writer.take(
      session,
      {
        key: { taskId: rest.taskId ?? 1, epoch: 1 },
        batchNumber,
        lines: [{ sequence: batchNumber, ageMs: 1, level: "info", message, fields: "" }],
        endSequence: rest.end,
      },
      rest.held ?? true,
    );
  const dropped = () => Object.fromEntries([...counters.logLinesDropped].filter(([, count]) => count > 0));
  return { writer, stored, acks, clock, counters, take, dropped };
}

describe("log writer", () => {
  it("writes what came together in one statement, dated by its wait, and acknowledges the last message", async () => {
    let statements = 0;
    const { stored, acks, clock, take } = setUp(() => void statements++);
    take(1);
    await clock.pass(20);
    take(2, "m", { end: 3 });
    assert.deepEqual([stored.length, acks], [0, []]);
    await clock.pass(30);
    assert.deepEqual([statements, acks], [1, [2]]);
    assert.deepEqual(
      stored.map(({ lines, endSequence }) => [lines[0]?.ageMs, endSequence]),
      [
        [51, undefined],
        [31, 3],
      ],
    );
  });

  it("keeps lines while the database is away, acknowledges none, and writes them in order when it is back", async () => {
    let away = true;
    const { stored, acks, clock, take } = setUp(() => {
      if (away) throw new DatabaseUnavailableError("away", false, undefined);
    });
    take(1);
    await clock.pass(50);
    take(2);
    await clock.pass(1_000);
    assert.deepEqual([stored.length, acks], [0, []]);
    away = false;
    await clock.pass(5_000);
    assert.deepEqual(
      stored.map(({ lines }) => lines[0]?.sequence),
      [1, 2],
    );
    assert.deepEqual(acks, [2]);
  });

  it("drops and counts what is beyond 64 MiB, and acknowledges it only after what came before is stored", async () => {
    let away = true;
    const { stored, acks, clock, take, dropped } = setUp(() => {
      if (away) throw new DatabaseUnavailableError("away", false, undefined);
    });
    const megabyte = "x".repeat(1024 * 1024);
    for (let n = 1; n <= 70; n++) take(n, megabyte, { taskId: n });
    assert.deepEqual(dropped(), { overload: 7 });
    assert.deepEqual(acks, []);
    away = false;
    await clock.pass(10_000);
    assert.equal(stored.length, 63);
    assert.equal(acks.at(-1), 70);
  });

  it("drops what is beyond 2 MiB of an attempt, and keeps its end", async () => {
    const { stored, acks, clock, take, dropped } = setUp();
    const large = "x".repeat(900_000);
    for (let n = 1; n <= 3; n++) take(n, large, n === 3 ? { end: 4 } : {});
    await clock.pass(50);
    assert.deepEqual(dropped(), { too_large: 1 });
    assert.deepEqual(
      stored.map(({ lines, endSequence }) => [lines.length, endSequence]),
      [
        [1, undefined],
        [1, undefined],
        [0, 4],
      ],
    );
    assert.equal(acks.at(-1), 3);
  });

  it("marks the lines of attempts that the session does not hold, and counts those that it never held", async () => {
    const { stored, clock, counters, take } = setUp();
    take(1, "m", { held: false });
    await clock.pass(50);
    assert.equal(stored[0]?.unverifiedSessionId, 7);
    assert.equal(new Map(counters.stale).get("logs"), 1);
  });

  it("stores nothing when it is switched off, and acknowledges everything", async () => {
    const { stored, acks, clock, take, dropped } = setUp(() => assert.fail("a statement"), false);
    for (let n = 1; n <= 3; n++) take(n, "m", n === 3 ? { end: 4 } : {});
    await clock.pass(50);
    assert.deepEqual([stored.length, acks, dropped()], [0, [3], { off: 3 }]);
  });
});
