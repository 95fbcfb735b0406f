import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/checks.ts";

/** Files that two packages have alike, because neither may import the other. */
const COPIES = [["scheduler/src/telemetry/rolling-file.ts", "cli/src/supervise/rolling-file.ts"]] as const;

describe("copies of a file", () => {
  for (const [original, copy] of COPIES)
    it(`${copy} is ${original}`, async () => {
      const [one, other] = await Promise.all(
        [original, copy].map((name) => readFile(join(ROOT, name), "utf8")),
      );
      assert.equal(other, one);
    });
});
