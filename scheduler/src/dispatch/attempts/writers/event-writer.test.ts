import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import type { OutputChunk } from "../../../store/store.ts";
import { silentLogger } from "../../../telemetry/logs/logger.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { TaskSignals } from "../../following/task-signals.ts";
import { EventWriter } from "./event-writer.ts";

const MINE = 1;
const OTHER = 2;

/** A writer whose writes of output go through `write`, and the chunks that were stored. */
function setUp(write: (chunks: readonly OutputChunk[], writer: EventWriter) => void) {
  const stored: OutputChunk[] = [];
  const writer: EventWriter = new EventWriter({
    store: {
      appendEvents: async () => undefined,
      touch: async () => undefined,
      appendOutput: async (chunks) => {
        write(chunks, writer);
        stored.push(...chunks);
      },
    },
    clock: new ManualClock(),
    log: silentLogger,
    signals: new TaskSignals(),
  });
  return { writer, stored };
}

function append(writer: EventWriter, taskId: number, count: number): void {
  for (let sequence = 1; sequence <= count; sequence++)
    writer.appendOutput({ taskId, epoch: 1, sequence, data: new Uint8Array(1) });
}

describe("event writer", () => {
  it("writes all output of a task before its end although other tasks add as much meanwhile", async () => {
    let rounds = 0;
    const { writer, stored } = setUp((chunks) => {
      if (rounds++ < 10) append(writer, OTHER, chunks.length);
    });
    append(writer, OTHER, 2_500);
    append(writer, MINE, 10);
    await writer.flushEventsOf([MINE]);
    assert.equal(stored.filter(({ taskId }) => taskId === MINE).length, 10);
    assert.equal(rounds, 3, "batches of 1,000");
  });

  it("gives up after one try while the database is away, and keeps the output", async () => {
    let calls = 0;
    const { writer, stored } = setUp(() => {
      if (++calls === 1) throw new DatabaseUnavailableError("away", false, undefined);
    });
    append(writer, MINE, 10);
    await writer.flushEventsOf([MINE]);
    assert.deepEqual([calls, stored.length], [1, 0]);
    await writer.flushEventsOf([MINE]);
    assert.equal(stored.length, 10);
  });

  it("writes nothing for a task that has nothing unwritten", async () => {
    let calls = 0;
    const { writer } = setUp(() => void calls++);
    append(writer, OTHER, 10);
    await writer.flushEventsOf([MINE]);
    assert.equal(calls, 0);
  });
});
