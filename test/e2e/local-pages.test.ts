import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bundledCommands } from "../support/programs/bundled.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";

describe("the examples of docs/testing.md and docs/local-use.md", () => {
  let folder: Folder;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
  });

  after(() => folder.remove());

  /** Writes the files of a page into a folder of its own; returns it with the shell commands by name. */
  async function page(name: string) {
    const text = await readFile(join(ROOT, "docs", `${name}.md`), "utf8");
    const here = join(folder.path, name);
    await mkdir(here);
    const commands = new Map<string, string>();
    for (const [, kind, title = "", source = ""] of text.matchAll(/^```(ts|sh) (\S+)\n([\s\S]*?)^```$/gm))
      if (kind === "sh") commands.set(title, source);
      else await writeFile(join(here, title), source);
    return { here, commands };
  }

  it("docs/testing.md: a handler alone, and with a scheduler", async () => {
    const { here } = await page("testing");
    const env = { ...toolEnv(), NODE_TEST_CONTEXT: undefined };
    const { code, stdout, stderr } = await runTool("node", ["--test", "convert.test.ts", "kit.test.ts"], {
      cwd: here,
      env,
    });
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^. pass 8$/m);
  });

  it("docs/local-use.md: one task", async () => {
    const { here, commands } = await page("local-use");
    const env = toolEnv();
    const { code, stdout, stderr } = await runTool("bash", ["-euc", commands.get("invoke") ?? ""], {
      cwd: here,
      env: { ...env, PATH: [...bundledCommands(), env.PATH].join(delimiter) },
    });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '{"text":"Hello, Ada!"}\n');
    assert.match(await readFile(join(here, "log.txt"), "utf8"), /"msg":"greeting"/);
  });
});
