/** The archive of the protos: buf takes it without anything else. The test of the Python client gives it to plain protoc. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { runTool } from "../support/repo/checks.ts";
import { writeProtoArchive } from "../support/repo/proto-archive.ts";

const run = promisify(execFile);

describe("the archive of the protos", () => {
  let folder: string;
  let module: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-archive-"));
    const archive = await writeProtoArchive(folder);
    await run("tar", ["--extract", "--file", archive, "--directory", folder]);
    module = archive.replace(/\.tar\.gz$/, "");
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it("is the same for the same files", async () => {
    const again = await mkdtemp(join(tmpdir(), "muster-archive-"));
    try {
      const [one, other] = await Promise.all([
        readFile(`${module}.tar.gz`),
        readFile(await writeProtoArchive(again)),
      ]);
      const hash = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
      assert.equal(hash(one), hash(other));
    } finally {
      await rm(again, { recursive: true, force: true });
    }
  });

  it("is a module that buf builds", async () => {
    const { code, stderr } = await runTool("buf", ["build", module, "-o", join(folder, "image.binpb")]);
    assert.equal(code, 0, stderr);
  });
});
