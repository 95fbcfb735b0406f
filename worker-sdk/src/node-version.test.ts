import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkNodeVersion } from "./node-version.ts";

test("an old Node is refused with the one that is needed, as package.json has it", () => {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  const [, needed] = /"node": ">=([\d.]+)"/.exec(manifest) ?? [];
  assert.ok(needed);
  for (const old of ["20.11.0", "22.14.9", "18.0.0"]) {
    assert.throws(
      () => checkNodeVersion(old, "/usr/bin/node"),
      new RegExp(`needs Node ${needed} or newer, this is Node ${old} \\(/usr/bin/node\\)`),
    );
  }
  for (const version of [`${needed}.0`, "24.0.0", "23.1.0", "100.0.0"]) checkNodeVersion(version, "node");
});
