import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, describe, it } from "node:test";
import { killAll } from "../support/programs/program.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";

describe("a worker pointed at a closed port", () => {
  after(killAll);

  it("logs its phases and ends by the register watchdog with the last dial error", async () => {
    const address = `127.0.0.1:${await closedPort()}`;
    const worker = await startTestWorker({
      scheduler: address,
      id: "nobody-there",
      // Counted from the start of the process, which takes 2 s on a busy machine; dials come after it.
      env: { WORKER_REGISTER_TIMEOUT_S: "6" },
      waitReady: false,
    });
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
          worker_id: "nobody-there",
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
    assert.match(String(end.exception_message), /within 6 s \(WORKER_REGISTER_TIMEOUT_S\)/);
    assert.equal(end.exit_code, 1);
    const elapsed = Number(phases.at(-1)?.elapsed_ms);
    assert.ok(elapsed >= 6_000 && elapsed < 10_000, `the watchdog acted after ${elapsed} ms`);
  });
});

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
