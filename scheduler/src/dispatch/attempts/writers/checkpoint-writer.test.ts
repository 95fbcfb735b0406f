import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError, UnstorableError } from "../../../domain/errors.ts";
import type { NewCheckpoint } from "../../../store/store.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import type { CheckpointAck } from "../../sessions/link.ts";
import type { Session } from "../../sessions/session.ts";
import { CheckpointWriter } from "./checkpoint-writer.ts";

function setUp() {
  const clock = new ManualClock();
  const batches: (readonly NewCheckpoint[])[] = [];
  const acks: CheckpointAck[] = [];
  let write = async (batch: readonly NewCheckpoint[]): Promise<readonly number[]> =>
    batch.map(({ key }) => key.taskId);
  const writer = new CheckpointWriter({
    store: {
      putCheckpoints: (batch) => {
        batches.push(batch);
        return write(batch);
      },
    },
    clock,
    log: { error: () => undefined },
    signals: { changed: () => undefined },
  });
  const session = {
    link: { ackCheckpoint: (ack: CheckpointAck) => void acks.push(ack) },
  } as unknown as Session;
  return {
    ...{ clock, writer, acks },
    put: (taskId: number, sequence: number, bytes = 1, epoch = 1) =>
      writer.put(session, {
        ...{ key: { taskId, epoch }, sequence, contentType: "text/plain" },
        value: new Uint8Array(bytes),
      }),
    /** Tasks and numbers of each statement so far. */
    written: () =>
      batches.map((batch) => batch.map(({ key, sequence }) => `${key.taskId}.${key.epoch}#${sequence}`)),
    answer: (next: typeof write) => {
      write = next;
    },
  };
}

const AWAY = new DatabaseUnavailableError("no connection", false, undefined);

describe("the checkpoint writer", () => {
  it("writes the latest of each task, and what arrives meanwhile with the next statement", async () => {
    const { writer, put, written, acks, answer } = setUp();
    const first = Promise.withResolvers<void>();
    answer(async (batch) => {
      await first.promise;
      return batch.map(({ key }) => key.taskId);
    });
    put(1, 1);
    put(1, 2);
    put(2, 1);
    const flushed = writer.flushOf([2]);
    await new Promise(setImmediate);
    put(1, 3);
    put(1, 5);
    put(1, 4);
    first.resolve();
    await flushed;
    await writer.flushOf([1]);
    assert.deepEqual(written(), [["1.1#2", "2.1#1"], ["1.1#5"]]);
    assert.deepEqual(
      acks.map(({ key, sequence, error }) => [key.taskId, sequence, error]),
      [
        [1, 2, undefined],
        [2, 1, undefined],
        [1, 5, undefined],
      ],
    );
    await writer.flushOf([1, 2, 3]);
    assert.equal(written().length, 2, "nothing waits");
  });

  it("answers what the store fenced off as stale", async () => {
    const { writer, put, acks, answer } = setUp();
    answer(async () => [2]);
    put(1, 7);
    put(2, 1);
    await writer.flushOf([1, 2]);
    assert.deepEqual(
      acks.map(({ sequence, stale = false }) => [sequence, stale]),
      [
        [7, true],
        [1, false],
      ],
    );
  });

  it("keeps the latest while the database is away, and writes it when it is back", async () => {
    const { clock, writer, put, written, acks, answer } = setUp();
    answer(() => Promise.reject(AWAY));
    put(1, 1);
    await writer.flushOf([1]);
    assert.deepEqual([acks, written().length], [[], 1], "the flush gave up");
    put(1, 2);
    answer(async () => [1]);
    await clock.pass(100);
    await writer.flushOf([1]);
    assert.deepEqual(written().at(-1), ["1.1#2"]);
    assert.deepEqual(
      acks.map(({ sequence }) => sequence),
      [2],
    );
  });

  it("refuses more than 64 MiB that wait, and puts at most 4 MiB into a statement", async () => {
    const { writer, put, written, acks, answer } = setUp();
    const MIB = 1024 * 1024;
    answer(() => Promise.reject(AWAY));
    for (let task = 1; task <= 64; task++) put(task, 1, MIB);
    put(65, 1);
    assert.match(String(acks[0]?.error), /^64 MiB of checkpoints wait for the database$/);
    assert.equal(acks.length, 1);
    put(64, 2, MIB);
    assert.equal(acks.length, 1, "one that replaces another needs no room");
    await writer.flushOf([1]);
    answer(async (batch) => batch.map(({ key }) => key.taskId));
    writer.tryNow();
    await writer.flushOf([64]);
    assert.equal(acks.length, 65);
    assert.ok(written().every((batch) => batch.length <= 4));
  });

  it("answers with the reason what the database refuses, and goes on", async () => {
    const { writer, put, acks, answer } = setUp();
    answer(() => Promise.reject(new UnstorableError("a bad value", undefined)));
    put(1, 1);
    await writer.flushOf([1]);
    assert.equal(acks[0]?.error, "the database did not store it: a bad value");
    answer(async () => [1]);
    put(1, 2);
    await writer.flushOf([1]);
    assert.deepEqual([acks[1]?.sequence, acks[1]?.error], [2, undefined]);
  });

  it("gives up what waits when the scheduler stops", async () => {
    const { writer, put, acks, answer } = setUp();
    answer(() => Promise.reject(AWAY));
    put(1, 1);
    await writer.flushOf([1]);
    await writer.stop();
    await writer.stop();
    put(1, 2);
    await writer.flushOf([1]);
    assert.deepEqual(acks, []);
  });
});
