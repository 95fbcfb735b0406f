/** Builds the API reference: a broken link fails. Exports without a comment fail in the repository's checks. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { ROOT, runTool, type ToolRun } from "../support/repo/checks.ts";

const FOLDER = join(ROOT, "reference");

const SKIP = env.CI
  ? false
  : "typedoc and its TypeScript are installed when CI is set; npm run reference builds it here";

const WRONG = `/**
 * Has a {@link Nothing}.
 * @module example
 */
export function linked(): void {}
`;

describe("the API reference", { skip: SKIP }, () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-reference-"));
    const install = ["ci", "--prefix", FOLDER, "--no-audit", "--no-fund", "--prefer-offline"];
    const { code, stdout, stderr } = await runTool("npm", install);
    assert.equal(code, 0, `${stdout}${stderr}`);
  });

  after(() => rm(folder, { recursive: true }));

  it("has a page for each entry of the package, and no link of it is broken", async () => {
    const html = join(folder, "html");
    const { code, stdout, stderr } = await typedoc("--out", html);
    assert.equal(code, 0, `${stdout}${stderr}`);
    const modules = await readdir(join(html, "modules"));
    const { exports }: { exports: object } = JSON.parse(
      await readFile(join(ROOT, "worker-sdk", "package.json"), "utf8"),
    );
    assert.equal(
      modules.length,
      Object.keys(exports).length - 2,
      `init and thread export nothing: ${modules.join(" ")}`,
    );
    const pages = (await readdir(html, { recursive: true })).filter((path) => path.endsWith(".html"));
    const known = new Set(pages);
    for (const page of pages) {
      const text = await readFile(join(html, page), "utf8");
      for (const [, target = ""] of text.matchAll(/href="(?!https?:|data:|#)([^"#]+\.html)/g))
        assert.ok(known.has(join(dirname(page), target)), `${page} links to ${target}`);
    }
  });

  it("is not built with a broken link", async () => {
    await writeFile(join(folder, "wrong.ts"), WRONG);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ files: ["wrong.ts"] }));
    const config = {
      extends: join(FOLDER, "typedoc.config.js"),
      tsconfig: "tsconfig.json",
      entryPoints: ["wrong.ts"],
    };
    await writeFile(join(folder, "typedoc.json"), JSON.stringify({ ...config, out: "wrong" }));
    const { code, stdout, stderr } = await typedoc("--options", join(folder, "typedoc.json"));
    assert.notEqual(code, 0, stdout);
    assert.match(stderr, /Failed to resolve link to "Nothing"/);
    assert.match(stderr, /Found 0 errors and 1 warnings/);
  });
});

function typedoc(...args: readonly string[]): Promise<ToolRun> {
  return runTool(join(FOLDER, "node_modules", ".bin", "typedoc"), args, { cwd: FOLDER });
}
