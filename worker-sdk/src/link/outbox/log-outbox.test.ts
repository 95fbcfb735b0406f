import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { type TaskLogs, WorkerMessageSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { LogLineMessage } from "../../task-log/attempt-log.ts";
import type { Stream } from "../connection/stream.ts";
import { Counters } from "../health/counters.ts";
import { LogOutbox } from "./log-outbox.ts";

const WANTED = ["brief_starts", "task_logs"];

/** What a log outbox uses of a stream. */
class FakeStream implements Pick<Stream, "busy" | "ended" | "write"> {
  busy = false;
  ended = false;
  readonly sent: TaskLogs[] = [];

  write(bytes: Uint8Array): void {
    const { kind } = fromBinary(WorkerMessageSchema, bytes);
    assert.ok(kind.case === "taskLogs");
    this.sent.push(kind.value);
  }

  get numbers(): number[] {
    return this.sent.map(({ batchNumber }) => Number(batchNumber));
  }
}

describe("lines until they are acknowledged", () => {
  let now = 0;
  let retry: (() => void) | undefined;
  let counters: Counters;
  let outbox: LogOutbox;

  beforeEach(() => {
    now = 1_000;
    retry = undefined;
    counters = new Counters();
    const clock: Clock = {
      monotonicMs: () => now,
      after: (_, callback) => {
        retry = callback;
        return () => undefined;
      },
      every: () => () => undefined,
    };
    outbox = new LogOutbox(clock, counters);
  });

  const open = (features: readonly string[] = WANTED) => {
    const stream = new FakeStream();
    outbox.open(stream as unknown as Stream, features);
    return stream;
  };
  const lines = (count: number, size = 10): LogLineMessage[] =>
    Array.from({ length: count }, (_, at) => ({
      ...{ sequence: at + 1, atMs: now, level: "info", message: "x".repeat(size), fields: "" },
    }));
  const dropped = () =>
    Object.fromEntries(Object.entries(counters.droppedLines.counts()).filter(([, count]) => count > 0));

  it("sends at most 256 KiB that are not acknowledged, in messages of at most 64 KiB", () => {
    const stream = open();
    outbox.add("t-1.1", lines(1_000, 1_000), undefined, 0);
    outbox.flush();
    const bytes = stream.sent.map((each) => each.lines.length * 1_032);
    assert.ok(Math.max(...bytes) <= 64 * 1024);
    const first = stream.sent.length;
    assert.ok(first >= 4 && first <= 5, `${first} messages`);
    outbox.acknowledged(1);
    assert.equal(stream.sent.length, first + 1);
    while (!outbox.isEmpty) outbox.acknowledged(stream.numbers.at(-1) ?? 0);
    assert.equal(
      stream.sent.reduce((sum, each) => sum + each.lines.length, 0),
      1_000,
    );
    assert.equal(counters.get("task_log_lines"), 1_000);
  });

  it("waits while other messages are about to leave, and tries again by itself", () => {
    const stream = open();
    stream.busy = true;
    outbox.add("t-1.1", lines(1), 2, 0);
    outbox.flush();
    assert.equal(stream.sent.length, 0);
    stream.busy = false;
    retry?.();
    assert.equal(stream.sent[0]?.endSequence, 2n);
  });

  it("sends again on the next stream what is not acknowledged, with its number and its age", () => {
    const first = open();
    outbox.add("t-1.1", lines(1), undefined, 0);
    outbox.add("t-2.1", lines(1), 2, 0);
    outbox.flush();
    assert.deepEqual(first.numbers, [1, 2]);
    outbox.acknowledged(1);
    outbox.close();
    outbox.add("t-3.1", lines(1), 2, 0);
    now += 5_000;
    const second = open();
    assert.deepEqual(second.numbers, [2, 3]);
    assert.equal(second.sent[0]?.lines[0]?.age?.seconds, 5n);
    assert.equal(outbox.lineCount, 2);
  });

  it("drops and counts what is beyond 4 MiB, and keeps the end of each attempt", () => {
    const stream = open();
    stream.busy = true;
    for (let n = 1; n <= 5; n++) outbox.add(`t-${n}.1`, lines(1_000, 1_000), 1_001, n);
    const counts = dropped();
    assert.equal(counts.attempt_limit, 15);
    assert.ok((counts.buffer ?? 0) > 800 && (counts.buffer ?? 0) < 1_100, JSON.stringify(counts));
    stream.busy = false;
    for (let round = 0; !outbox.isEmpty && round < 1_000; round++) {
      outbox.flush();
      outbox.acknowledged(stream.numbers.at(-1) ?? 0);
    }
    assert.equal(stream.sent.filter(({ endSequence }) => endSequence === 1_001n).length, 5);
  });

  it("keeps nothing for a scheduler that keeps no lines", () => {
    outbox.add("t-1.1", lines(2), undefined, 0);
    const stream = open(["brief_starts"]);
    outbox.add("t-1.1", lines(3), 4, 0);
    outbox.flush();
    assert.deepEqual([stream.sent.length, outbox.isEmpty, dropped()], [0, true, { not_wanted: 5 }]);
  });
});
