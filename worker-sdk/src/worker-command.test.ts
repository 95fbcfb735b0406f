import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FailureClass } from "@muster/protocol";
import { until } from "../../test/support/waits.ts";
import { command } from "./command/index.ts";
import { MemoryGroup } from "./command/memory-group.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

const LINUX = process.platform === "linux";

/** Undefined where a cgroup with a limit can be made; else why not. */
function whyNoGroup(): string | undefined {
  const group = MemoryGroup.make(`test-${process.pid}`, 64 * 1024 * 1024);
  if (typeof group === "string") return group;
  group.remove();
  return undefined;
}

/** False for a process that has ended, also while it is a zombie. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

describe("programs as tasks", () => {
  const setUp = (
    tasks: Record<string, ReturnType<typeof command>>,
    env: Readonly<Record<string, string>> = {},
  ) => {
    const dir = mkdtempSync(join(tmpdir(), "muster-command-"));
    for (const [name, value] of Object.entries(env)) process.env[name] = value;
    return connected({ id: "commander", scratch: { dir }, concurrency: 4, tasks });
  };

  it("get arguments, standard input and a few variables, run in their scratch folder, and return JSON", async () => {
    const script = `
      const text = require("node:fs").readFileSync(0, "utf8");
      console.error("reading");
      console.log(JSON.stringify({ argv: process.argv.slice(2), text, cwd: process.cwd(),
        secret: process.env.MY_SECRET ?? null, mode: process.env.MODE, task: process.env.MUSTER_TASK_ID }));`;
    const file = join(mkdtempSync(join(tmpdir(), "muster-program-")), "echo.cjs");
    writeFileSync(file, script);
    await using setup = await setUp(
      {
        echo: command([process.execPath, file, "{input.path}", "$HOME `id`"], {
          stdin: "input",
          env: { set: { MODE: "m-{input.size}" } },
          result: "json",
        }),
      },
      { MY_SECRET: "not for the program" },
    );
    const payload = { path: "a b; $(id)", size: 7 };
    setup.stream.assign("t-1.1", "echo", payload);
    const output = await setup.stream.next("taskOutput", ({ attemptId }) => attemptId === "t-1.1");
    assert.match(Buffer.from(output.data).toString(), /^\{"argv"/);
    const outcome = await outcomeOf(setup.stream, "t-1.1");
    assert.ok(outcome?.case === "succeeded", JSON.stringify(outcome));
    const result = JSON.parse(Buffer.from(outcome.value.output).toString());
    assert.deepEqual(result.argv, ["a b; $(id)", "$HOME `id`"]);
    assert.deepEqual([result.secret, result.mode, result.task], [null, "m-7", "t-1"]);
    assert.deepEqual(JSON.parse(result.text), payload);
    assert.match(result.cwd, /commander\/t-1\.1\./);
  });

  it("fail by their exit code, a missing value, a missing program, and a result that is none", async () => {
    await using setup = await setUp({
      exit: command(["sh", "-c", 'echo "no such page" >&2; exit "$0"', "{input.code}"], {
        exitCodes: { success: [0, 9], permanent: [2], retry: [75] },
      }),
      missing: command(["no-such-program-of-muster"]),
      json: command(["echo", "no json"], { result: "json" }),
    });
    const { stream } = setup;
    const failure = async (id: string, type: string, payload: unknown) => {
      stream.assign(id, type, payload);
      const outcome = await outcomeOf(stream, id);
      if (outcome?.case !== "failed") return outcome?.case;
      return [outcome.value.code, FailureClass[outcome.value.failureClass as never], outcome.value.message];
    };
    const [final, retried] = [FailureClass.NON_RETRYABLE, FailureClass.RETRYABLE].map(
      (each) => FailureClass[each as never],
    );
    assert.equal(await failure("t-1.1", "exit", { code: 9 }), "succeeded");
    assert.deepEqual(await failure("t-2.1", "exit", { code: 2 }), [
      "EXIT_2",
      final,
      "sh exited with 2; its last lines: no such page",
    ]);
    assert.deepEqual((await failure("t-3.1", "exit", { code: 75 }))?.slice(0, 2), ["EXIT_75", retried]);
    assert.deepEqual((await failure("t-4.1", "exit", {}))?.slice(0, 2), ["INVALID_PAYLOAD", final]);
    assert.deepEqual((await failure("t-5.1", "missing", {}))?.slice(0, 2), ["ENOENT", final]);
    assert.deepEqual((await failure("t-6.1", "json", {}))?.slice(0, 2), ["INVALID_RESULT", final]);
    // The system takes no argument of more than 128 KiB.
    assert.deepEqual((await failure("t-7.1", "exit", { code: "9".repeat(300_000) }))?.slice(0, 2), [
      "E2BIG",
      final,
    ]);
  });

  it("report progress from their output", async () => {
    await using setup = await setUp({
      count: command(["sh", "-c", "echo 25%; echo noise; echo 100% packed"], {
        progress: /(?<percent>\d+)%\s*(?<message>\w*)/,
      }),
    });
    setup.stream.assign("t-1.1", "count", null);
    const { progress } = await setup.stream.next("taskProgress", (value) => value.progress?.fraction === 1);
    assert.equal(progress?.message, "packed");
  });

  it("T68: are ended with everything that they have started, also what ignores SIGTERM and left their group", {
    skip: LINUX ? false : "processes are found by /proc",
  }, async () => {
    const pids = join(mkdtempSync(join(tmpdir(), "muster-pids-")), "pids");
    // A child in the group, and a grandchild in a session of its own whose parent has ended.
    const script = `trap "" TERM; echo $$ >> "$0"
      (trap "" TERM; echo $(sh -c 'echo $PPID') >> "$0"; while :; do sleep 1; done) &
      setsid sh -c 'trap "" TERM; (echo $$ >> "$0"; while :; do sleep 1; done) & ' "$0"
      setsid sh -c 'trap "" TERM; echo $$ >> "$0"; while :; do sleep 1; done' "$0" &
      while :; do sleep 1; done`;
    await using setup = await setUp({
      stubborn: command(["sh", "-c", script, "{input}"], { killGraceS: 0.2 }),
    });
    const { stream } = setup;
    stream.assign("t-1.1", "stubborn", pids);
    const started = await until("four processes have written their ids", () => {
      const found = existsSync(pids) ? readFileSync(pids, "utf8").trim().split("\n").map(Number) : [];
      return found.length >= 4 ? found : undefined;
    });
    assert.ok(started.some(runs));
    stream.send({ case: "cancelAttempt", value: { attemptId: "t-1.1", reason: "by the test" } });
    assert.equal((await outcomeOf(stream, "t-1.1"))?.case, "cancelled");
    assert.deepEqual(started.filter(runs), []);
    rmSync(pids);
  });

  it("T68: leave nothing behind when they end by themselves, and may not keep a task open", {
    skip: !LINUX,
  }, async () => {
    const file = join(mkdtempSync(join(tmpdir(), "muster-pids-")), "pid");
    await using setup = await setUp({
      leaving: command([
        "sh",
        "-c",
        'setsid sh -c \'echo $$ > "$0"; exec sleep 600\' "$0" & while ! [ -s "$0" ]; do sleep 0.05; done',
        "{input}",
      ]),
    });
    setup.stream.assign("t-1.1", "leaving", file);
    assert.equal((await outcomeOf(setup.stream, "t-1.1"))?.case, "succeeded");
    assert.equal(runs(Number(readFileSync(file, "utf8"))), false);
  });

  const noGroup = whyNoGroup();

  it("T68: run out of memory within their limit, and the worker lives on", {
    skip: noGroup ?? false,
  }, async () => {
    await using setup = await setUp({
      greedy: command(["sh", "-c", "head -c 300000000 /dev/zero | tail"], {
        memoryLimitBytes: 48 * 1024 * 1024,
      }),
    });
    setup.stream.assign("t-1.1", "greedy", null);
    const outcome = await outcomeOf(setup.stream, "t-1.1");
    assert.ok(outcome?.case === "failed");
    assert.equal(outcome.value.failureClass, FailureClass.OUT_OF_MEMORY);
    assert.match(outcome.value.message, /its memory ran out \(cgroup oom_kill \d+ in .*muster-t-1\.1-/);
  });

  it("say when no limit can be set", () => {
    const root = mkdtempSync(join(tmpdir(), "muster-cgroup-"));
    const roots = { proc: join(root, "proc"), sys: join(root, "sys") };
    assert.equal(MemoryGroup.make("x", 1e8, roots), "this system has no cgroups");
    rmSync(root, { recursive: true });
  });
});
