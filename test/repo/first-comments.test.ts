/** The first comment of a source says what the file is for: it is at the top, or above the first declaration. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { ROOT } from "../support/repo/checks.ts";

const LEFT_OUT = /(?:^|\/)(?:node_modules|dist|\..*)$|^(?:gen\/src\/generated|reference|third_party)$/;

/** Imports and exports of others, one after the other, then a comment. */
const BEGINNING =
  /^(?:#!.*\n)?\s*(?:(?:import|export)\s[^;]*?(?:from\s*)?"[^"]+"(?:\s*with\s*\{[^}]*\})?;\s*)*(?:\/\*\*|\/\/)/;

it("every source says at its beginning what it is for", () => {
  const files = globSync("*/**/*.{ts,js}", { cwd: ROOT, exclude: (path) => LEFT_OUT.test(path) });
  const sources = files.filter((file) => !/\.(?:test|d)\.ts$/.test(file));
  assert.ok(sources.length > 1_000, `only ${sources.length} were read`);
  assert.deepEqual(
    sources.filter((file) => !BEGINNING.test(readFileSync(join(ROOT, file), "utf8"))),
    [],
  );
});

it("a source without such a comment is found", () => {
  assert.ok(BEGINNING.test('/** A. */\nimport a from "a";\n'));
  assert.ok(BEGINNING.test('#!/usr/bin/env node\nimport { a } from "a";\n\n/** A. */\nconst b = a;\n'));
  assert.ok(!BEGINNING.test('import { a } from "a";\n\nconst b = a;\n/** C. */\nconst c = b;\n'));
});
