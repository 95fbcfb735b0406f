import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { quoted } from "./shell.ts";

describe("a word of a shell", () => {
  it("is one word, whatever it holds", () => {
    assert.equal(quoted("ocr.page"), "ocr.page");
    assert.equal(quoted(""), "''");
    assert.equal(quoted("it's; rm -rf /"), String.raw`'it'\''s; rm -rf /'`);
    assert.equal(quoted("$(id)\n"), "'$(id)\n'");
  });
});
