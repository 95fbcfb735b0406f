import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { brotliCompressSync, gunzipSync } from "node:zlib";
import { DashboardAssets, encodingFor } from "./assets.ts";

describe("the files of the dashboard", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-assets-"));
    await writeFile(join(folder, "main.js.br"), brotliCompressSync("let a"));
    await writeFile(join(folder, "other.txt"), "not of the build");
  });
  after(() => rm(folder, { recursive: true }));

  it("are sent as the browser takes them", async () => {
    const assets = new DashboardAssets(pathToFileURL(`${folder}/`));
    const file = await assets.get("main.js");
    assert.equal(file?.type, "text/javascript; charset=utf-8");
    assert.equal(String(await file?.bytes("identity")), "let a");
    assert.equal(String(gunzipSync((await file?.bytes("gzip")) ?? Buffer.alloc(0))), "let a");
    assert.equal(await file?.bytes("gzip"), await file?.bytes("gzip"), "compressed once");
  });

  it("are those of the build alone", async () => {
    const assets = new DashboardAssets(pathToFileURL(`${folder}/`));
    for (const name of ["other.txt", "../main.js", "main.js.br", "", "constructor"])
      assert.equal(await assets.get(name), undefined, name);
  });

  it("are missing until the page was built", async () => {
    const later = join(folder, "later");
    const assets = new DashboardAssets(pathToFileURL(`${later}/`));
    assert.equal(await assets.get("index.html"), undefined);
    await mkdir(later);
    await writeFile(join(later, "index.html.br"), brotliCompressSync("<!doctype html>"));
    assert.ok(await assets.get("index.html"));
  });

  it("are encoded by what the request accepts", () => {
    assert.equal(encodingFor("gzip, deflate, br;q=0.9, zstd"), "br");
    assert.equal(encodingFor("gzip, br;q=0"), "gzip");
    assert.equal(encodingFor("deflate, brx"), "identity");
    assert.equal(encodingFor(undefined), "identity");
  });
});
