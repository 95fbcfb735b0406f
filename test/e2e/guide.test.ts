/** Runs the programs of the author's guide; `first-worker.md` is run in test/e2e/pack.test.ts. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";
import { ROOT } from "../support/repo/checks.ts";

const PAGES = readdirSync(join(ROOT, "docs/guide")).map((page) => `docs/guide/${page}`);

/** The programs of all pages, each with its page. */
const PROGRAMS = PAGES.flatMap((page) =>
  [...readFileSync(join(ROOT, page), "utf8").matchAll(/^```ts (\S+)$/gm)].map(([, file = ""]) => ({
    page,
    file,
  })),
);

describe("the examples of the author's guide", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start(...PAGES);
  });

  after(() => examples.stop());

  for (const { page, file } of PROGRAMS) {
    it(`${page}: ${file} prints what the page says`, async () => {
      assert.equal(await examples.program(`ts ${file}`, { WORKER_ID: file }), examples.expected(file));
    });
  }

  it("has programs", () => assert.ok(PROGRAMS.length >= 4));
});
