import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "@muster/common/text/lines";
import { WorkerLog } from "./worker-log.ts";

function read(text: string): WorkerLog {
  const log = new WorkerLog(() => 77);
  for (const line of text.split("\n")) log.take(line);
  log.end();
  return log;
}

test("reads phases, dial errors and crash reports from JSON lines of any worker", () => {
  const log = read(
    [
      "plain text",
      '{"broken',
      '{"event":"task.received"}',
      '{"event":"worker.startup.phase","phase":"boot","elapsed_ms":12,"scheduler_addr":"a:1","pid":5,"msg":"x"}',
      '{"event":"worker.startup.phase","phase":"custom:load","outcome":"failed","detail":"no file","step_ms":"3"}',
      '{"event":"worker.dial.failed","error":"ECONNREFUSED"}',
      '{"event":"worker.fatal","phase":"startup","exception_class":"E","exception_message":"m","traceback":"t","exit_code":3}',
      '{"event":"worker.fatal","phase":"later","exception_class":"F","exception_message":"n","traceback":"","exit_code":4}',
    ].join("\n"),
  );
  assert.deepEqual(log.phases, [
    { phase: "boot", outcome: "", elapsedMs: 12, detail: "", attributes: { scheduler_addr: "a:1" } },
    {
      phase: "custom:load",
      outcome: "failed",
      elapsedMs: 77,
      detail: "no file",
      attributes: { step_ms: "3" },
    },
  ]);
  assert.equal(log.lastError, "ECONNREFUSED");
  assert.deepEqual(log.fatal, {
    phase: "startup",
    exceptionClass: "E",
    exceptionMessage: "m",
    traceback: "t",
    exitCode: 3,
    attemptId: "",
  });
});

test("reads pretty lines, too, with and without colours", () => {
  const log = read(
    [
      "[06:41:00.123] \u001b[32mINFO\u001b[39m: startup phase boot",
      '    \u001b[35mevent\u001b[39m: "worker.startup.phase"',
      '    phase: "boot"',
      "    elapsed_ms: 120",
      "[06:41:00.200] INFO: startup phase registered",
      '    event: "worker.startup.phase"',
      '    phase: "registered"',
      "    elapsed_ms: 300",
    ].join("\n"),
  );
  assert.deepEqual(
    log.phases.map(({ phase, elapsedMs }) => [phase, elapsedMs]),
    [
      ["boot", 120],
      ["registered", 300],
    ],
  );
});

test("the register watchdog is a phase, told once, with the last dial error", () => {
  const log = read(
    [
      '{"event":"worker.startup.phase","phase":"startup_timeout_unregistered","outcome":"failed","elapsed_ms":9}',
      '{"event":"worker.startup_timeout_unregistered","phase":"startup_timeout_unregistered","last_error":"refused"}',
    ].join("\n"),
  );
  assert.deepEqual(
    log.phases.map(({ phase }) => phase),
    ["startup_timeout_unregistered"],
  );
  assert.equal(log.lastError, "refused");
});

test("knows when V8's heap is full", () => {
  const line = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
  assert.equal(read(`<--- Last few GCs --->\n${line}`).heapFull, line);
  assert.equal(read("out of cheese").heapFull, "");
});

test("keeps no more phases than a worker could mean", () => {
  const line = '{"event":"worker.startup.phase","phase":"custom:x","elapsed_ms":1}\n';
  assert.equal(read(line.repeat(1_000)).phases.length, 200);
});

test("lines are the same however they are cut, and a line without an end is passed over", () => {
  const text = Buffer.from(`first é\r\nsecond\n${"x".repeat(100)}\nlast`);
  for (const size of [1, 2, 5, 1_000]) {
    const lines = new Lines(50);
    const found: string[] = [];
    for (let at = 0; at < text.length; at += size) found.push(...lines.push(text.subarray(at, at + size)));
    assert.deepEqual([...found, ...lines.end()], ["first é", "second", "last"], `chunks of ${size}`);
  }
});

test("numbers that cannot be so are not taken over: the report of them would fail", () => {
  for (const odd of [1e300, -1, null, true, "", "x", {}, []]) {
    const log = new WorkerLog(() => 7);
    log.take(JSON.stringify({ event: "worker.startup.phase", phase: "boot", elapsed_ms: odd }));
    log.take(JSON.stringify({ event: "worker.fatal", exit_code: odd }));
    assert.deepEqual([log.phases[0]?.elapsedMs, log.fatal?.exitCode], [7, 1], String(odd));
  }
});
