/** The package for Python: its checks, its tests with a real scheduler and the real link, and its builds. */
import assert from "node:assert/strict";
import { cp, readdir, readFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { env, execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { pythonEnvironment } from "../support/python/environment.ts";
import { hasProgram, ROOT, runTool, type ToolRun } from "../support/repo/checks.ts";

const CLI = join(ROOT, "cli", "src", "main.ts");
const hasPython = await hasProgram("python3", "-c", "import sys, venv; sys.exit(sys.version_info < (3, 10))");

describe("the package for Python", {
  skip: hasPython
    ? false
    : "python3 is not on the PATH, or older than 3.10: install Python 3.10 or newer with venv to run this",
}, () => {
  let python: string;
  let folder: Folder;
  let sources: string;

  before(
    async () => {
      folder = await temporaryFolder();
      // A copy: caches and builds of the tools stay out of the checkout.
      sources = join(folder.path, "python");
      await cp(join(ROOT, "python"), sources, { recursive: true });
      await cp(join(ROOT, "docs", "python.md"), join(folder.path, "docs", "python.md"));
      python = await pythonEnvironment(join(ROOT, "python", "requirements.txt"), { hashed: true });
    },
    { timeout: 600_000 },
  );

  after(() => folder.remove());

  /** Runs a module of Python in the copy. */
  function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<ToolRun> {
    const path = `${join(ROOT, "node_modules", ".bin")}${delimiter}${dirname(execPath)}${delimiter}${env.PATH}`;
    return runTool(python, ["-m", ...args], {
      cwd: sources,
      env: {
        ...env,
        PATH: path,
        PYTHONPATH: join(sources, "src"),
        PYTHONDONTWRITEBYTECODE: "1",
        ...variables,
      },
    });
  }

  /** Runs tests of the package; none of them may be skipped. */
  async function pytest(...paths: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await run(["pytest", "-q", "-p", "muster.testing.plugin", ...paths], {
      MUSTER_LINK_COMMAND: `${execPath} ${CLI}`,
    });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^\d+ passed in /m);
  }

  it("is formatted, and clean for ruff, mypy --strict and pyright", { timeout: 300_000 }, async () => {
    const runs = await Promise.all([
      run(["ruff", "format", "--check", "--no-cache", "."]),
      run(["ruff", "check", "--no-cache", "."]),
      run(["mypy", "--cache-dir", join(folder.path, "mypy")]),
      runTool("node", [
        join(ROOT, "node_modules", "pyright", "index.js"),
        ...["--project", sources, "--pythonpath", python],
      ]),
    ]);
    for (const { code, stdout, stderr } of runs) assert.equal(code, 0, stdout + stderr);
  });

  it("passes its tests of the parts, and of workers against a peer of the line protocol", {
    timeout: 600_000,
  }, async () => {
    await pytest("tests/unit", "tests/link", "src");
  });

  it("passes its tests with a scheduler and the link, those of its pages among them", {
    timeout: 600_000,
  }, async () => {
    await pytest("tests/scheduler");
  });

  it("builds a wheel and a source distribution that hold what they need", { timeout: 300_000 }, async () => {
    const dist = join(folder.path, "dist");
    const built = await run(["build", "--no-isolation", "--outdir", dist]);
    assert.equal(built.code, 0, built.stdout + built.stderr);
    const names = (await readdir(dist)).sort();
    assert.deepEqual(
      names.map((name) => name.replace(/\d+\.\d+\.\d+/, "V")),
      ["muster_worker-V-py3-none-any.whl", "muster_worker-V.tar.gz"],
    );
    const target = join(folder.path, "installed");
    const [wheel = ""] = names;
    const installed = await run([
      ...["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"],
      ...["--target", target, join(dist, wheel)],
    ]);
    assert.equal(installed.code, 0, installed.stderr);
    await readFile(join(target, "muster", "py.typed"));
    const version = await run(["muster.command.main", "--version"], { PYTHONPATH: target });
    assert.match(version.stdout, /^muster-worker \d+\.\d+\.\d+\n$/);
  });
});
