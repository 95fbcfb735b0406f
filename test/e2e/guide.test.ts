import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, type Served, serve, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";

const GUIDE = join(ROOT, "docs/guide");

/** The pages with a program, which prints what the page says. `first-worker.md` is run in test/e2e/pack.test.ts. */
const PROGRAMS = ["at-least-once", "cancellation", "progress", "resources"];

describe("the examples of the author's guide", () => {
  let folder: Folder;
  let served: Served;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    served = await serve(folder);
  });

  after(async () => {
    await killAll();
    await folder.remove();
  });

  for (const name of PROGRAMS) {
    it(`docs/guide/${name}.md prints what it says`, async () => {
      const text = await readFile(join(GUIDE, `${name}.md`), "utf8");
      const [, file = "", source = ""] = /^```ts (\S+)\n([\s\S]*?)^```$/m.exec(text) ?? [];
      const expected = new RegExp(`^\`\`\`text ${file}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(text)?.[1];
      assert.ok(expected, `${name}.md says what ${file} prints`);
      await mkdir(join(folder.path, name));
      await writeFile(join(folder.path, name, file), source);
      const program = Program.start(file, pathToFileURL(join(folder.path, name, file)).href, {
        base: import.meta.url,
        env: { MUSTER_SCHEDULER_ADDR: served.grpc, WORKER_ID: name },
      });
      assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
      assert.equal(program.stdout, expected);
    });
  }

  it("every page with a program is run", async () => {
    const pages = (await readdir(GUIDE)).filter((page) => page !== "first-worker.md");
    const withProgram: string[] = [];
    for (const page of pages) {
      if (/^```ts /m.test(await readFile(join(GUIDE, page), "utf8")))
        withProgram.push(page.replace(".md", ""));
    }
    assert.deepEqual(withProgram.sort(), PROGRAMS);
  });
});
