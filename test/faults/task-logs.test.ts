import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { LogEntry, TaskHandle } from "@muster/worker/client";
import { lockTable } from "../support/database/locker.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

describe("lines of handlers are kept with their attempts", () => {
  let fleet: Fleet;

  before(async () => {
    // A busy machine holds a worker up for longer than the quick timings allow.
    const args = ["--lease", "20", "--reconnect-grace", "3"];
    fleet = await Fleet.start({ schedulers: 2, args });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const worker = (id: string, env: Readonly<Record<string, string>> = {}, scheduler = fleet.scheduler) =>
    fleet.worker(id, { file: "logging.ts", queue: id, slots: 4, scheduler: scheduler.grpc, env });
  const submit = (type: string, queue: string, payload: object, retries = 0) =>
    fleet.client.submit(type, payload, { queue, retry: { maxRetries: retries, delaysS: [0] } });

  it("T67: a follower at another scheduler sees every attempt, live and once, with secrets masked", async () => {
    await worker("across", {}, fleet.schedulers[1]);
    const gate = fleet.gate();
    const task = await submit("steps", "across", { gate: gate.path, failures: 1 }, 1);
    const seen: LogEntry[] = [];
    const following = follow(task, seen);
    await until("the first line", () => seen.length > 0 || undefined);
    assert.deepEqual(seen.map(text), [`${task.id}.1 1 info begin {"attempt":1,"password":"[redacted]"}`]);
    gate.open();
    await following;
    const lines = [
      `${task.id}.1 1 info begin {"attempt":1,"password":"[redacted]"}`,
      `${task.id}.1 2 warn end {"part":"b"}`,
      `${task.id}.2 1 info begin {"attempt":2,"password":"[redacted]"}`,
      `${task.id}.2 2 warn end {"part":"b"}`,
    ];
    assert.deepEqual(seen.map(text), lines);
    assert.deepEqual(await kept(task), lines);
    assert.deepEqual(await kept(task, { attempt: 2, minLevel: "warn" }), [lines[3]]);
    assert.deepEqual(await kept(task, { contains: "BEGIN" }), [lines[0], lines[2]]);
    assert.deepEqual(await kept(task, { maxAgeS: 0 }), []);
  });

  it("T67: lines of a killed worker are kept, also those right before its handler blocks the process", async () => {
    const victim = await worker("victim");
    const task = await submit("block", "victim", { ms: 60_000 });
    const seen: LogEntry[] = [];
    const left = new AbortController();
    const following = follow(task, seen, left.signal);
    await until("the line of the blocked handler", () => seen.length > 0 || undefined);
    victim.kill("SIGKILL");
    await victim.ended;
    const line = `${task.id}.1 1 info before the block {}`;
    assert.deepEqual(await kept(task), [line]);
    assert.deepEqual(seen.map(text), [line]);
    left.abort();
    await assert.rejects(following);
  });

  it("T67: a follower and a worker outlast the restart of their scheduler, and no line is lost or repeated", async () => {
    await worker("outlasting");
    const gate = fleet.gate();
    const task = await submit("steps", "outlasting", { gate: gate.path });
    const seen: LogEntry[] = [];
    const following = follow(task, seen);
    await until("the first line", () => seen.length > 0 || undefined);
    const old = fleet.scheduler;
    old.program.kill("SIGKILL");
    await old.program.ended;
    gate.open();
    await fleet.restart(old);
    await following;
    assert.deepEqual(seen.map(text), [
      `${task.id}.1 1 info begin {"attempt":1,"password":"[redacted]"}`,
      `${task.id}.1 2 warn end {"part":"b"}`,
    ]);
  });

  it("T67: of more than 1 MiB the first and the last lines are kept, and the gap is counted", async () => {
    const pouring = await worker("pouring");
    const task = await submit("pour", "pouring", { lines: 3_000, size: 1_000 });
    const entries: LogEntry[] = [];
    await follow(task, entries);
    const gaps = entries.filter((entry) => entry.kind === "gap");
    assert.equal(gaps.length, 1);
    const lines = entries.flatMap((entry) => (entry.kind === "line" ? [entry] : []));
    const poured = lines.filter(({ level }) => level === "info");
    const [marker] = lines.filter(({ level }) => level === "warn");
    assert.match(marker?.message ?? "", /reached its limit of 1024 KiB/);
    assert.equal(poured.length + (gaps[0]?.missing ?? 0), 3_000);
    assert.equal(poured.at(0)?.message.split(" ")[0], "1");
    assert.equal(poured.at(-1)?.message.split(" ")[0], "3000");
    const bytes = poured.reduce((sum, { message }) => sum + message.length, 0);
    assert.ok(bytes > 900_000 && bytes < 1_048_576, `${bytes} bytes`);
    const numbers = lines.map(({ sequence }) => sequence);
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].toSorted((a, b) => a - b),
    );
    assert.equal((await kept(task)).length, entries.length);
    assert.equal(pouring.alive, true);
  });

  it("T67: a database that is slow for lines delays no result, and the lines come later", async () => {
    await worker("patient");
    const locker = await lockTable(fleet.db.url, "task_log");
    const task = await submit("steps", "patient", {});
    // Results of other tasks pass, too: the connection that waits for the lock is none of theirs.
    await task.result();
    await (await submit("quiet", "patient", {})).result();
    assert.deepEqual(await locker.rows("select 1 from task_log where task_id > 1e12"), []);
    await locker.release();
    const lines = await until("the lines", async () => {
      const found = await kept(task);
      return found.length === 2 ? found : undefined;
    });
    assert.match(lines[0] ?? "", /begin/);
  });

  it("T67: a worker can be set to keep none, and `muster logs` says so", async () => {
    await worker("silent", { WORKER_TASK_LOGS: "off" });
    const task = await submit("steps", "silent", {});
    await task.result();
    assert.deepEqual(await kept(task), []);
    const run = await runMuster(fleet.scheduler.grpc, ["logs", task.id]);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /no lines are kept; .*WORKER_TASK_LOGS is off/);
  });

  it("T67: `muster logs` finds an attempt's lines by level, age and pattern, and follows to the end", async () => {
    await worker("shown");
    const task = await submit("steps", "shown", { failures: 1 }, 1);
    await task.result();
    const grep = ["logs", `${task.id}.2`, "--since", "1h", "--level", "info", "--grep", "^beg", "--json"];
    const run = await runMuster(fleet.scheduler.grpc, grep);
    assert.equal(run.code, 0, run.stderr);
    const found = run.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      found.map(({ attemptId, level, message }) => [attemptId, level, message]),
      [[`${task.id}.2`, "LOG_LEVEL_INFO", "begin"]],
    );
    const followed = await runMuster(fleet.scheduler.grpc, ["logs", task.id, "-f"]);
    assert.equal(followed.code, 0, followed.stderr);
    assert.deepEqual(
      followed.stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t").toSpliced(2, 1).slice(0, 4)),
      [
        [`${task.id}.1`, "1", "info", "begin"],
        [`${task.id}.1`, "2", "warn", "end"],
        [`${task.id}.2`, "1", "info", "begin"],
        [`${task.id}.2`, "2", "warn", "end"],
      ],
    );
    const wrong = await runMuster(fleet.scheduler.grpc, ["logs", "t-999999"]);
    assert.match(wrong.stderr, /TASK_NOT_FOUND/);
  });

  it("T67: a scheduler can be set to keep none; its workers send none, and count them", async () => {
    await fleet.scheduler.program.end("SIGKILL");
    const off = await fleet.restart(fleet.scheduler, ["--task-logs", "off"]);
    const sending = await worker("unwanted", { WORKER_HTTP_ADDR: "127.0.0.1:0" }, off);
    const { http_addr } = await sending.line("worker.http.serving");
    const task = await submit("steps", "unwanted", {});
    await task.result();
    const metrics = await (await fetch(`http://${String(http_addr)}/metrics`)).text();
    assert.match(metrics, /^worker_task_log_dropped_lines_total\{reason="not_wanted"\} 2$/m);
    assert.deepEqual(await kept(task), []);
  });
});

async function follow(task: TaskHandle, into: LogEntry[], signal?: AbortSignal): Promise<void> {
  const options = { follow: true, timeoutS: 60, ...(signal === undefined ? {} : { signal }) };
  for await (const entry of task.logs(options)) into.push(entry);
}

async function kept(task: TaskHandle, options: Parameters<TaskHandle["logs"]>[0] = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const entry of task.logs(options)) lines.push(text(entry));
  return lines;
}

function text(entry: LogEntry): string {
  const { attemptId, sequence } = entry;
  if (entry.kind === "gap") return `${attemptId} ${sequence} gap ${entry.missing}`;
  return `${attemptId} ${sequence} ${entry.level} ${entry.message} ${JSON.stringify(entry.fields)}`;
}
