/** Tests that the files of real engines are distinguished from the others. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { engineOf } from "./real-engines.ts";

it("finds the engine of a test file by its path or by what it imports", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "muster-engines-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const importing = (path: string) => {
    const file = join(folder, "made.test.ts");
    writeFileSync(file, `import { start } from "${path}";\n`);
    return engineOf(file);
  };
  assert.equal(importing("../support/docker/engine.ts"), "Docker");
  assert.equal(importing("../support/kubernetes/cluster.ts"), "Kubernetes API server");
  assert.equal(importing("../support/browser/chromium.ts"), "browser");
  assert.equal(importing("../support/database/postgres.ts"), undefined);
  assert.equal(engineOf("test/e2e/python.test.ts"), "Python");
  assert.equal(engineOf("test/support/real-engines.test.ts"), undefined);
});
