/** The link as a process, with workers in a shell. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { ROOT } from "../support/repo/checks.ts";

const SHELL_WORKER = ["sh", join(ROOT, "examples", "link-shell", "worker.sh")];

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
});
