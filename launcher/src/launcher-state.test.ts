import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { openLauncherState } from "./launcher-state.ts";

describe("the state folder of a launcher", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "muster-state-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("keeps its id, and gets the one that is given", () => {
    const made = openLauncherState(join(folder, "a"));
    made.release();
    const again = openLauncherState(join(folder, "a"), made.launcherId);
    assert.equal(again.launcherId, made.launcherId);
    again.release();
    const given = openLauncherState(join(folder, "b"), "gpu-cluster");
    assert.equal(given.launcherId, "gpu-cluster");
    assert.throws(
      () => openLauncherState(join(folder, "b"), "gpu-cluster"),
      /another launcher uses the state folder/,
    );
    given.release();
    // The same id without the folder: what an engine keeps of it is found by its label.
    const elsewhere = openLauncherState(join(folder, "c"), "gpu-cluster");
    assert.equal(elsewhere.launcherId, "gpu-cluster");
    elsewhere.release();
  });

  test("refuses another id than its own, and one that is none", () => {
    openLauncherState(folder, "one").release();
    assert.throws(() => openLauncherState(folder, "two"), /belongs to the launcher one, not to two/);
    for (const id of ["", "-a", "a b", "a".repeat(64)])
      assert.throws(() => openLauncherState(folder, id), /is no id of a launcher/, id);
    openLauncherState(folder).release();
  });
});
