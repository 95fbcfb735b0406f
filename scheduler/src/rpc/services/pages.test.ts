import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Refusal } from "../../domain/errors.ts";
import { pageSize, pageToken, parsePageToken } from "./pages.ts";

describe("pages", () => {
  it("continue where they ended, with a token that only this service makes", () => {
    fc.assert(fc.property(fc.nat(), (id) => assert.equal(parsePageToken(pageToken(id)), id)));
    assert.equal(parsePageToken(""), undefined);
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (token) => {
        try {
          assert.ok(Number.isFinite(parsePageToken(token)));
        } catch (error) {
          assert.ok(error instanceof Refusal && error.reason === "INVALID_PAGE_TOKEN");
        }
      }),
    );
  });

  it("have a size within bounds", () => {
    assert.equal(pageSize(0, 50), 50);
    assert.equal(pageSize(1_000, 50), 1_000);
    for (const size of [-1, 1_001])
      assert.throws(
        () => pageSize(size, 50),
        (error: unknown) => error instanceof Refusal && error.violations[0]?.field === "page_size",
      );
  });
});
