/** docs/explanations.md lists the codes of the registry. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { EXPLANATIONS, withTables } from "../support/repo/explanation-tables.ts";

test("docs/explanations.md has the codes of the registry", async () => {
  const document = await readFile(EXPLANATIONS, "utf8");
  assert.equal(
    document,
    withTables(document),
    "run `node test/scripts/explanation-tables.ts` and commit docs/explanations.md",
  );
});
