import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, watch, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";

describe("a scheduler whose standard output takes no lines", () => {
  let db: TestDatabase;
  let folder: string;
  let count = 0;

  before(async () => {
    db = await createDatabase();
    folder = mkdtempSync(join(tmpdir(), "muster-stdout-"));
  });
  after(async () => {
    await killAll();
    await db.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Its lines are read in its log file. */
  function start(output: string, args: readonly string[] = []): { program: Program; log: string } {
    const log = join(folder, `log.${++count}`);
    const program = Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
      base: import.meta.url,
      args: [...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-file", log], ...args],
      env: { DATABASE_URL: db.url },
      through: ["sh", "-c", `exec "$@" >${output}`, "sh"],
    });
    return { program, log };
  }

  async function logged(path: string, event: string, program: Program): Promise<string> {
    for (const signal = AbortSignal.timeout(20_000); !signal.aborted; ) {
      const changed = Promise.withResolvers<void>();
      const watcher = watch(folder, { signal }, () => changed.resolve());
      watcher.once("close", () => changed.resolve());
      const lines = read(path);
      const line = lines.find((each) => each.includes(`"event":"${event}"`));
      if (line === undefined) await Promise.race([changed.promise, program.ended]);
      watcher.close();
      if (line !== undefined) return line;
      if (!program.alive) break;
    }
    throw new Error(`no ${event} in ${path}:\n${read(path).join("\n")}\n${program.stderr}`);
  }

  function read(path: string): string[] {
    try {
      return readFileSync(path, "utf8").split("\n");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  }

  async function servesAndEnds({ program, log }: { program: Program; log: string }): Promise<void> {
    const started: { http_addr: string } = JSON.parse(await logged(log, "scheduler.started", program));
    const ready = await fetch(`http://${started.http_addr}/readyz`);
    assert.equal(ready.status, 200);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  }

  it("its disk is full: it serves, and says so in its log file", async () => {
    const run = start("/dev/full");
    assert.match(await logged(run.log, "log.output_failed", run.program), /ENOSPC/);
    await servesAndEnds(run);
  });

  it("its disk is full, and people read it: it serves", async () => {
    await servesAndEnds(start("/dev/full", ["--log-format", "pretty"]));
  });

  it("its pipe is full and has no reader: it serves, and SIGTERM ends it", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    assert.throws(() => {
      for (;;) writeSync(fd, "x".repeat(4096));
    }, /EAGAIN/);
    await servesAndEnds(start(pipe));
    closeSync(fd);
  });
});
