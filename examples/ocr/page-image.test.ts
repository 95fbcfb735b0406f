import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NonRetryableError } from "@muster/worker";
import { pageFile } from "./page-image.ts";

describe("a page that a payload names", () => {
  it("is a file of the folder", () => {
    assert.equal(pageFile({ file: "scan 1.png" }), "scan 1.png");
  });

  it("is refused for good when it is anything else", () => {
    for (const payload of [
      ...["../worker.ts", "/etc/passwd", "a/b.png", ".env", "..", "", 7].map((file) => ({ file })),
      ...[{}, [], "scan.png", null, undefined],
    ]) {
      assert.throws(
        () => pageFile(payload),
        (error) => error instanceof NonRetryableError && error.code === "INVALID_PAYLOAD",
        JSON.stringify(payload),
      );
    }
  });
});
