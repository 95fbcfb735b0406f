import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { execPath, env as processEnv } from "node:process";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { nothingLeftOf } from "../support/programs/left-behind.ts";
import { otherNode } from "../support/programs/other-node.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, type ToolRun } from "../support/repo/checks.ts";
import { checkFigure, PACKED_KIB } from "../support/repo/footprint.ts";

const PACKAGES = [
  { folder: "gen", name: "@muster/protocol" },
  { folder: "packages/common", name: "@muster/common" },
  { folder: "packages/embedded-postgres", name: "@muster/embedded-postgres" },
  { folder: "scheduler", name: "@muster/scheduler" },
  { folder: "worker-sdk", name: "@muster/worker" },
  { folder: "launcher", name: "@muster/launcher" },
  { folder: "cli", name: "@muster/cli" },
] as const;

/** Another Node (22.15 or newer) to run the installed packages with. */
const NODE = processEnv.PACK_TEST_NODE ?? execPath;

/** The oldest Node that runs them: `engines` of the packages. */
const OLDEST = "22.15.0";

const TYPED = `import { Worker, defineTask, NonRetryableError, type TaskContext } from "@muster/worker";
import { Client, type TaskHandle } from "@muster/worker/client";
import { TaskState, type Task } from "@muster/protocol";
import { startScheduler, type Config, type Scheduler } from "@muster/scheduler";
import { main } from "@muster/cli/main";

export const worker = new Worker({
  tasks: {
    greet: defineTask({ handler: (ctx: TaskContext) => ({ id: ctx.task.id }) }),
    refuse: () => {
      throw new NonRetryableError("no", { code: "NO" });
    },
  },
});
export const handle: Promise<TaskHandle<{ id: string }>> = new Client().submit<{ id: string }>("greet");
export const done = (task: Task): boolean => task.state === TaskState.SUCCEEDED;
export const start: (options: { config: Config; databaseUrl: string; log: never }) => Promise<Scheduler> = startScheduler;
export const exitCode: Promise<number> = main([]);
// @ts-expect-error: the state is not a text.
export const wrong = (task: Task): string => task.state;
`;

const TRACED = `import { Worker } from "@muster/worker";
import { startOtel } from "@muster/worker/otel";

new Worker({ tasks: { greet: () => "hello" } });
const { enabled } = await startOtel();
console.log("enabled:", enabled);
`;

const KIT = `import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "@muster/worker";
import { runTask, testKit } from "@muster/worker/testing";

const worker = new Worker({ tasks: { greet: (ctx) => "Hello, " + ctx.payload.name + "!" } });

test("alone", async () => {
  const { output } = await runTask(worker, "greet", { name: "Ada" });
  assert.equal(output, "Hello, Ada!");
});

test("with a scheduler", async () => {
  const kit = await testKit();
  await kit.start({ tasks: { greet: () => "Hello" } });
  const task = await kit.client.submit("greet");
  assert.equal(await task.result({ timeoutS: 30 }), "Hello");
  await kit.stop();
});
`;

interface Packed {
  readonly name: string;
  /** Bytes of the archive. */
  readonly size: number;
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

describe("the packages, packed and installed in an empty project", () => {
  let folder: Folder;
  let project: string;
  let packed: readonly Packed[];
  let server: ChildProcess | undefined;
  let worker: ChildProcess | undefined;

  before(async () => {
    folder = await temporaryFolder();
    project = folder.path;
    // The command of the guide, with another folder.
    const args = ["run", "--silent", "packages", "--", "--json", "--pack-destination", folder.path];
    const pack = await runTool("npm", args, { cwd: ROOT });
    assert.equal(pack.code, 0, pack.stderr);
    // With npm 10 the lines of the prepack scripts come first.
    packed = JSON.parse(pack.stdout.slice(pack.stdout.search(/^\[/m)));
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const tarballs = packed.map(({ filename }) => join(folder.path, filename));
    const install = await inProject("npm", [
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      ...tarballs,
    ]);
    assert.equal(install.code, 0, install.stderr);
  });

  after(async () => {
    for (const child of [worker, server]) child?.kill("SIGKILL");
    await folder.remove();
  });

  it("hold what was built, the migrations and the licence, and no test", async () => {
    assert.deepEqual(
      packed.map(({ name }) => name),
      PACKAGES.map(({ name }) => name),
    );
    for (const { folder: name } of PACKAGES) {
      const files = new Set(
        packed[PACKAGES.findIndex((one) => one.folder === name)]?.files.map(({ path }) => path),
      );
      const unwanted = [...files].filter((path) => /\.test\.|testing\/|\.tsbuildinfo$|^src\//.test(path));
      assert.deepEqual(unwanted, [], name);
      for (const wanted of ["LICENSE", "README.md", ...(await built(name))]) {
        assert.ok(files.has(wanted), `${name} lacks ${wanted}`);
      }
    }
    const migrations = await readdir(join(ROOT, "scheduler", "migrations"));
    const held = packed.flatMap(({ files }) => files.map(({ path }) => path));
    for (const migration of migrations) assert.ok(held.includes(`migrations/${migration}`), migration);
    assert.ok(held.includes("dashboard/index.html.br"), "the page of the scheduler");
  });

  it("are not larger than test/support/repo/footprint.ts allows", () => {
    for (const { name, size } of packed) checkFigure(`${name} packed, KiB`, size / 1024, PACKED_KIB[name]);
  });

  it("give a command line that says how it is used", async () => {
    const help = await muster(["--help"]);
    assert.equal(help.code, 0, help.stderr);
    assert.match(help.stdout, /^Usage: muster/);
  });

  it("have declarations that TypeScript takes as they are", async () => {
    await writeFile(join(project, "typed.ts"), TYPED);
    const types = join(ROOT, "node_modules", "@types");
    const flags = [
      "--strict",
      "--noEmit",
      "--module",
      "nodenext",
      "--target",
      "es2024",
      "--lib",
      "es2024,esnext.disposable",
    ];
    const run = await inProject("tsc", [
      ...flags,
      "--skipLibCheck",
      "--typeRoots",
      types,
      "--types",
      "node",
      "typed.ts",
    ]);
    assert.equal(run.code, 0, run.stdout);
  });

  it("work without OpenTelemetry's SDK, and name it when tracing is asked for", async () => {
    // Not within the project, which has it as a dependency of the command line.
    await using apart = await disposableFolder();
    const bare = apart.path;
    await writeFile(join(bare, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await writeFile(join(bare, "traced.js"), TRACED);
    const tarballs = packed
      .filter(
        ({ name }) => name === "@muster/protocol" || name === "@muster/common" || name === "@muster/worker",
      )
      .map(({ filename }) => join(folder.path, filename));
    const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
    const install = await runTool("npm", ["install", ...quiet, ...tarballs], { cwd: bare, env: clean() });
    assert.equal(install.code, 0, install.stderr);
    const traced = (env: NodeJS.ProcessEnv) =>
      runTool(NODE, ["traced.js"], { cwd: bare, env: { ...clean(), ...env } });

    const kit =
      'import { testKit } from "@muster/worker/testing"; await testKit().catch((error) => console.log(error.message));';
    const lacking = await runTool(NODE, ["--input-type=module", "--eval", kit], { cwd: bare, env: clean() });
    assert.equal(
      lacking.stdout,
      "testKit() needs the package @muster/scheduler: npm install --save-dev @muster/scheduler\n",
      lacking.stderr,
    );

    const plain = await traced({});
    assert.deepEqual([plain.code, plain.stdout], [0, "enabled: false\n"], plain.stderr);
    const asked = await traced({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" });
    assert.equal(asked.code, 1, asked.stdout);
    assert.match(
      asked.stderr,
      /@muster\/worker\/otel needs @opentelemetry\/sdk-node: npm install @opentelemetry\/sdk-node @opentelemetry\/resources/,
    );
  });

  it("test a worker with node:test: alone, and with a scheduler", { timeout: 180_000 }, async () => {
    await writeFile(join(project, "kit.test.js"), KIT);
    const run = await inProject(NODE, ["--test", "kit.test.js"]);
    assert.equal(run.code, 0, run.stdout);
    assert.match(run.stdout, /pass 2$/m);
  });

  it("run the guide's first task from submit to result, and stop", { timeout: 180_000 }, () =>
    runsFirstTask(NODE),
  );

  it("run it on the oldest Node, too", { timeout: 180_000 }, async (t) => {
    if (processEnv.PACK_TEST_NODE) return t.skip("PACK_TEST_NODE names the Node");
    for (const { folder: name } of PACKAGES) {
      const manifest: { engines?: { node?: string } } = JSON.parse(
        await readFile(join(ROOT, name, "package.json"), "utf8"),
      );
      assert.equal(`${manifest.engines?.node?.slice(2)}.0`, OLDEST, name);
    }
    const oldest = await otherNode(OLDEST);
    if ("missing" in oldest) return t.skip(oldest.missing);
    await runsFirstTask(oldest.path);
  });

  async function runsFirstTask(node: string): Promise<void> {
    const guide = await readFile(join(ROOT, "docs/guide/first-worker.md"), "utf8");
    const source = /^```js worker\.js\n([\s\S]*?)^```$/m.exec(guide)?.[1];
    const result = /^```json\n(.*)\n```$/m.exec(guide)?.[1];
    assert.ok(source && result, "the guide has a worker and its result");
    await writeFile(join(project, "worker.js"), source);
    server = start(node, [
      join("node_modules", "@muster", "cli", "bin", "muster.js"),
      ...["serve", "--data-dir", join(folder.path, "data"), "--log-format", "json"],
      ...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"],
    ]);
    const started = await line(server, (text) => text.includes('"event":"scheduler.started"'));
    const { grpc_addr: address }: { grpc_addr: string } = JSON.parse(started);
    worker = start(node, ["worker.js"], { MUSTER_SCHEDULER_ADDR: address });
    await line(worker, (text) => text.includes('"phase":"ready"'));

    const submit = await muster(
      ["submit", "greet", '{"name": "Ada"}', "--wait", "--json", "--scheduler", address],
      node,
    );
    assert.equal(submit.code, 0, submit.stderr);
    const task: { state: string; output: string } = JSON.parse(submit.stdout);
    assert.equal(task.state, "TASK_STATE_SUCCEEDED");
    assert.equal(Buffer.from(task.output, "base64").toString(), result);

    assert.equal(await stop(worker), 0);
    assert.equal(await stop(server), 0);
    await nothingLeftOf(folder.path);
  }

  /** The installed program, without this checkout's settings. */
  function clean(node = NODE): NodeJS.ProcessEnv {
    const kept = Object.entries(processEnv).filter(
      ([name]) =>
        !/^(NODE_OPTIONS|NODE_TEST_CONTEXT|DATABASE_URL|npm_config_node_options|MUSTER_.*)$/.test(name),
    );
    const path = [dirname(node), join(ROOT, "node_modules", ".bin"), processEnv.PATH ?? ""].join(delimiter);
    return { ...Object.fromEntries(kept), PATH: path, PWD: project };
  }

  function inProject(command: string, args: readonly string[], node = NODE): Promise<ToolRun> {
    return runTool(command, args, { cwd: project, env: clean(node) });
  }

  function muster(args: readonly string[], node = NODE): Promise<ToolRun> {
    return inProject(node, [join("node_modules", ".bin", "muster"), ...args], node);
  }

  function start(node: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(node, args, {
      cwd: project,
      env: { ...clean(node), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }
});

async function disposableFolder(): Promise<Folder & AsyncDisposable> {
  const made = await temporaryFolder();
  return { ...made, [Symbol.asyncDispose]: () => made.remove() };
}

/** The JavaScript that the sources of a package become. */
async function built(folder: string): Promise<string[]> {
  const src = join(ROOT, folder, "src");
  const sources = await readdir(src, { recursive: true });
  return sources
    .filter((path) => path.endsWith(".ts") && !/\.test\.ts$|\.d\.ts$|(?:^|\/)testing\//.test(path))
    .flatMap((path) => [join("dist", path.replace(/ts$/, "js")), join("dist", path.replace(/ts$/, "d.ts"))]);
}

/** The first line of the program's output that fits. */
async function line(child: ChildProcess, fits: (text: string) => boolean): Promise<string> {
  assert.ok(child.stdout && child.stderr);
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const lines = createInterface({ input: child.stdout });
  for await (const text of lines) {
    if (!fits(text)) {
      said += `${text}\n`;
      continue;
    }
    child.stdout.resume();
    return text;
  }
  throw new Error(`it ended without the line that was waited for:\n${said}`);
}

function stop(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill("SIGTERM");
  });
}
