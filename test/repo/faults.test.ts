import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/repo/checks.ts";

/** Rows of docs/faults.md: the number, and the test's file. */
const ROWS = [
  ...(await readFile(join(ROOT, "docs/faults.md"), "utf8")).matchAll(/^\| ([FT]\d+) \|.*\| `(\S+)` \|$/gm),
].map(([, id = "", file = ""]) => ({ id, file }));

/** The start of a test's name that says which rows it shows: `F10, F11: refused workers`. */
const TITLE = /(?:\b(?:describe|it|test)\(|\btitle:)\s*["'`]((?:[FT]\d+(?:, )?)+)\b/g;

async function idsIn(file: string): Promise<string[]> {
  const text = await readFile(join(ROOT, file), "utf8");
  return [...text.matchAll(TITLE)].flatMap(([, ids = ""]) => ids.split(", "));
}

describe("docs/faults.md", () => {
  it("numbers its rows without a gap", () => {
    for (const letter of ["F", "T"]) {
      const ids = ROWS.map(({ id }) => id).filter((id) => id.startsWith(letter));
      assert.deepEqual(
        ids,
        ids.map((_, index) => `${letter}${index + 1}`),
      );
    }
  });

  for (const { id, file } of ROWS) {
    it(`${id} is tested in ${file}`, async () => {
      assert.ok(existsSync(join(ROOT, file)), "there is no such file");
      assert.ok((await idsIn(file)).includes(id), `no test in it has a name that begins with ${id}`);
    });
  }

  it("has a row for every number in the name of a test", async () => {
    const files = globSync(
      "{test,packages/*/src,scheduler/src,worker-sdk/src,launcher/src,cli/src}/**/*.test.ts",
      {
        cwd: ROOT,
      },
    );
    const used = (await Promise.all(files.map(idsIn))).flat();
    const known = new Set(ROWS.map(({ id }) => id));
    assert.deepEqual([...new Set(used)].filter((id) => !known.has(id)).sort(), []);
  });
});
