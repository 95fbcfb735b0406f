/** No folder holds more files than a reader takes in at once, but for those that docs/architecture.md gives a reason for. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/repo/checks.ts";

const MOST = 15;

/** Generated, built, or of others; `reference/html` is what `npm run reference` writes. */
const LEFT_OUT = /(?:^|\/)(?:node_modules|dist|\..*)$|^(?:gen\/src\/generated|reference|third_party)$/;

/** The files of each folder; tests beside their sources do not count. */
function filesByFolder(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const file of globSync("*/**/*.{ts,tsx,js,mjs}", {
    cwd: ROOT,
    exclude: (path) => LEFT_OUT.test(path),
  })) {
    if (/\.test\.ts$/.test(file) && !file.startsWith("test/")) continue;
    counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  }
  return counts;
}

/** The folders that the table in docs/architecture.md lists, each with a reason. */
function exceptions(): readonly string[] {
  const text = readFileSync(join(ROOT, "docs", "architecture.md"), "utf8");
  const [, section = ""] = /^## Folders with more than 15 files$([\s\S]*?)^## /m.exec(text) ?? [];
  return [...section.matchAll(/^\| (`.*?`) \| .+ \|$/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, folder = ""]) => folder),
  );
}

describe("folders", () => {
  const counts = filesByFolder();
  const listed = exceptions();

  it(`hold at most ${MOST} files, or have a reason in docs/architecture.md`, () => {
    assert.ok(counts.size > 150, `only ${counts.size} folders were read`);
    const large = [...counts].filter(([folder, count]) => count > MOST && !listed.includes(folder));
    assert.deepEqual(large, [], "split by subject, or give a reason in docs/architecture.md");
  });

  it("are listed there only while they are that large", () => {
    assert.ok(listed.length > 0);
    assert.deepEqual(
      listed.filter((folder) => (counts.get(folder) ?? 0) <= MOST),
      [],
    );
  });
});
