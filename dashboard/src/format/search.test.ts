import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSearch, stringifySearch } from "./search.ts";

describe("the filters in an address", () => {
  it("are read as they are written", () => {
    const filters = { state: "failed,running", queue: "a/b c", tag: "ä&=%" };
    assert.deepEqual(parseSearch(stringifySearch(filters)), filters);
  });

  it("leave out what is empty or no text", () => {
    assert.equal(stringifySearch({ queue: "", page: 3, type: undefined }), "");
  });
});
