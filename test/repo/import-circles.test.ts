/** No file imports itself through others. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");
const SOURCES = [
  "packages/*/src/**/*.ts",
  "scheduler/src/**/*.ts",
  "worker-sdk/src/**/*.ts",
  "launcher/src/**/*.ts",
  "cli/src/**/*.ts",
  "bench/src/**/*.ts",
  "test/**/*.ts",
];

/** Of types too: two files that name each other's types cannot be read one at a time. */
const IMPORT = /^(?:import|export)\s+(?:[^"';]*?\bfrom\s+)?"(\.[^"]+)"/gm;

async function importsByFile(): Promise<Map<string, string[]>> {
  const imports = new Map<string, string[]>();
  for await (const file of glob(SOURCES, { cwd: ROOT, exclude: ["**/node_modules/**"] })) {
    if (file.endsWith(".d.ts")) continue;
    const text = readFileSync(join(ROOT, file), "utf8");
    imports.set(
      file,
      [...text.matchAll(IMPORT)].map(([, path = ""]) => join(dirname(file), path)),
    );
  }
  return imports;
}

/** The first circle that is found, as the files along it. */
function circleOf(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (done.has(file)) return undefined;
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    path.push(file);
    for (const next of imports.get(file) ?? []) {
      const circle = visit(next);
      if (circle) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return undefined;
}

test("no source file imports itself through others", async () => {
  const imports = await importsByFile();
  assert.ok(imports.size > 300, `only ${imports.size} files were read`);
  assert.deepEqual(circleOf(imports), undefined);
});

test("a circle is found", () => {
  const imports = new Map([
    ["a", ["b", "c"]],
    ["b", []],
    ["c", ["d"]],
    ["d", ["c"]],
  ]);
  assert.deepEqual(circleOf(imports), ["c", "d", "c"]);
});
