import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

/** Files that packages have a copy of each, because neither may import the other. */
const COPIES = [
  ["scheduler/src/dispatch/churn-map.ts", "worker-sdk/src/churn-map.ts"],
  ["scheduler/src/process-one.ts", "worker-sdk/src/process-one.ts"],
] as const;

describe("copies of a file", () => {
  for (const [one, other] of COPIES) {
    it(`${one} and ${other} are equal`, async () => {
      assert.equal(await readFile(other, "utf8"), await readFile(one, "utf8"));
    });
  }
});
