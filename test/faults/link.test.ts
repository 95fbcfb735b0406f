/** The link as a process, with workers in a shell. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Reason } from "@muster/protocol";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { supervise } from "../support/programs/supervised.ts";
import { hasProgram, ROOT } from "../support/repo/checks.ts";
import { WAIT_MS, within } from "../support/waits.ts";

const WORKERS = join(ROOT, "examples", "link-workers");
const SHELL_WORKER = ["sh", join(WORKERS, "worker.sh")];
const hasMawk = await hasProgram("mawk", "-W", "version");
const hasPython = await hasProgram("python3", "--version");

describe("a worker behind a link", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  async function link(
    id: string,
    command: readonly string[] = SHELL_WORKER,
    options: { args?: readonly string[]; env?: Readonly<Record<string, string>>; waitReady?: boolean } = {},
  ): Promise<Program> {
    const program = Program.start(`muster link ${id}`, "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["link", "--scheduler", fleet.scheduler.grpc, ...(options.args ?? []), "--", ...command],
      env: { WORKER_ID: id, ...options.env },
    });
    if (options.waitReady ?? true)
      await program.line("worker.startup.phase", ({ phase }) => phase === "ready");
    return program;
  }

  it("runs tasks of a shell script, and drains", async () => {
    const program = await link("link-shell");
    const input = { text: 'a "quoted" line\nand $HOME', digits: 12345678901234567890n.toString() };
    const echo = await fleet.client.submit("echo", input);
    assert.deepEqual(await echo.result(), input);
    const failing = await fleet.client.submit("fail", null);
    await assert.rejects(failing.result(), { code: "NO_LUCK" });
    const steps = await fleet.client.submit("steps", null);
    assert.equal(await steps.result(), 4);
    const slow = await fleet.client.submit("sleep", { seconds: 600 });
    await fleet.eventually(slow.id, "started");
    await slow.cancel("not needed");
    await fleet.eventually(slow.id, "cancelled");
    const last = await fleet.client.submit("sleep", { seconds: 0.2 });
    await fleet.eventually(last.id, "started");
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.equal(await last.result(), "slept");
  });

  it("is shown in the docs", async () => {
    const page = await readFile(join(ROOT, "docs", "link.md"), "utf8");
    for (const name of ["worker.sh", "worker.awk"])
      assert.ok(page.includes(await readFile(join(WORKERS, name), "utf8")), `docs/link.md lacks ${name}`);
  });

  it("runs tasks of an awk program on standard input and output", async () => {
    const awk = hasMawk ? ["mawk", "-W", "interactive"] : ["awk"];
    const program = await link("link-awk", [...awk, "-f", join(WORKERS, "worker.awk")], {
      args: ["--stdio"],
    });
    const sum = await fleet.client.submit("sum", [1, 2.5, -10]);
    assert.equal(await sum.result(), -6.5);
    const wrong = await fleet.client.submit("sum", { no: "list" });
    await assert.rejects(wrong.result(), { code: "NO_NUMBERS" });
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });

  it("drains a worker that reads nothing, and gives back what it holds", async () => {
    const hello = JSON.stringify({
      ...{ kind: "hello", version: 1, types: ["unread"], slots: 8, queues: ["link-deaf"], ready: true },
    });
    const program = await link("link-deaf", ["sh", "-c", `echo '${hello}' >&3; sleep 600`], {
      env: { WORKER_DRAIN_TIMEOUT_S: "0.2" },
    });
    const text = "x".repeat(60_000);
    const tasks = await fleet.client.submitMany(
      Array.from({ length: 8 }, () => ({ type: "unread", payload: text, queue: "link-deaf" })),
    );
    for (const { id } of tasks) await fleet.eventually(id, "started");
    program.kill("SIGTERM");
    for (const { id } of tasks) await fleet.eventually(id, "requeued:drain");
    assert.deepEqual(await program.ended, { code: 0, signal: null });
    for (const each of tasks) await each.cancel("the test is over");
  });

  it("keeps an attempt while the scheduler is killed and started again", async () => {
    const program = await link("link-restart");
    const task = await fleet.client.submit("sleep", { seconds: 1 });
    await fleet.eventually(task.id, "started");
    await fleet.scheduler.program.end("SIGKILL");
    await fleet.restart(fleet.scheduler);
    assert.equal(await task.result(), "slept");
    assert.equal((await fleet.task(task.id)).attemptCount, 1);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });

  it("under `muster run --link`, a worker that is killed is reported and started again", async () => {
    const { supervisor, pid } = await supervise(fleet, "link-run", {
      command: SHELL_WORKER,
      args: ["--link", "--restart", "on-failure", "--restart-delay", "50ms"],
    });
    const { host } = await fleet.workerState("link-run");
    assert.notEqual(host?.pid, pid());
    const task = await fleet.client.submit("sleep", { seconds: 0.5 }, { retry: { delaysS: [0.01] } });
    await fleet.eventually(task.id, "started");
    const mark = supervisor.mark();
    process.kill(host?.pid ?? 0, "SIGKILL");
    await supervisor.line("worker.startup.phase", ({ phase }) => phase === "ready", { after: mark });
    assert.equal(await task.result(), "slept");
    const { attempts } = await fleet.task(task.id);
    assert.equal(attempts[0]?.failure?.code, "KILLED_BY_SIGKILL");
    // The link itself: the worker reads the end of file, and both are started again.
    const again = supervisor.mark();
    process.kill(pid(), "SIGKILL");
    await supervisor.line("worker.startup.phase", ({ phase }) => phase === "ready", { after: again });
    supervisor.kill("SIGTERM");
    assert.deepEqual(await supervisor.ended, { code: 0, signal: null });
  });

  describe("in Python", {
    skip: hasPython ? false : "python3 is not on the PATH: install Python 3.9 or newer",
  }, () => {
    const held = ["python3", join(ROOT, "test", "support", "workers", "link", "held.py")];
    const evidence = ({ evidence: facts }: Reason, wanted: string): string =>
      facts.find(({ key }) => key === wanted)?.value ?? "";

    it("distinguishes a blocked loop from a held interpreter, and keeps the attempts of both", async () => {
      const program = await link("link-held", held, { env: { QUEUE: "link-held" } });
      const submit = (type: string, payload: unknown) =>
        fleet.client.submit(type, payload, { queue: "link-held", retry: { maxRetries: 0 } });
      const holding = await submit("hold", 2);
      const { reason: interpreter } = await fleet.workerReason("link-held", "LOOP_BLOCKED", WAIT_MS);
      assert.equal(evidence(interpreter, "blocked_by"), "interpreter");
      assert.match(interpreter.summary, /no thread of its interpreter has run for/);
      assert.equal(await holding.result(), 2);
      const blocking = await submit("block", 2);
      // The last heartbeat of the hold is shown until the next one.
      await within("the loop is blocked", WAIT_MS, async () => {
        const { reason } = await fleet.workerReason("link-held", "LOOP_BLOCKED", WAIT_MS);
        return evidence(reason, "blocked_by") === "loop" || undefined;
      });
      await blocking.result();
      for (const each of [holding, blocking]) assert.equal((await fleet.task(each.id)).attemptCount, 1);
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    });

    it("reports the death of the worker with its signal and last output, and gives attempts back", async () => {
      const program = await link("link-crash", held, { env: { QUEUE: "link-crash", SLOTS: "1" } });
      const alone = await fleet.client.submit("crash", null, {
        queue: "link-crash",
        retry: { maxRetries: 0 },
      });
      await assert.rejects(alone.result(), { code: "KILLED_BY_SIGSEGV" });
      const { failure } = await fleet.task(alone.id);
      assert.match(
        failure?.message ?? "",
        /was ended by SIGSEGV; its last lines: importing \| about to crash/,
      );
      assert.deepEqual(await program.ended, { code: 139, signal: null });
      const { reason } = await fleet.workerReason("link-crash", "FATAL", WAIT_MS);
      assert.match(
        evidence(reason, "exception"),
        /^WorkerProcessEnded: the worker's process was ended by SIGSEGV/,
      );
      assert.equal(evidence(reason, "traceback"), "importing\nabout to crash");
    });

    it("releases the attempts of a process that several ran in", async () => {
      const program = await link("link-two", held, { env: { QUEUE: "link-two" } });
      const tasks = await Promise.all(
        [60, 61].map((payload) =>
          fleet.client.submit("rest", payload, { queue: "link-two", retry: { maxRetries: 0 } }),
        ),
      );
      for (const { id } of tasks) await fleet.eventually(id, "started");
      const { pid } = (await fleet.workerState("link-two")).host ?? { pid: 0 };
      process.kill(pid, "SIGKILL");
      for (const { id } of tasks) await fleet.eventually(id, "requeued:worker_ended");
      assert.deepEqual(await program.ended, { code: 137, signal: null });
      for (const each of tasks) await each.cancel("the test is over");
    });

    it("delivers a result that was written right before the end of the worker", async () => {
      const program = await link("link-last", held, { env: { QUEUE: "link-last", SLOTS: "1" } });
      const task = await fleet.client.submit("last", null, { queue: "link-last" });
      assert.equal(await task.result(), "kept");
      assert.deepEqual(await program.ended, { code: 3, signal: null });
    });

    it("kills a worker that allows it when a hard timeout is over", async () => {
      const env = { QUEUE: "link-kill", KILLABLE: "process" };
      const program = await link("link-kill", held, { env });
      const other = await fleet.client.submit("rest", 60, { queue: "link-kill" });
      await fleet.eventually(other.id, "started");
      const task = await fleet.client.submit("hold", 60, {
        ...{ queue: "link-kill", timeouts: { runS: 0.3 }, retry: { maxRetries: 0 } },
      });
      await assert.rejects(task.result(), { code: "TIMED_OUT" });
      await fleet.eventually(other.id, "requeued:worker_ended");
      assert.deepEqual(await program.ended, { code: 137, signal: null });
      await other.cancel("the test is over");
    });

    it("skips garbage and survives a flood", async () => {
      const program = await link("link-garbage", held, { env: { QUEUE: "link-garbage" } });
      const garbage = await fleet.client.submit("garbage", 1, { queue: "link-garbage" });
      assert.equal(await garbage.result(), 1);
      const codes = program.lines.filter(({ event }) => event === "worker.link.line").map(({ code }) => code);
      assert.deepEqual(codes, [
        "NOT_JSON",
        "NOT_JSON",
        "LINE_TOO_LONG",
        "NOT_JSON",
        "INVALID_FIELD",
        "INVALID_FIELD",
      ]);
      const events = await fleet.events(garbage.id);
      assert.deepEqual(
        events.filter((name) => name.startsWith("task.")),
        ["task.one.started", "task.one.completed", "task.two.started", "task.two.failed"],
      );
      const flood = await fleet.client.submit("flood", 20_000, { queue: "link-garbage" });
      assert.equal(await flood.result(), 20_000);
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    });

    it("ends at once on SIGTERM while the worker imports", async () => {
      const program = await link("link-import", held, { env: { IMPORT_S: "60" }, waitReady: false });
      await program.line("worker.startup.phase", ({ phase }) => phase === "custom:import");
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    });

    it("gives up a worker that does not say hello within the register timeout", async () => {
      const program = await link("link-late", held, {
        env: { IMPORT_S: "60", WORKER_REGISTER_TIMEOUT_S: "0.8" },
        waitReady: false,
      });
      const line = await program.line("worker.startup_timeout_unregistered");
      assert.match(String(line.exception_message), /has not written `hello`/);
      assert.deepEqual(await program.ended, { code: 1, signal: null });
    });
  });
});
