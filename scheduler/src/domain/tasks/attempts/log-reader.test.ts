import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LogFilter, LogReader, type LogRecord } from "./log-reader.ts";

const ALL: LogFilter = { minLevel: undefined, sinceMs: undefined, contains: "" };

type Level = "debug" | "info" | "warn" | "error";

const line = (sequence: number, level: Level = "info", message = `m${sequence}`) => ({
  ...{ sequence, ageMs: 10, level, message },
  fields: "",
});

function row(epoch: number, lines: readonly ReturnType<typeof line>[], end?: number) {
  const lastSequence = end ?? lines.at(-1)?.sequence ?? 0;
  return { epoch, lastSequence, complete: end !== undefined, timeMs: 1_000, lines };
}

const told = (records: readonly LogRecord[]) =>
  records.map((record) =>
    record.kind === "gap"
      ? `${record.epoch}: gap of ${record.missing} to ${record.sequence}`
      : `${record.epoch}: ${record.sequence} ${record.message}`,
  );

describe("reader of a task's log", () => {
  it("leaves out lines that were stored twice, and counts those that are missing, also the last ones", () => {
    const reader = new LogReader(ALL);
    const records = reader.read([
      row(1, [line(1), line(2)]),
      row(1, [line(2), line(3)]),
      row(1, [line(6)]),
      row(1, [], 9),
    ]);
    assert.deepEqual(told(records), [
      "1: 1 m1",
      "1: 2 m2",
      "1: 3 m3",
      "1: gap of 2 to 5",
      "1: 6 m6",
      "1: gap of 2 to 8",
    ]);
    assert.equal(reader.isComplete(1), true);
    assert.deepEqual([...reader.positions], [[1, 9]]);
  });

  it("takes late lines of an earlier attempt, and goes on after given positions", () => {
    const reader = new LogReader(ALL, [[1, 1]]);
    assert.deepEqual(told(reader.read([row(2, [line(1)])])), ["2: 1 m1"]);
    assert.deepEqual(told(reader.read([row(1, [line(1), line(2)])])), ["1: 2 m2"]);
    assert.equal(reader.isComplete(2), false);
  });

  it("filters by level, time and text, and shows gaps in any case", () => {
    const rows = [row(1, [line(1, "debug"), line(2, "warn", "Disk FULL"), line(4, "error", "x")])];
    const read = (filter: Partial<LogFilter>) => told(new LogReader({ ...ALL, ...filter }).read(rows));
    assert.deepEqual(read({ minLevel: "warn" }), ["1: 2 Disk FULL", "1: gap of 1 to 3", "1: 4 x"]);
    assert.deepEqual(read({ contains: "disk full" }), ["1: 2 Disk FULL", "1: gap of 1 to 3"]);
    assert.deepEqual(read({ sinceMs: 991 }), ["1: gap of 1 to 3"]);
    assert.equal(read({ sinceMs: 990 }).length, 4);
  });
});
