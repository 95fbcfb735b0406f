import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, type Served, serve, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";

interface Block {
  /** Language and what follows it on the fence. */
  readonly kind: string;
  readonly text: string;
}

const README = await readFile(join(ROOT, "README.md"), "utf8");
const BLOCKS: readonly Block[] = [...README.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(
  ([, kind = "", text = ""]) => ({ kind, text }),
);

describe("the README's examples", () => {
  let folder: Folder;
  let served: Served;

  before(async () => {
    folder = await temporaryFolder();
    // Where a reader's file in the checkout would find the packages.
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    served = await serve(folder);
  });

  after(async () => {
    await killAll();
    await folder.remove();
  });

  it("are all run here, but for the two commands and the picture", () => {
    assert.deepEqual(
      BLOCKS.map(({ kind }) => kind),
      ["sh", "ts greeter.ts", "sh run", "ts submit.ts", "sh run", "sh run", "sh run", "mermaid"],
    );
    assert.deepEqual(
      block(0)
        .split("\n")
        .map((line) => line.split("#")[0]?.trim()),
      ["npm ci && npm run demo", "npm ci && npm test", "npm start", ""],
    );
  });

  it("starts the worker", async () => {
    const lines = block(1)
      .split("\n")
      .filter((line) => line !== "");
    assert.ok(lines.length <= 11, `the worker in ten lines has ${lines.length}`);
    const worker = await program("greeter.ts", block(1));
    await worker.line("worker.startup.phase", ({ phase }) => phase === "ready");
  });

  it("submits with the CLI", async () => {
    assert.equal((await shell(block(2))).trim(), '{"text":"Hello, Ada!"}');
  });

  it("submits in TypeScript", async () => {
    const submit = await program("submit.ts", block(3));
    assert.deepEqual(await submit.ended, { code: 0, signal: null }, submit.tail());
    assert.match(submit.stdout, /^t-2 \{ text: ['"]Hello, Ada!['"] \}$/m);
  });

  it("submits and reads with curl", async () => {
    assert.equal(block(4).trim().split("\n").length, 1, "the example is one line");
    assert.equal(await shell(block(4)), '{"text":"Hello, Ada!"}');
    const [submitted = "", read = ""] = (await shell(block(5))).split("\n");
    assert.deepEqual(JSON.parse(submitted), { taskId: "t-4" });
    const { id, type, payload } = JSON.parse(read);
    assert.deepEqual([id, type, payload.json], ["t-4", "greet", { name: "Ada" }]);
  });

  it("docs/plain-http.md: submits, reads, and answers a mistake in words", async () => {
    const page = await readFile(join(ROOT, "docs", "plain-http.md"), "utf8");
    const blocks = [...page.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(
      ([, kind, text = ""]) => [kind, text] as const,
    );
    assert.deepEqual(
      blocks.map(([kind]) => kind),
      ["sh run", "sh run", "json", "sh run"],
    );
    const [submit, mistake, answer, read] = blocks.map(([, text]) => text);
    assert.equal(await shell(submit ?? ""), '{"text":"Hello, Ada!"}{"taskId":"t-6"}\n');
    assert.equal(await shell(mistake ?? ""), answer);
    const task = JSON.parse(await shell(read ?? ""));
    assert.deepEqual([task.id, task.state, task.result.json], ["t-3", "succeeded", { text: "Hello, Ada!" }]);
    const later = JSON.parse(await shell("npx muster task t-6 --json"));
    assert.deepEqual([later.queue, later.priority, later.uniqueKey], ["nightly", 5, "ada"]);
  });

  it("asks", async () => {
    const answer = await shell(block(6));
    for (const said of ["SUCCEEDED", "greet", "default", "created", '"ok":true'])
      assert.ok(answer.includes(said), `${said} is missing in:\n${answer}`);
  });

  function block(index: number): string {
    const text = BLOCKS[index]?.text;
    assert.ok(text !== undefined, `the README has no block ${index}`);
    return text;
  }

  /** The example's addresses are the defaults; this scheduler has others. */
  function here(text: string): string {
    return text.replaceAll("127.0.0.1:7070", served.grpc).replaceAll("http://127.0.0.1:7071", served.http);
  }

  async function program(name: string, text: string): Promise<Program> {
    const file = join(folder.path, name);
    await writeFile(file, here(text));
    return Program.start(name, pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: served.grpc, WORKER_ID: "greeter" },
    });
  }

  async function shell(script: string): Promise<string> {
    const { code, stdout, stderr } = await runTool("bash", ["-euo", "pipefail", "-c", here(script)], {
      env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: served.grpc, NODE_OPTIONS: env.NODE_OPTIONS },
    });
    assert.equal(code, 0, `${script}\n${stdout}${stderr}`);
    return stdout;
  }
});
