/** `npm test`: runs the checks and the tests. */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { argv, env, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { dropDatabase, TEMPLATE_VARIABLE } from "../support/database/postgres.ts";
import { createTemplate, startServer } from "../support/database/server.ts";
import { compileControlPlane } from "../support/kubernetes/control-plane-program.ts";
import { BUNDLES_VARIABLE } from "../support/programs/bundled.ts";
import { KEPT_VARIABLE, keptFolder } from "../support/programs/kept-folder.ts";
import { findVersitygw } from "../support/storage/versitygw.ts";
import { findCollector } from "../support/telemetry/collector-program.ts";
import { makeBundles } from "./bundles.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";
import { filesOf, isolatedTests } from "./test-files.ts";

/** A program that runs the unit tests which share a process. */
const UNIT_TESTS = fileURLToPath(new URL("./unit-tests.ts", import.meta.url));

/** Says at the end where the time went; a URL, as Node wants it. */
const REPORT_TIMES = new URL("./report-times.ts", import.meta.url).href;

/** Compiled code, by content and version of Node; beside what is installed, so that it goes with it. */
const CODE_CACHE = fileURLToPath(new URL("../../node_modules/.cache/node", import.meta.url));

const isOption = (argument: string) => argument.startsWith("--");
/** Of Node's test runner, such as `--test-update-snapshots`. */
const options = argv.slice(2).filter(isOption);
const wanted = argv.slice(2).filter((argument) => !isOption(argument));
const files = wanted.length > 0 ? filesOf(wanted) : [UNIT_TESTS, ...isolatedTests()];
// Before the tests: compiling takes both cores for minutes, and more than a test's time limit.
if (env.CI && files.some((file) => file.endsWith("collector.test.ts"))) findCollector();
if (env.CI && files.some((file) => /\btest\/storage\/|sdk-pages/.test(file))) findVersitygw();
env[KEPT_VARIABLE] = keptFolder();
// Beside the tests, with the lowest priority; those that need it come after the others.
const clusterTests = files.filter((file) => /\btest\/kubernetes\//.test(file));
const compiled = env.CI && clusterTests.length > 0 ? compileControlPlane() : undefined;
// Its fault is that of the tests that need it.
compiled?.catch(() => undefined);
const folder = makeTemporaryFolder();
env.TMPDIR = folder;
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
// One server for the suite, a database for each test that asks; a server named outside is used as it is.
const server = env.TEST_DATABASE_URL ? undefined : await startServer();
const databaseUrl = env.TEST_DATABASE_URL ?? server?.url ?? "";
const bundles = await makeBundles();
const template = await createTemplate(databaseUrl);
try {
  const late = new Set(compiled === undefined ? [] : clusterTests);
  const early = files.filter((file) => !late.has(file));
  const codes = early.length > 0 ? [await runTests(early)] : [];
  if (late.size > 0) {
    await compiled;
    codes.push(await runTests([...late]));
  }
  process.exitCode = codes.find((code) => code !== 0) ?? 0;
} finally {
  if (server) await server.remove();
  else await dropDatabase(databaseUrl, template);
}

/** Runs test files; resolves with the exit code. */
async function runTests(some: readonly string[]): Promise<number> {
  const child = spawn(
    execPath,
    [
      "--test",
      "--test-timeout=400000",
      // Most of a file's time is waits for leases and timers: this many keep the cores busy. Five are what the server's 200
      // connections are enough for.
      `--test-concurrency=${Math.min(5, 2 * availableParallelism() + 1)}`,
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...[`--test-reporter=${REPORT_TIMES}`, "--test-reporter-destination=stdout"],
      ...options,
      ...some,
    ],
    {
      stdio: "inherit",
      env: {
        ...env,
        TEST_DATABASE_URL: databaseUrl,
        [TEMPLATE_VARIABLE]: template,
        [BUNDLES_VARIABLE]: bundles,
        // Most of what the suite computes is programs that start: 0.95 s of a core each without it, 0.56 s with it and
        // without bundles.
        NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE ?? CODE_CACHE,
      },
    },
  );
  // They end the tests; what is left is removed by the caller.
  const end = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, end);
  const code = await new Promise<number>((resolve) => {
    child.once("close", (ended) => resolve(ended ?? 1));
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, end);
  return code;
}
