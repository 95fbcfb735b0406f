import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, execPath, kill } from "node:process";
import { it } from "node:test";
import { WAIT_MS } from "./waits.ts";

it("a test file whose hooks fail ends with the first error, and leaves no program", async () => {
  const folder = mkdtempSync(join(tmpdir(), "muster-clean-up-"));
  try {
    const support = new URL("./programs/program.ts", import.meta.url).href;
    writeFileSync(join(folder, "idle.mjs"), "setInterval(() => {}, 1_000);");
    const file = join(folder, "hooks.test.mjs");
    writeFileSync(
      file,
      `import { after, before, describe, it } from "node:test";
      import { Program } from ${JSON.stringify(support)};
      describe("hooks", () => {
        before(() => {
          const { pid } = Program.start("idle", "./idle.mjs", { base: import.meta.url });
          console.log("started " + pid);
          throw new Error("the first error");
        });
        after(() => undefined.close());
        it("never begins", () => undefined);
      });`,
    );
    const run = spawnSync(execPath, ["--test", "--test-reporter=spec", "--conditions=muster-source", file], {
      env: { ...env, NODE_TEST_CONTEXT: undefined },
      encoding: "utf8",
      timeout: WAIT_MS,
    });
    assert.equal(run.status, 1, run.stderr);
    assert.match(run.stdout, /Error: the first error/);
    const [, pid] = /started (\d+)/.exec(run.stdout) ?? [];
    assert.ok(pid, run.stdout);
    assert.throws(() => kill(Number(pid), 0), /ESRCH/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
