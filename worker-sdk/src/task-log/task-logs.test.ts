import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../clock.ts";
import type { ToLink } from "../link/messages.ts";
import { silentLogger, taskLog } from "../logging/logger.ts";
import { resolveTaskLogs, type TaskLogOptions } from "../options/task-log-options.ts";
import { lineText } from "./line.ts";
import { recordedLog } from "./recorded-log.ts";
import { TaskLogs } from "./task-logs.ts";

type Logs = Extract<ToLink, { kind: "logs" }>;

function settings(option: TaskLogOptions = {}, env: Readonly<Record<string, string>> = {}) {
  const faults: string[] = [];
  const resolved = resolveTaskLogs(option, env, faults);
  assert.deepEqual(faults, []);
  assert.ok(resolved);
  return resolved;
}

/** Task logs whose posts are recorded, with a clock that the test moves. */
function setUp(option: TaskLogOptions = {}) {
  const posts: Logs[][] = [];
  let batch: Logs[] = [];
  let now = 0;
  let timers: { at: number; callback: () => void }[] = [];
  const clock: Clock = {
    monotonicMs: () => now,
    after: (delayMs, callback) => {
      const timer = { at: now + delayMs, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    every: () => () => undefined,
  };
  const link = {
    send: (message: ToLink) => void (message.kind === "logs" && batch.push(message)),
    flush: () => {
      posts.push(batch);
      batch = [];
    },
  };
  const pass = (ms: number) => {
    now += ms;
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { callback } of due) callback();
  };
  return { logs: new TaskLogs(settings(option), clock, link), posts, pass, rest: () => batch };
}

describe("lines that are kept with their task", () => {
  it("posts the first line at once and those that follow together; the end goes with the result", () => {
    const { logs, posts, pass, rest } = setUp();
    const log = logs.open("t-1.1");
    log.write("info", {}, "a");
    assert.deepEqual(
      posts.map((post) => post.map(({ lines }) => lines.map(({ message }) => message))),
      [[["a"]]],
    );
    log.write("info", {}, "b");
    log.write("warn", {}, "c");
    assert.equal(posts.length, 1);
    pass(20);
    assert.deepEqual(
      posts[1]?.map(({ lines }) => lines.map(({ sequence, level }) => [sequence, level])),
      [
        [
          [2, "info"],
          [3, "warn"],
        ],
      ],
    );
    log.write("error", {}, "d");
    log.end();
    log.write("info", {}, "too late");
    log.end();
    assert.deepEqual(
      rest().map(({ lines, endSequence }) => [lines.length, endSequence]),
      [[1, 5]],
    );
  });

  it("sends nothing of an attempt that logs nothing, or nothing of the level", () => {
    const { logs, posts, rest } = setUp({ level: "warn" });
    logs.open("t-1.1").end();
    const log = logs.open("t-2.1");
    log.write("info", {}, "below");
    log.end();
    assert.deepEqual([posts, rest()], [[], []]);
  });

  it("keeps the first 896 KiB and the last 128 KiB of an attempt, with the count of the others", () => {
    const { logs, posts, pass, rest } = setUp();
    const log = logs.open("t-1.1");
    for (let n = 1; n <= 3_000; n++) log.write("info", {}, `${n} ${"x".repeat(1_000)}`);
    pass(20);
    log.end();
    pass(20);
    const messages = [...posts.flat(), ...rest()];
    const lines = messages.flatMap((message) => message.lines);
    const end = messages.find(({ endSequence }) => endSequence !== undefined);
    assert.equal(lines.length + (end?.dropped ?? 0), 3_001, "with the line that says so");
    assert.equal(end?.endSequence, 3_002);
    assert.equal(lines.at(-1)?.message.split(" ")[0], "3000");
    const bytes = lines.reduce((sum, { message }) => sum + message.length + 32, 0);
    assert.ok(bytes <= 1024 * 1024 + 300 && bytes > 1_040_000, `${bytes} bytes`);
    assert.equal(lines.filter(({ level }) => level === "warn").length, 1);
  });

  it("records what a handler logs, with the facts of child loggers and errors, and passes it on", () => {
    const recorded: unknown[] = [];
    const passed: unknown[] = [];
    const base = taskLog({
      ...silentLogger,
      info: (fields, message) => passed.push([fields, message]),
      child: () => base,
    });
    const log = recordedLog(base, (level, fields, message) => recorded.push([level, fields, message]));
    log.info("alone");
    log.child({ a: 1 }).info({ b: 2 }, "both");
    const error = new TypeError("broken");
    log.error(error, "failed");
    assert.deepEqual(recorded, [
      ["info", {}, "alone"],
      ["info", { a: 1, b: 2 }, "both"],
      ["error", { err: error }, "failed"],
    ]);
    assert.deepEqual(passed, [
      [{}, "alone"],
      [{ b: 2 }, "both"],
    ]);
  });

  it("masks secrets by name, by value and by pattern, at any depth", () => {
    const masking = settings(
      { redactKeys: ["Customer"], redactPatterns: [/\b\d{16}\b/] },
      { MY_TOKEN: "s3cr3t-s3cr3t-s3cr3t" },
    );
    const facts = {
      customer: "Ada",
      nested: [{ password: "x-1234567", card: "4111111111111111" }],
      url: "redis://u:hunter2-hunter2@h/0",
      port: 80,
    };
    const text = lineText(facts, "Bearer abcdefgh and s3cr3t-s3cr3t-s3cr3t, 4111111111111111", masking);
    assert.equal(text.message, "Bearer [redacted] and [redacted], [redacted]");
    assert.deepEqual(JSON.parse(text.fields), {
      customer: "[redacted]",
      nested: [{ password: "[redacted]", card: "[redacted]" }],
      url: "redis://u:[redacted]@h/0",
      port: 80,
    });
  });

  it("takes whatever a handler gives: cycles, getters that throw, bytes, huge texts", () => {
    const cycle: Record<string, unknown> = {
      big: 10n,
      nan: Number.NaN,
      fn: () => 1,
      bytes: new Uint8Array(9),
    };
    cycle.self = cycle;
    const hostile = Object.defineProperty({}, "x", { enumerable: true, get: () => assert.fail("read") });
    const { fields } = lineText({ cycle, hostile, when: new Date(0) }, "", settings());
    const facts = JSON.parse(fields);
    assert.deepEqual([facts.cycle.big, facts.cycle.nan, facts.cycle.bytes], ["10", "NaN", "[9 bytes]"]);
    assert.match(facts.hostile, /not readable: read/);
    assert.equal(facts.when, "1970-01-01T00:00:00.000Z");
    const huge = lineText(
      { a: "x".repeat(9_000), b: "y".repeat(9_000), c: "z" },
      "m".repeat(99_999),
      settings(),
    );
    assert.equal(huge.message.length, 8 * 1024);
    assert.ok(huge.fields.length <= 8 * 1024);
    assert.deepEqual(JSON.parse(huge.fields).names, ["a", "b", "c"]);
  });

  it("says what is wrong with its options, and can be switched off", () => {
    const faults: string[] = [];
    const wrong = { level: "loud", redactKeys: [""], redactPatterns: ["x"] } as unknown as TaskLogOptions;
    resolveTaskLogs(wrong, {}, faults);
    assert.deepEqual(faults, [
      "option taskLogs.redactKeys: is not a list of at most 100 names",
      "option taskLogs.redactPatterns: is not a list of at most 100 regular expressions",
      'option taskLogs.level: "loud" is not one of debug, info, warn, error; to keep no lines give taskLogs: false',
    ]);
    resolveTaskLogs(undefined, { WORKER_TASK_LOGS: "loud" }, faults);
    assert.match(faults.at(-1) ?? "", /WORKER_TASK_LOGS: "loud" is not one of off, debug/);
    assert.equal(resolveTaskLogs(false, {}, []), undefined);
    assert.equal(resolveTaskLogs(undefined, { WORKER_TASK_LOGS: "off" }, []), undefined);
    assert.equal(resolveTaskLogs(undefined, { WORKER_TASK_LOGS: "debug" }, [])?.level, "debug");
  });
});
