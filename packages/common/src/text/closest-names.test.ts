import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { closestNames } from "./closest-names.ts";

describe("closest names", () => {
  it("are those that a typo may have missed, and nothing far off", () => {
    assert.deepEqual(closestNames("grpc-adr", ["grpc-addr", "http-addr", "token"]), ["grpc-addr"]);
    assert.deepEqual(closestNames("OCR", ["ocr"]), ["ocr"]);
    assert.deepEqual(closestNames("ehco", ["echo", "sleep"]), ["echo"]);
    assert.deepEqual(closestNames("", ["echo"]), []);
    assert.deepEqual(closestNames("gpu-types", ["GPU_TYPE", "zone"]), ["GPU_TYPE"]);
    assert.deepEqual(closestNames("llama-3-8b", ["Llama3_8B", "llama-3-7b"]), ["Llama3_8B", "llama-3-7b"]);
    assert.deepEqual(closestNames("ocrPages", ["ocr.page"]), ["ocr.page"]);
    assert.deepEqual(closestNames("ocr", ["ocr.page", "ocrpage", "omr"]), ["ocr.page", "omr"]);
    assert.deepEqual(closestNames("render", ["ocr", "echo"]), []);
    assert.equal(closestNames("aaa", ["aab", "aac", "aad", "aae"]).length, 3);
  });
});
