import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, describe, it } from "node:test";
import { killAll, type Program } from "../support/programs/program.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";

describe("a worker pointed at a closed port", () => {
  after(killAll);

  it("logs its phases and ends by the register watchdog with the last dial error", async () => {
    const address = `127.0.0.1:${await closedPort()}`;
    const { worker, seconds } = await timedOut(address);
    assert.deepEqual(await worker.ended, { code: 1, signal: null });

    const phases = worker.lines.filter(({ event }) => event === "worker.startup.phase");
    assert.deepEqual(
      phases.map(({ phase }) => phase),
      ["boot", "scheduler_connecting", "startup_timeout_unregistered"],
    );
    for (const line of phases) {
      const { worker_id, scheduler_addr, pid, uid, gid, cwd, elapsed_ms, time } = line;
      assert.deepEqual(
        { worker_id, scheduler_addr, pid, uid, gid, cwd },
        {
          worker_id: "unregistered",
          scheduler_addr: address,
          pid: worker.pid,
          uid: process.getuid?.(),
          gid: process.getgid?.(),
          cwd: process.cwd(),
        },
      );
      assert.equal(typeof elapsed_ms, "number");
      assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    const end = fatal(worker.lines);
    assert.equal(end.phase, "startup_timeout_unregistered");
    assert.match(String(end.last_error), /ECONNREFUSED/);
    assert.ok(String(end.exception_message).includes(`within ${seconds} s (WORKER_REGISTER_TIMEOUT_S)`));
    assert.equal(end.exit_code, 1);
    const elapsed = Number(phases.at(-1)?.elapsed_ms);
    assert.ok(elapsed >= seconds * 1_000, `the watchdog acted after ${elapsed} ms`);
  });
});

/**
 * A worker that reached its register timeout. The timeout counts from the start of the process: where a loaded machine
 * left no time for a first dial, a longer one follows.
 */
async function timedOut(address: string): Promise<{ worker: Program; seconds: number }> {
  for (let seconds = 2; ; seconds *= 3) {
    const worker = await startTestWorker({
      scheduler: address,
      id: "unregistered",
      env: { WORKER_REGISTER_TIMEOUT_S: String(seconds) },
      waitReady: false,
    });
    await worker.ended;
    if (worker.lines.some(({ event }) => event === "worker.dial.failed") || seconds > 50)
      return { worker, seconds };
  }
}

function fatal<L extends { readonly event: string }>(lines: readonly L[]): L {
  const line = lines.find(({ event }) => event === "worker.startup_timeout_unregistered");
  assert.ok(line, "worker.startup_timeout_unregistered was not logged");
  return line;
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}
