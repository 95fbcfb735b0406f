/** No folder and no file is larger than a reader takes in at once, but for those that docs/architecture.md gives a reason for. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/repo/checks.ts";

const MOST_FILES = 15;
const MOST_LINES = 400;

/** Generated, built, or of others; `reference/html` is what `npm run reference` writes. */
const LEFT_OUT = /(?:^|\/)(?:node_modules|dist|\..*)$|^(?:gen\/src\/generated|reference|third_party)$/;

const PATTERN = "*/**/*.{ts,tsx,js,mjs}";
const FILES = globSync(PATTERN, { cwd: ROOT, exclude: (path) => LEFT_OUT.test(path) });

/** The files of each folder; tests beside their sources do not count. */
function filesByFolder(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const file of FILES) {
    if (/\.test\.ts$/.test(file) && !file.startsWith("test/")) continue;
    counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  }
  return counts;
}

/** The lines of each source; tests do not count. */
function linesByFile(): ReadonlyMap<string, number> {
  const sources = FILES.filter((file) => !/\.test\.ts$/.test(file));
  return new Map(
    sources.map((file) => [file, readFileSync(join(ROOT, file), "utf8").split("\n").length - 1]),
  );
}

/** The paths that a table in docs/architecture.md lists, each with a reason. */
function listed(heading: string): readonly string[] {
  const text = readFileSync(join(ROOT, "docs", "architecture.md"), "utf8");
  const section = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| (`.*?`) \| .+ \|$/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path),
  );
}

const CASES = [
  { what: "folders", unit: "files", most: MOST_FILES, sizes: filesByFolder(), atLeast: 150 },
  { what: "files", unit: "lines", most: MOST_LINES, sizes: linesByFile(), atLeast: 1_000 },
];

for (const { what, unit, most, sizes, atLeast } of CASES) {
  describe(what, () => {
    const exceptions = listed(`${what[0]?.toUpperCase()}${what.slice(1)} with more than ${most} ${unit}`);

    it(`have at most ${most} ${unit}, or a reason in docs/architecture.md`, () => {
      assert.ok(sizes.size > atLeast, `only ${sizes.size} were read`);
      const large = [...sizes].filter(([path, size]) => size > most && !exceptions.includes(path));
      assert.deepEqual(large, [], "split by subject, or give a reason in docs/architecture.md");
    });

    it("are listed there only while they are that large", () => {
      assert.ok(exceptions.length > 0);
      assert.deepEqual(
        exceptions.filter((path) => (sizes.get(path) ?? 0) <= most),
        [],
      );
    });
  });
}
