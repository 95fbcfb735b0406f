/** What the first look at the dashboard costs. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { type BuiltFile, buildDashboard } from "../../dashboard/build.ts";
import { checkFigure, DASHBOARD_FIRST_KIB } from "../support/repo/footprint.ts";

/** Promise of the documents, also for browsers that take gzip only. */
const MOST_KIB = 250;

describe("the dashboard", () => {
  let folder: string;
  let files: readonly BuiltFile[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-dashboard-"));
    files = await buildDashboard(folder);
  });
  after(() => rm(folder, { recursive: true }));

  const firstFiles = () => files.filter(({ first }) => first);

  it("is small at first load", async () => {
    const bytes = firstFiles().reduce((sum, { compressedBytes }) => sum + compressedBytes, 0);
    checkFigure("dashboard at first load, KiB of Brotli", bytes / 1024, DASHBOARD_FIRST_KIB);
    const zipped = await Promise.all(
      firstFiles().map(
        async ({ name }) => gzipSync(brotliDecompressSync(await readFile(join(folder, `${name}.br`)))).length,
      ),
    );
    const kib = zipped.reduce((sum, length) => sum + length, 0) / 1024;
    assert.ok(kib < MOST_KIB, `${Math.round(kib)} KiB of gzip`);
  });

  it("loads nothing from elsewhere, and nothing by an absolute path", async () => {
    const page = brotliDecompressSync(await readFile(join(folder, "index.html.br"))).toString();
    const links = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, link = ""]) => link);
    assert.ok(links.length >= 3);
    for (const link of links) assert.match(link, /^assets\/[\w-]+\.(?:js|css|svg)$/);
    assert.doesNotMatch(
      page,
      /<style|<script>|style=|\son\w+=/,
      "the content security policy would refuse it",
    );
  });

  it("has a hash in every name that browsers keep", () => {
    for (const { name } of files.filter((file) => file.name !== "index.html"))
      assert.match(name, /-[A-Za-z0-9]{8}\.\w+$/);
  });
});
