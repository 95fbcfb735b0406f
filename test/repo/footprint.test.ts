/** What an install of `@muster/worker` costs, by the lock file; its archive is measured in test/e2e/pack.test.ts. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/repo/checks.ts";
import {
  bytesOf,
  checkFigure,
  dependencyFolders,
  WORKER_DEPENDENCIES,
  WORKER_DEPENDENCIES_KIB,
} from "../support/repo/footprint.ts";

describe("the install of @muster/worker", () => {
  const folders = dependencyFolders("worker-sdk");

  it("adds the packages that test/support/repo/footprint.ts lists", () => {
    const names = new Set(folders.map((folder) => folder.slice(folder.lastIndexOf("node_modules/") + 13)));
    assert.deepEqual([...names].toSorted(), WORKER_DEPENDENCIES);
  });

  it("is not larger than it allows", () => {
    const bytes = folders.reduce((sum, folder) => sum + bytesOf(folder), 0);
    checkFigure("dependencies of @muster/worker, KiB", bytes / 1024, WORKER_DEPENDENCIES_KIB);
  });

  it("is what the package's README says", async () => {
    const text = await readFile(join(ROOT, "worker-sdk", "README.md"), "utf8");
    const mib = Math.round(WORKER_DEPENDENCIES_KIB / 1024);
    assert.match(
      text,
      new RegExp(`needs ${WORKER_DEPENDENCIES.length} other packages,\\s+which have ${mib} MiB`),
    );
  });

  it("is compared in both directions", () => {
    checkFigure("a figure", 99.5, 100);
    assert.throws(
      () => checkFigure("a figure", 100.1, 100),
      /a figure: 101, more than 100\. Is that needed\?/,
    );
    assert.throws(() => checkFigure("a figure", 80, 100), /a figure: 80, less than 100\. Lower it/);
    assert.throws(() => checkFigure("a new package", 1), /more than 0/);
  });
});
