import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { supervise, workerCommand } from "../support/programs/supervised.ts";

/** 0.02 MB, a hundred lines or so. */
const MAX_BYTES = 0.02 * 1024 * 1024;
const KEEP = 3;

describe("log files", () => {
  let folder: string;
  let fleet: Fleet;

  const args = () => [
    ...["--verbose", "--log-file", join(folder, "scheduler", "log")],
    ...["--log-file-max-mb", "0.02", "--log-file-keep", String(KEEP)],
  ];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "muster-logs-"));
    fleet = await Fleet.start({ args: args() });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The lines of the file and of its predecessors, oldest first. */
  function kept(name: string): string[] {
    const names = [...Array.from({ length: KEEP }, (_, n) => `${name}.${KEEP - n}`), name];
    return names.flatMap((each) => readFileSync(join(folder, each), "utf8").trimEnd().split("\n"));
  }

  async function work(): Promise<void> {
    const handles = await fleet.client.submitMany(
      Array.from({ length: 400 }, (_, n) => ({ type: "echo", payload: n })),
    );
    await Promise.all(handles.map((handle) => handle.result()));
  }

  it("the scheduler's is rotated by size, has every line of its output, and is bounded", async () => {
    await fleet.worker("writes", { slots: 4 });
    const { program } = fleet.scheduler;
    while (Buffer.byteLength(program.stdout) < 8 * MAX_BYTES) await work();
    assert.equal((await program.end()).code, 0);
    const said = program.stdout.trimEnd().split("\n");
    const lines = kept("scheduler/log");
    assert.deepEqual(lines, said.slice(-lines.length), "what is kept is the end of what was said, gapless");
    assert.deepEqual(readdirSync(join(folder, "scheduler")).sort(), ["log", "log.1", "log.2", "log.3"]);
    for (const name of ["log", "log.1", "log.2", "log.3"])
      assert.ok(statSync(join(folder, "scheduler", name)).size <= MAX_BYTES, name);
    for (const name of ["log.1", "log.2", "log.3"])
      assert.ok(statSync(join(folder, "scheduler", name)).size > MAX_BYTES * 0.8, `${name} was nearly full`);
  });

  it("a scheduler that is killed leaves what it had said, and its successor goes on below it", async () => {
    const heir = await fleet.restart(fleet.scheduler, args());
    await work();
    await heir.program.end("SIGKILL");
    const said = heir.program.stdout.trimEnd().split("\n");
    const lines = kept("scheduler/log");
    // It may have died between its output and its file.
    const last = said.lastIndexOf(lines.at(-1) ?? "");
    assert.ok(last >= said.length - 2, `${said.length - 1 - last} lines are missing at the end`);
    const own = lines.slice(-(last + 1));
    assert.deepEqual(own, said.slice(last + 1 - own.length, last + 1));
    await fleet.restart(heir, args());
  });

  it("one that cannot be opened ends the start with its name and what to do", async () => {
    const refused = Program.start("muster serve", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["serve", "--log-file", "/dev/null/log"],
    });
    assert.equal((await refused.ended).code, 1);
    assert.match(
      refused.stderr,
      /^error: the log file \/dev\/null\/log cannot be written: .*--log-file, or none/m,
    );
  });

  it("muster run keeps both streams of a worker and its own words, whole lines, to its dying one", async () => {
    const log = join(folder, "run", "log");
    const gate = fleet.gate();
    const script = [
      '"$@" & worker=$!',
      'until [ -e "$GATE" ]; do sleep 0.1; done',
      "kill $worker; wait $worker; printf 'half a line' >&2; exit 3",
    ].join("; ");
    const worker = await supervise(fleet, "kept-output", {
      command: ["sh", "-c", script, "sh", ...workerCommand()],
      args: ["--log-file", log, "--log-file-max-mb", "1", "--log-file-keep", "2"],
      env: { GATE: gate.path },
    });
    const handle = await fleet.client.submit("echo", 1, { queue: "kept-output" });
    await handle.result();
    gate.open();
    assert.equal((await worker.supervisor.ended).code, 3);
    const { stdout, stderr } = worker.supervisor;
    assert.match(stderr, /half a line\{/, "on the terminal it runs into the next line");
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    const said = `${stdout}${stderr.replace("half a line", "half a line\n")}`.trimEnd().split("\n");
    assert.deepEqual(lines.toSorted(), said.toSorted());
    const events = lines.filter((line) => line.startsWith("{")).map((line) => String(JSON.parse(line).event));
    assert.equal(events[0], "launch.started");
    assert.ok(events.indexOf("worker.started") < events.indexOf("task.completed"), events.join());
    assert.ok(events.includes("launch.ended"), events.join());
  });
});
