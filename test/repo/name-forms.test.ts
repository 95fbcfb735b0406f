/** The forms of names stand once in the code. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  BUILD_ID,
  FAILURE_CODE,
  NAME,
  PHASE_NAME,
  UNIT_NAME,
  WORKER_ID,
} from "@muster/common/text/name-forms";
import { ROOT } from "../support/repo/checks.ts";

const HOME = "packages/common/src/text/name-forms.ts";
const SOURCES = [
  "packages/*/src/**/*.ts",
  "scheduler/src/**/*.ts",
  "worker-sdk/src/**/*.ts",
  "launcher/src/**/*.ts",
  "cli/src/**/*.ts",
];

/** Without its anchors, which a porter's comment does not need. */
function patternOf({ source }: RegExp): string {
  return source.slice(1, -1).replaceAll("\\/", "/");
}

async function filesWith(patterns: string | string[], pattern: RegExp): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const file of glob(patterns, { cwd: ROOT })) {
    const texts = [...readFileSync(join(ROOT, file), "utf8").matchAll(pattern)].map(([, text = ""]) => text);
    if (texts.length > 0) found.set(file, texts);
  }
  return found;
}

test("no source file has a copy of a form", async () => {
  const forms = new Set([NAME, WORKER_ID, BUILD_ID, FAILURE_CODE, PHASE_NAME, UNIT_NAME].map(patternOf));
  const written = await filesWith(SOURCES, /\^(\[[A-Za-z0-9-]+\]\[[^\]]+\]\{\d+,\d+\})\$/g);
  const copies = [...written].filter(
    ([file, patterns]) => file !== HOME && patterns.some((each) => forms.has(each)),
  );
  assert.deepEqual(copies, []);
  assert.equal(written.get(HOME)?.length, forms.size);
});
